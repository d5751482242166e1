"""One node: a container that is a host, with its own Docker daemon, disk and name."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from subprocess import CompletedProcess

from clusterlab.disk import Disk, node_data
from clusterlab.run import CACHE, PROJECT, LabError, run, wait_until

SUBNET = "10.211.55"
NETWORK = "cluster-lab"
LABEL = "cluster-lab"
GIT_HOST = "git.lab"
GIT_ADDRESS = f"{SUBNET}.5"
_CAPABILITIES = (
    "SYS_ADMIN",
    "NET_ADMIN",
    "SYS_PTRACE",
    "SYS_CHROOT",
    "MKNOD",
    "NET_RAW",
    "DAC_READ_SEARCH",
    "LINUX_IMMUTABLE",
    "AUDIT_WRITE",
    "SYS_TIME",
)
"""Not --privileged: that fails where a capability is missing on the host."""


@dataclass(frozen=True)
class Node:
    """The ``number``-th node, from 1."""

    number: int

    @property
    def name(self) -> str:
        """Host name."""
        return f"node{self.number}"

    @property
    def container(self) -> str:
        """Name of the container on the host."""
        return f"cluster-lab-{self.name}"

    @property
    def address(self) -> str:
        """Address on the lab's network."""
        return f"{SUBNET}.{10 + self.number}"

    def inside(self, argv: Sequence[str], *, check: bool = True, timeout: float = 300, **options: object) -> CompletedProcess[str]:
        """Run a program on the node; with ``input``, that is its stdin."""
        interactive = ["-i"] if "input" in options else []
        return run(["docker", "exec", *interactive, self.container, *argv], check=check, timeout=timeout, **options)

    def docker_answers(self) -> bool:
        """Whether the node's own Docker daemon can be used."""
        try:
            return self.inside(["docker", "info"], check=False, timeout=20).returncode == 0
        except LabError:
            return False


def create(node: Node, disk: Disk, ports: Sequence[str], more: Sequence[str] = ()) -> None:
    """Start a node's container on fresh disks."""
    data = node_data(node.name)
    data.unmount()
    data.file.unlink(missing_ok=True)
    data.mount()
    _put_ssh(data.mountpoint)
    run(
        [
            "docker",
            "run",
            "-d",
            *_options(),
            "--name",
            node.container,
            "--hostname",
            node.name,
            "--network",
            NETWORK,
            "--ip",
            node.address,
            "--add-host",
            f"{GIT_HOST}:{GIT_ADDRESS}",
            *(f"-p=127.0.0.1:{port}" for port in ports),
            "-v",
            f"{disk.node(node.name)}:/var/lib/docker",
            "-v",
            f"{data.mountpoint}:/var/lib/buttervolume",
            "-v",
            f"{_project_copy(node)}:/cluster",
            *more,
            "cluster-lab-node",
        ]
    )


def _options() -> list[str]:
    return [
        *(f"--cap-add={c}" for c in _CAPABILITIES),
        "--security-opt=seccomp=unconfined",
        "--security-opt=apparmor=unconfined",
        "--security-opt=systempaths=unconfined",
        "--cgroupns=host",
        "-v=/sys/fs/cgroup:/sys/fs/cgroup:rw",
        "--tmpfs=/run",
        f"--label={LABEL}",
        "--stop-timeout=5",
        "--device=/dev/btrfs-control",
    ]


def _project_copy(node: Node) -> Path:
    """The tree as a user has it on a host: the compose files and what they mount."""
    target = CACHE / "state" / node.name
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    for name in ("docker-compose.yml", "docker-compose.dev.yml"):
        shutil.copy2(PROJECT / name, target)
    for name in ("templates", "consul", "haproxy", "caddy"):
        shutil.copytree(PROJECT / name, target / name)
    return target


def new_keys() -> None:
    """One key pair for the lab's nodes, made for this lab only."""
    folder = CACHE / "state" / "ssh"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, mode=0o700)
    run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / "id_ed25519", "-C", "cluster-lab"])
    shutil.copy2(folder / "id_ed25519.pub", folder / "authorized_keys")
    # one connection for each peer is kept: opening one costs 100 ms, which a move would pay while the app is down
    (folder / "config").write_text(
        "Host *\n  StrictHostKeyChecking accept-new\n  UserKnownHostsFile /dev/null\n  LogLevel ERROR\n"
        "  ControlMaster auto\n  ControlPath /run/ssh-%C\n  ControlPersist 1h\n"
        "  ServerAliveInterval 5\n  ServerAliveCountMax 3\n  ConnectTimeout 10\n"
    )


def _put_ssh(root: Path) -> None:
    shutil.copytree(CACHE / "state" / "ssh", root / "ssh", dirs_exist_ok=True)
    run(["chown", "-R", "root:root", root / "ssh"])
    run(["chmod", "700", root / "ssh"])
    (root / "config").mkdir(exist_ok=True)


@contextmanager
def builder(disk: Disk) -> Iterator[Callable[[Sequence[str]], object]]:
    """A node without a cluster, on the template itself; yields a function that runs programs in it."""
    name = "cluster-lab-builder"
    run(["docker", "rm", "-f", name], check=False)
    run(
        [
            "docker",
            "run",
            "-d",
            *_options(),
            "--name",
            name,
            "-v",
            f"{disk.template}:/var/lib/docker",
            "-v",
            f"{CACHE}:/cache:ro",
            "cluster-lab-node",
        ]
    )
    try:
        wait_until("the builder's dockerd", lambda: run(["docker", "exec", name, "docker", "info"], check=False).returncode == 0, 60)
        yield lambda argv: run(["docker", "exec", name, *argv], timeout=900)
    finally:
        run(["docker", "stop", "-t", "20", name], check=False)
        run(["docker", "rm", "-f", name], check=False)
