"""The lab's cluster: up, down, faults."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from clusterlab import acme, host, images, node
from clusterlab.disk import MOUNTS, Disk, mounted, node_data
from clusterlab.node import GIT_ADDRESS, GIT_HOST, LABEL, NETWORK, SUBNET, Node
from clusterlab.run import CACHE, LabError, run, step, wait_until

GIT = "cluster-lab-git"
_ALIVE = 1
"""A member's status, in Consul's API."""
HTTP, HTTPS = 8080, 8443
"""Ports on the host's 127.0.0.1 that lead to node1."""


def nodes() -> list[Node]:
    """The nodes that exist now."""
    return _listed("-a")


def running() -> list[Node]:
    """The nodes that have power."""
    return _listed()


def _listed(*which: str) -> list[Node]:
    names = run(["docker", "ps", *which, "--filter", f"label={LABEL}", "--format", "{{.Names}}"]).stdout.split()
    return sorted((Node(int(name.rpartition("node")[2])) for name in names if "-node" in name), key=lambda n: n.number)


def by_name(name: str) -> Node:
    """A node, by its host name."""
    found = [n for n in nodes() if n.name == name]
    if not found:
        raise LabError(f"there is no node {name}; `lab/lab status` lists them")
    return found[0]


def up(count: int, extra_images: Sequence[str] = ()) -> None:
    """Start ``count`` nodes and wait until all serve."""
    host.prepare()
    down()
    try:
        images.build(list(extra_images))
        _start(count)
    except BaseException:
        if not os.environ.get("CLUSTER_LAB_KEEP"):  # to look at what failed
            down()
        raise


def _start(count: int) -> None:
    disk = Disk()
    wanted = [Node(number) for number in range(1, count + 1)]
    with step("network, keys, git server, certificate authority"):
        run(["docker", "network", "create", "--subnet", f"{SUBNET}.0/24", "--label", LABEL, NETWORK])
        node.new_keys()
        _start_git()
        acme.start(leads_to=wanted[-1].address)
    with step(f"start {count} nodes"):
        for one in wanted:
            ports = [f"{HTTP}:80", f"{HTTPS}:443"] if one.number == 1 else []
            node.create(one, disk, ports)
            _write_override(one, wanted)
            acme.introduce(one)
        _each(wanted, lambda one: wait_until(f"dockerd of {one.name}", one.docker_answers, 60))
    with step("enable Buttervolume"):
        _each(wanted, lambda one: one.inside(["docker", "plugin", "enable", images.PLUGIN]))
    with step("docker compose up -d on every node"):
        _each(wanted, lambda one: one.inside(["docker", "compose", "--project-directory", "/cluster", "up", "-d", "--no-build"]))
    with step("wait until all serve"):
        for one in wanted:
            wait_until(f"{one.name} serves", lambda one=one: serves(one, count), 60, 0.3)


def _each(wanted: Sequence[Node], call: object) -> None:
    with ThreadPoolExecutor(max_workers=8) as pool:
        list(pool.map(call, wanted))  # type: ignore[arg-type]


def _write_override(one: Node, wanted: Sequence[Node]) -> None:
    """The override file of the seed's README, for this node."""
    joins = [f"-retry-join={other.address}" for other in wanted]
    command = ["agent", "-server", *joins, "-retry-interval=1s", "-ui", f"-bootstrap-expect={len(wanted)}"]
    override = {"services": {"consul": {"command": command, "environment": {"CONSUL_BIND_INTERFACE": "eth0"}}}}
    (CACHE / "state" / one.name / "docker-compose.override.yml").write_text(json.dumps(override, indent=1))


def serves(one: Node, count: int) -> bool:
    """Consul has a leader, all are members, the worker has announced itself, both proxies have their files."""
    try:
        if sum(_members(one).values()) < count:
            return False
    except LabError:
        return False
    if one.inside(["curl", "-fsS", "-m", "2", f"127.0.0.1:8500/v1/kv/node/{one.name}"], check=False).returncode:
        return False
    page = one.inside(["curl", "-sS", "-m", "2", "-o", "/dev/null", "-w", "%{http_code}", f"http://{one.address}/"], check=False)
    return page.stdout == "404" and not one.inside(["test", "-S", "/run/cluster/caddy/admin.sock"], check=False).returncode


def _start_git() -> None:
    repositories = CACHE / "state" / "git"
    repositories.mkdir(parents=True, exist_ok=True)
    run(
        [
            "docker",
            "run",
            "-d",
            "--name",
            GIT,
            f"--label={LABEL}",
            "--network",
            NETWORK,
            "--ip",
            GIT_ADDRESS,
            "--hostname",
            GIT_HOST,
            "-v",
            f"{repositories}:/git",
            "--init",
            "--entrypoint",
            "git",
            images.NODE,
            "-c",
            "safe.directory=*",
            "daemon",
            "--reuseaddr",
            "--export-all",
            "--base-path=/git",
            "/git",
        ]
    )


