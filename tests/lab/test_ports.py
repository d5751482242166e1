"""The contract tests on the lab's nodes: Buttervolume, btrfs, ssh, Docker and the proxies, asked from within the workers.

A program in the worker's container makes the calls: the adapters are what the worker itself uses.
"""

import json
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sides import NodeSide, ProxiesSide, StorageSide
from test_contract_compose import *  # noqa: F403 the tests
from test_contract_proxies import *  # noqa: F403
from test_contract_stock import *  # noqa: F403
from test_contract_volumes import *  # noqa: F403

from clusterlab.node import Node
from clusterlab.run import LabError
from handler import errors
from handler.core import names
from handler.core.copies import Held
from handler.core.model import Container

pytestmark = pytest.mark.lab

ANSWER = """
import json, sys
from handler import errors, settings, wiring
answers, sys.stdout = sys.stdout, sys.stderr
ports = wiring.wire(settings.read())
for line in sys.stdin:
    port, name, args, more = json.loads(line)
    try:
        found = getattr(getattr(ports, port), name)(*[(lambda: None) if arg == "guard" else arg for arg in args], **more)
        said = {"found": found}
    except errors.ClusterError as error:
        said = {"error": type(error).__name__, "text": str(error)}
    print(json.dumps(said, default=lambda one: sorted(one) if isinstance(one, frozenset) else vars(one)), file=answers, flush=True)
"""
COMPOSE = """
services:
  web:
    image: debian:trixie-slim
    pull_policy: always
    logging:
      driver: none
    init: true
    command: [perl, -MIO::Socket::INET, -e, "$$s = IO::Socket::INET->new(Listen => 9, LocalPort => 80) or die; 1 while $$s->accept"]
    healthcheck:
      test: ["CMD", "true"]
      interval: 1s
    volumes:
      - data:/data
    networks:
      - cluster_default
volumes:
  data:
    driver: anybox/buttervolume:latest
networks:
  cluster_default:
    external: true
"""
"""No registry has the image, and nobody can read the logs: neither may keep anything from starting or from being removed."""
IMAGE, TAGS = "{{.Repository}}:{{.Tag}}", "cluster/contract"
LIVE, SNAPSHOTS = "/var/lib/buttervolume/volumes", "/var/lib/buttervolume/snapshots"
WORKER = ["docker", "compose", "--project-directory", "/cluster", "exec", "-T", "worker"]


class Worker:
    """A program in a node's worker that answers one call after the other: to start one for each call would be most of the time."""

    def __init__(self, node: Node) -> None:
        argv = ["docker", "exec", "-i", node.container, *WORKER, "python3", "-c", ANSWER]
        self.node, self._program = node, subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, port: str, name: str, args: list[Any], more: dict[str, Any], seconds: float = 300) -> dict[str, Any]:
        """Its answer: ``found``, or ``error`` and ``text``."""
        too_late = threading.Timer(seconds, self._program.kill)
        too_late.start()
        try:
            print(json.dumps([port, name, args, more]), file=self._program.stdin, flush=True)
            line = self._program.stdout.readline()
        finally:
            too_late.cancel()
        if not line:
            raise LabError(f"{self.node.name}: {port}.{name} has no answer within {seconds:.0f} s, or the worker has ended")
        return json.loads(line)

    def end(self) -> None:
        self._program.communicate(timeout=30)


class Remote:
    """A port of a node's worker."""

    def __init__(self, worker: Worker, port: str) -> None:
        self._worker, self._port = worker, port

    def __getattr__(self, name: str) -> Callable[..., Any]:
        return lambda *args, **more: self._ask(name, ["guard" if callable(arg) else arg for arg in args], more)

    def _ask(self, name: str, args: list[Any], more: dict[str, Any]) -> Any:
        said = self._worker.ask(self._port, name, args, more)
        if "error" in said:
            error = getattr(errors, said["error"])
            raise error(said["text"])
        return _READ.get(name, _plain)(said["found"])


def _plain(found: Any) -> Any:
    return tuple(found) if isinstance(found, list) else found


def _stock(found: dict[str, list[dict[str, Any]]]) -> dict[str, list[Held]]:
    return {volume: [Held(**{**one, "hosts": tuple(one["hosts"])}) for one in held] for volume, held in found.items()}


_READ: dict[str, Callable[[Any], Any]] = {
    "containers": lambda found: tuple(Container(**one) for one in found),
    "listed": frozenset,
    "stock": _stock,
}
"""What JSON has no word for."""


