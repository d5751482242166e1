"""The contract tests of volumes on the lab's nodes: Buttervolume, btrfs, ssh and Docker, asked from within the workers.

Each call of a port is one program in the worker's container: the adapters are what the worker itself uses.
"""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sides import StorageSide
from test_contract_volumes import *  # noqa: F403 the tests

from clusterlab.node import Node
from handler import errors

pytestmark = pytest.mark.lab

ASK = """
import json, sys
from handler import errors, settings, worker
port, name, args, more = json.load(sys.stdin)
try:
    found = getattr(getattr(worker.wire(settings.read()), port), name)(*[(lambda: None) if arg == "guard" else arg for arg in args], **more)
    print(json.dumps({"found": found}))
except errors.ClusterError as error:
    print(json.dumps({"error": type(error).__name__, "text": str(error)}))
"""
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
        return tuple(said["found"]) if isinstance(said["found"], list) else said["found"]


@pytest.fixture
def storage(lab: Any) -> Iterator[StorageSide]:
    """node1, and node2 as its peer; what the tests made is removed."""
    here, there = lab.node("node1"), lab.node("node2")
    nodes = {"here": here, "there": there}
    yield StorageSide(
        Remote(here, "volumes"),
        Remote(there, "volumes"),
        Remote(here, "compose"),
        here.address,
        there.address,
        lambda where, name, word: nodes[where].inside(["tee", "-a", f"{LIVE}/{name}/words"], input=word + "\n") and None,
        lambda where, name: nodes[where].inside(["cat", f"{LIVE}/{name}/words"]).stdout.split("\n")[:-1],
        lambda snapshot: here.inside(["btrfs", "subvolume", "create", f"{SNAPSHOTS}/{snapshot}"]) and None,
    )
    for node in nodes.values():
        _clean(node)


def _clean(node: Node) -> None:
    port = Remote(node, "volumes")
    for name in node.inside(["ls", LIVE]).stdout.split():
        if name.startswith("contract"):
            port.remove(name)
    for name in node.inside(["ls", SNAPSHOTS]).stdout.split():
        if name.startswith("contract"):
            node.inside(["btrfs", "subvolume", "delete", f"{SNAPSHOTS}/{name}"], check=False)