def down() -> None:
    """Remove every trace: containers, network, mounts, loop devices, data. Images and programs stay in the cache."""
    if not host.docker_answers():
        return
    listed = run(["docker", "ps", "-aq", "--filter", f"label={LABEL}"]).stdout.split()
    networks = run(["docker", "network", "ls", "-q", "--filter", f"label={LABEL}"]).stdout.split()
    if not (listed or networks or MOUNTS.exists()):
        return
    with step("remove the lab that was there"):
        if listed:
            _thaw()
            run(["docker", "rm", "-f", "-v", *listed])
        if networks:
            run(["docker", "network", "rm", *networks])
        _remove_disks()


def _thaw() -> None:
    """Where control groups are of version 1, a frozen process cannot be killed, and its node not be removed. Only nodes freeze any."""
    for path in Path("/sys/fs/cgroup/freezer/docker").glob("*/freezer.state"):
        if path.read_text().strip() != "THAWED":
            path.write_text("THAWED")


def _remove_disks() -> None:
    disk = Disk()
    for path in sorted(MOUNTS.iterdir()) if MOUNTS.exists() else ():
        if path.name == "docker":
            continue
        node_data(path.name).unmount()
        path.rmdir()
    if mounted(disk.image.mountpoint):
        for path in disk.image.mountpoint.iterdir():
            if path.name != "template":
                disk.drop(path.name)
        disk.image.unmount()
    shutil.rmtree(CACHE / "state", ignore_errors=True)
    if MOUNTS.exists():
        for path in MOUNTS.iterdir():
            path.rmdir()
        MOUNTS.rmdir()


# --- faults --------------------------------------------------------------------------------------------------------


def cut(one: Node, peers: Sequence[str]) -> None:
    """No packet to or from ``peers`` any more; those of the node's own containers pass through here as well."""
    for address in peers:
        one.inside(["iptables", "-w", "-t", "raw", "-I", "PREROUTING", "-s", address, "-j", "DROP"])
        one.inside(["iptables", "-w", "-t", "raw", "-I", "OUTPUT", "-d", address, "-j", "DROP"])
        one.inside(["iptables", "-w", "-t", "mangle", "-I", "FORWARD", "-d", address, "-j", "DROP"])


def heal(one: Node, peers: Sequence[str]) -> None:
    """Take back what :func:`cut` did; fine when there is nothing."""
    for address in peers:
        for rule in (["raw", "PREROUTING", "-s"], ["raw", "OUTPUT", "-d"], ["mangle", "FORWARD", "-d"]):
            argv = ["iptables", "-w", "-t", rule[0], "-D", rule[1], rule[2], address, "-j", "DROP"]
            while one.inside(argv, check=False).returncode == 0:
                pass


def others(one: Node) -> list[str]:
    """Addresses of the other nodes."""
    return [other.address for other in nodes() if other != one]


def consul_leader(witnesses: Sequence[Node]) -> Node | None:
    """The node whose Consul leads, as the first of these says that knows one; None when none does."""
    for witness in witnesses:
        answer = witness.inside(["curl", "-fsS", "-m", "2", "127.0.0.1:8500/v1/status/leader"], check=False).stdout.strip('" \n')
        if answer:
            return next((node for node in nodes() if node.address == answer.rpartition(":")[0]), None)
    return None


def gone(witness: Node) -> list[str]:
    """Nodes that are dead for the Consul of ``witness``; ``LabError`` when it gives no answer. A node that can be reached again is still
    among them for up to half a minute.
    """
    return [name for name, alive in _members(witness).items() if not alive]


def _members(witness: Node) -> dict[str, bool]:
    answer = witness.inside(["curl", "-fsS", "-m", "10", "127.0.0.1:8500/v1/agent/members"])
    return {member["Name"]: member["Status"] == _ALIVE for member in json.loads(answer.stdout)}


def together() -> bool:
    """Whether every node takes every other for alive."""
    try:
        alive = running()
        return all(all(seen.get(one.name, False) for one in alive) for seen in map(_members, alive))
    except LabError:
        return False


def kill(one: Node) -> None:
    """Power loss."""
    _thaw()
    run(["docker", "kill", one.container])


def start(one: Node) -> None:
    """Power on; returns when its Docker daemon answers."""
    run(["docker", "start", one.container])
    wait_until(f"dockerd of {one.name}", one.docker_answers, 60)