@pytest.fixture(scope="module")
def workers(lab: Any) -> Iterator[dict[str, Worker]]:
    """Those of node1 and node2."""
    workers = {name: Worker(lab.node(name)) for name in ("node1", "node2")}
    yield workers
    for worker in workers.values():
        worker.end()


@pytest.fixture
def storage(workers: dict[str, Worker]) -> Iterator[StorageSide]:
    """node1, and node2 as its peer; what the tests made is removed."""
    here, there = workers["node1"].node, workers["node2"].node
    nodes = {"here": here, "there": there}
    yield StorageSide(
        Remote(workers["node1"], "volumes"),
        Remote(workers["node2"], "volumes"),
        here.address,
        there.address,
        lambda where, name, word: _write(nodes[where], name, word),
        lambda where, name: _read(nodes[where], name),
        lambda snapshot: here.inside(["btrfs", "subvolume", "create", f"{SNAPSHOTS}/{snapshot}"]) and None,
        lambda name, action, minutes: here.inside(["buttervolume", "schedule", action, str(minutes), name]) and None,
        lambda name: _unpaused(here, name),
    )
    for worker in workers.values():
        _clean(worker)


@pytest.fixture
def node(workers: dict[str, Worker]) -> Iterator[NodeSide]:
    """node1; what ran is removed, also when a test left it frozen."""
    worker = workers["node1"]
    here, deploys = worker.node, Remote(worker, "deploys")

    def publish(app: str, deploy_id: str) -> None:
        here.inside(["mkdir", "-p", deploys.path(app, deploy_id)])
        deploys.write(app, deploy_id, "docker-compose.yml", COMPOSE)

    yield NodeSide(
        time.monotonic,
        lambda: time.sleep(0.1),
        Remote(worker, "compose"),
        deploys,
        Remote(worker, "volumes"),
        Remote(worker, "probe"),
        publish,
        lambda name, word: _write(here, name, word),
        lambda name: _read(here, name),
        lambda name: here.inside(["docker", "tag", "debian:trixie-slim", name]),
        lambda: set(here.inside(["docker", "images", "--format", IMAGE, f"{TAGS}*"]).stdout.split()),
    )
    _clean(worker)


@pytest.fixture
def front(workers: dict[str, Worker]) -> Iterator[ProxiesSide]:
    """node1's HAProxy and Caddy; holds go there through Consul and its templates. Nothing of the tests stays."""
    worker, held = workers["node1"], set()
    here = worker.node

    def say(app: str, hold: bool) -> None:
        held.add(app)
        if hold:
            Remote(worker, "store").put(names.hold_key(app), json.dumps({"mode": "hold"}))
        else:
            here.inside(["curl", "-fsS", "-X", "DELETE", f"127.0.0.1:8500/v1/kv/{names.hold_key(app)}"])

    yield ProxiesSide(time.monotonic, lambda: time.sleep(0.1), Remote(worker, "proxies"), say)
    for app in held:
        say(app, hold=False)
    here.inside(["sh", "-c", "rm -f /run/cluster/caddy-overrides/contract*"])


def _write(node: Node, volume: str, word: str) -> None:
    node.inside(["tee", "-a", f"{LIVE}/{volume}/words"], input=word + "\n")


def _read(node: Node, volume: str) -> list[str]:
    return node.inside(["cat", f"{LIVE}/{volume}/words"]).stdout.split("\n")[:-1]


def _unpaused(node: Node, volume: str) -> set[str]:
    """Lines of the command are ``ACTION MINUTES VOLUME``, and ``(paused)`` if it is."""
    lines = [line.split() for line in node.inside(["buttervolume", "scheduled"]).stdout.splitlines()]
    return {words[0] for words in lines if words[2:] == [volume]}


def _clean(worker: Worker) -> None:
    """Volumes can be removed when their containers are gone."""
    node, port = worker.node, Remote(worker, "volumes")
    node.inside(
        ["sh", "-c", "docker ps -aq --filter name=^contract | xargs -r docker rm -f; rm -rf /deploy/contract* /run/cluster/own/contract*"]
    )
    node.inside(["sh", "-c", f"docker images --format '{IMAGE}' '{TAGS}*' | xargs -r docker rmi"])
    for name in port.schedules():
        if name.startswith("contract"):
            port.schedule(name, {})
    for name in node.inside(["ls", LIVE]).stdout.split():
        if name.startswith("contract"):
            port.remove(name)
    node.inside(["sh", "-c", f"find {SNAPSHOTS} -maxdepth 1 -name 'contract*' | xargs -r btrfs subvolume delete"], check=False)
