"""The contract tests on the lab's nodes: Buttervolume, btrfs, ssh, Docker and the proxies, asked from within the workers.

Each call of a port is one program in the worker's container: the adapters are what the worker itself uses.
"""

import json
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
from handler import errors
from handler.core import names
from handler.core.copies import Held
from handler.core.model import Container

pytestmark = pytest.mark.lab

ASK = """
import json, sys
from handler import errors, settings, wiring
port, name, args, more = json.load(sys.stdin)
try:
    found = getattr(getattr(wiring.wire(settings.read()), port), name)(*[(lambda: None) if arg == "guard" else arg for arg in args], **more)
    print(json.dumps({"found": found}, default=lambda one: sorted(one) if isinstance(one, frozenset) else vars(one)))
except errors.ClusterError as error:
    print(json.dumps({"error": type(error).__name__, "text": str(error)}))
"""
COMPOSE = """
services:
  web:
    image: debian:trixie-slim
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
IMAGE, TAGS = "{{.Repository}}:{{.Tag}}", "cluster/contract"
LIVE, SNAPSHOTS = "/var/lib/buttervolume/volumes", "/var/lib/buttervolume/snapshots"
WORKER = ["docker", "compose", "--project-directory", "/cluster", "exec", "-T", "worker"]


class Remote:
    """A port of a node's worker."""

    def __init__(self, node: Node, port: str) -> None:
        self._node, self._port = node, port

    def __getattr__(self, name: str) -> Callable[..., Any]:
        return lambda *args, **more: self._ask(name, ["guard" if callable(arg) else arg for arg in args], more)

    def _ask(self, name: str, args: list[Any], more: dict[str, Any]) -> Any:
        answer = self._node.inside([*WORKER, "python3", "-c", ASK], input=json.dumps([self._port, name, args, more])).stdout
        said = json.loads(answer.splitlines()[-1])
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


@pytest.fixture
def storage(lab: Any) -> Iterator[StorageSide]:
    """node1, and node2 as its peer; what the tests made is removed."""
    here, there = lab.node("node1"), lab.node("node2")
    nodes = {"here": here, "there": there}
    yield StorageSide(
        Remote(here, "volumes"),
        Remote(there, "volumes"),
        here.address,
        there.address,
        lambda where, name, word: _write(nodes[where], name, word),
        lambda where, name: _read(nodes[where], name),
        lambda snapshot: here.inside(["btrfs", "subvolume", "create", f"{SNAPSHOTS}/{snapshot}"]) and None,
        lambda name, action, minutes: here.inside(["buttervolume", "schedule", action, str(minutes), name]) and None,
        lambda name: _unpaused(here, name),
    )
    for node in nodes.values():
        _clean(node)


@pytest.fixture
def node(lab: Any) -> Iterator[NodeSide]:
    """node1; what ran is removed, also when a test left it frozen."""
    here = lab.node("node1")
    deploys = Remote(here, "deploys")

    def publish(app: str, deploy_id: str) -> None:
        here.inside(["mkdir", "-p", deploys.path(app, deploy_id)])
        deploys.write(app, deploy_id, "docker-compose.yml", COMPOSE)

    yield NodeSide(
        time.monotonic,
        lambda: time.sleep(0.1),
        Remote(here, "compose"),
        deploys,
        Remote(here, "volumes"),
        Remote(here, "probe"),
        publish,
        lambda name, word: _write(here, name, word),
        lambda name: _read(here, name),
        lambda name: here.inside(["docker", "tag", "debian:trixie-slim", name]),
        lambda: set(here.inside(["docker", "images", "--format", IMAGE, f"{TAGS}*"]).stdout.split()),
    )
    _clean(here)


@pytest.fixture
def front(lab: Any) -> Iterator[ProxiesSide]:
    """node1's HAProxy and Caddy; holds go there through Consul and its templates. Nothing of the tests stays."""
    here = lab.node("node1")
    proxies, held = Remote(here, "proxies"), set()

    def say(app: str, hold: bool) -> None:
        held.add(app)
        if hold:
            Remote(here, "store").put(names.hold_key(app), json.dumps({"mode": "hold"}))
        else:
            here.inside(["curl", "-fsS", "-X", "DELETE", f"127.0.0.1:8500/v1/kv/{names.hold_key(app)}"])

    yield ProxiesSide(time.monotonic, lambda: time.sleep(0.1), proxies, say)
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


def _clean(node: Node) -> None:
    """Volumes can be removed when their containers are gone."""
    node.inside(
        ["sh", "-c", "docker ps -aq --filter name=^contract | xargs -r docker rm -f; rm -rf /deploy/contract* /run/cluster/own/contract*"]
    )
    node.inside(["sh", "-c", f"docker images --format '{IMAGE}' '{TAGS}*' | xargs -r docker rmi"])
    port = Remote(node, "volumes")
    for name in port.schedules():
        if name.startswith("contract"):
            port.schedule(name, {})
    for name in node.inside(["ls", LIVE]).stdout.split():
        if name.startswith("contract"):
            port.remove(name)
    for name in node.inside(["ls", SNAPSHOTS]).stdout.split():
        if name.startswith("contract"):
            node.inside(["btrfs", "subvolume", "delete", f"{SNAPSHOTS}/{name}"], check=False)
