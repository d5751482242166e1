"""What a move sends ahead while the app runs: it makes the last send short, and nobody starts from it when there is a point."""

import json
from collections.abc import Sequence

from builders import APP, operation
from memory import ports
from world import Snapshot, World

from handler.actions import switch
from handler.context import Context
from handler.copies import Copies
from handler.core import names, points
from handler.core import steps as s
from handler.locks import Try

PROJECT = names.project_name(APP)
DATA, DB = f"{PROJECT}_data", f"{PROJECT}_db"
POINT = "2023-01-01T00:00:00.000000"


class Move:
    """From a to its slave b, which has an older point of all ``volumes``."""

    def __init__(self, *volumes: str) -> None:
        self.world = World(1, ("a", "b"))
        self.a, self.b = self.world.nodes.values()
        self.volumes = volumes
        for volume in volumes:
            self.a.volumes[volume] = ["w0", "w1"]
            for node in (self.a, self.b):
                node.snapshots[f"{volume}@{POINT}"] = Snapshot(("w0",), received=node is self.b)
        self.op = operation(("a", "b"), ("b", "a"))
        self.ctx = Context(self.op, ports(self.world, self.a), ("btrfs",))
        self.ctx.ports.volumes.send = self._send  # type: ignore[method-assign]
        self.world.write(names.record_key(APP), json.dumps({"master": "a", "slave": "b", "volumes": list(volumes)}))

    def _send(self, snapshot: str, host: str, guard: object, *, meanwhile: object) -> None:
        self.b.snapshots[snapshot] = Snapshot(self.a.snapshots[snapshot].data, received=True)

    def pre_copy(self) -> None:
        switch.pre_copy(self.ctx, s.PreCopy(self.volumes, "b", "while the app runs"))

    def there(self) -> dict[str, Sequence[str]]:
        return {volume: [name for name in self.b.snapshots if name.startswith(volume + "@")] for volume in self.volumes}


def test_a_pre_copy_of_several_volumes_makes_no_point() -> None:
    """They are snapshotted while the app writes: when the move ends here, a takeover starts from what was frozen."""
    move = Move(DATA, DB)
    move.pre_copy()
    assert all(len(found) == 2 for found in move.there().values())
    assert points.shared(move.there()) == [POINT]
    assert points.newest(move.there()) == {volume: f"{volume}@{POINT}" for volume in (DATA, DB)}


def test_a_pre_copy_of_one_volume_is_a_point() -> None:
    """As a snapshot of one volume is of one moment."""
    move = Move(DATA)
    move.pre_copy()
    assert len(points.shared(move.there())) == 2


def test_a_slave_does_not_say_that_a_pre_copy_of_several_volumes_is_its_copy() -> None:
    """Its age is shown, and decides when the next round is due."""
    move = Move(DATA, DB)
    move.pre_copy()
    said = looked(move)
    assert {volume: found["snapshot"] for volume, found in said.items()} == {volume: f"{volume}@{POINT}" for volume in (DATA, DB)}


def looked(move: Move) -> dict[str, dict[str, str]]:
    """What b says of its copies."""
    attempt: Try = None  # type: ignore[assignment] there is nothing to purge
    Copies(ports(move.world, move.b), attempt).look()
    return json.loads(move.world.kv["node/b"].value)["copies"][APP]
