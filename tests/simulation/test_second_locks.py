"""Looks that a step makes once more, right before what cannot be undone: what was true when it began may not be so any more."""

import pytest
from builders import APP, operation
from memory import ports
from world import Snapshot, World

from handler.actions import after, start, switch
from handler.context import Context
from handler.core import names
from handler.core import steps as s
from handler.core.model import AppSpec, Operation
from handler.errors import Permanent
from handler.residence import COMMITTED, outcome

DATA, DB = "v_data", "v_db"
DEPLOY = operation(("a", "b"), ("a", "b"), deploy_id="20230101-1")
MOVE = operation(("a", "b"), ("b", "a"))


class Two:
    """The app with two volumes on a, and b; seen from ``me``."""

    def __init__(self, me: str, op: Operation) -> None:
        self.world = World(1, ("a", "b"))
        self.a, self.b = self.world.nodes.values()
        for volume in (DATA, DB):
            self.a.volumes[volume] = ["w0"]
        self.lives("e")
        self.ctx = Context(op, ports(self.world, self.world.nodes[me]), ("btrfs",))
        self.ctx._specs[op.deploy_id] = AppSpec((), volumes=(DATA, DB))

    def lives(self, event: str) -> None:
        """On a, since the commit of ``event``."""
        value = outcome(COMMITTED, "a", record={"master": "a", "slave": "b", "volumes": [DATA, DB]})
        self.world.write(names.op_key(APP, event, "outcome"), value)


def test_the_first_copy_is_not_sent_when_another_operation_was_committed_while_it_waited() -> None:
    """It would be the slave's newest, and is older than what that one has sent."""
    two = Two("a", DEPLOY)
    two.lives(DEPLOY.event.id)
    two.a.sending.add((DATA, two.b.address))
    two.world.at(two.world.now + 30.0, lambda: two.lives("f"))
    two.world.at(two.world.now + 40.0, two.a.sending.clear)
    with pytest.raises(Permanent, match="was changed meanwhile"):
        after.copy_to_slave(two.ctx, s.CopyToSlave("b"))
    assert not two.b.snapshots
    assert "changed" in str((two.ctx.hear("sent") or {})["error"])


def test_the_first_copy_is_sent_by_who_still_has_the_app() -> None:
    two = Two("a", DEPLOY)
    two.lives(DEPLOY.event.id)
    after.copy_to_slave(two.ctx, s.CopyToSlave("b"))
    assert {name.partition("@")[0] for name in two.b.snapshots} == {DATA, DB}


def test_a_target_that_is_given_less_than_all_volumes_does_not_start() -> None:
    """Compose would make the others, empty."""
    two = Two("b", MOVE)
    two.b.snapshots[f"{DATA}@t"] = Snapshot(("w0",), received=True)
    two.ctx.say("released", {"snapshots": {DATA: f"{DATA}@t"}})
    with pytest.raises(Permanent, match=f"a has released no snapshot of {DB}"):
        start.verify_copies(two.ctx, s.VerifyCopies())


def test_a_source_whose_disk_goes_while_the_app_stops_releases_nothing() -> None:
    two = Two("a", MOVE)
    del two.a.volumes[DB]
    with pytest.raises(Permanent, match=f"{DB} of {APP} is not on a any more"):
        switch.snapshot_volumes(two.ctx, s.SnapshotVolumes((DATA, DB)))
    assert two.ctx.hear("snapshots") is None
    assert not two.a.snapshots
