"""A master whose data is gone: it does not begin anew with nothing, and nobody takes that nothing for the newest copy."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from faults import disk_lost, handler_killed, power_lost, volumes_lost
from memory_buttervolume import Volumes
from memory_docker import BOOTED
from story import QUIET, Story
from world import START, Node

from handler.core import names
from handler.errors import CommandFailed

Loss = Callable[[Story, Node, float], None]
LOSSES = [disk_lost, volumes_lost]


class Losing(Story):
    """An app on n1, whose slave is n2; after 200 s n1 loses what ``loss`` says, and is back half a minute later."""

    def __init__(self, loss: Loss) -> None:
        super().__init__(replace(QUIET, copying=1.0))
        self.app, (self.n1, self.n2, self.n3) = self.apps[0], self.nodes
        self.quiet = self.world.now + 700.0
        self.copies: set[str] = set()
        self.tell(1.0, "deploy", master="n1", slave="n2")
        self.later(self.world.now + 200.0, lambda: loss(self, self.n1, 30.0))
        self.later(self.world.now + 240.0, lambda: self.copies.update(self.n2.snapshots))
        self.later(self.quiet, lambda: None)

    def has(self, node: Node) -> list[str]:
        return [word for word in node.volumes.get(self.app.volume, ()) if word[0] != BOOTED]

    def why(self) -> str:
        """Of the last message that was refused or aborted."""
        entries = [json.loads(entry.value) for entry in self.world.tree(names.history_key(self.app.name, ""))]
        return max((entry for entry in entries if entry["why"]), key=lambda entry: entry["started"])["why"]


@pytest.mark.parametrize("loss", LOSSES)
def test_a_master_whose_disk_is_a_new_one_waits_for_a_person_and_the_copies_stay(loss: Loss) -> None:
    story = Losing(loss)
    story.tell(600.0, "takeover", master="n2", force=True)
    story.go()
    assert list(story.outcomes.values()) == ["committed", "committed"]
    assert story.has(story.n2)
    assert story.has(story.n2) == story.acked[story.app.name]


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize(
    "payload", [{"master": "n1", "slave": "n2"}, {"master": "n1", "slave": "n3"}, {"master": "n2", "slave": "n1"}, {"master": "n3"}]
)
def test_nothing_is_deployed_from_a_master_that_has_lost_its_data(loss: Loss, payload: dict[str, str]) -> None:
    """The refusal says what to do; that n1 is alive is no reason to believe it."""
    story = Losing(loss)
    story.tell(300.0, "deploy", **payload)
    story.go()
    assert list(story.outcomes.values()) == ["committed", "aborted"]
    assert '"force": true' in story.why()
    assert story.copies
    assert story.copies & set(story.n2.snapshots)
    assert not any(node.volumes for node in story.nodes)
    assert not any(node.containers[story.app.project].state == "running" for node in story.nodes if node.containers)


def test_who_deleted_a_live_volume_by_hand_rolls_back() -> None:
    """The snapshots are there, and their newest point is as good as any copy."""
    story = Losing(power_lost)
    story.later(story.world.now + 201.0, story.n1.volumes.clear)
    story.tell(300.0, "rollback", to=f"{datetime.fromtimestamp(START + story.world.now + 250.0, UTC):%Y-%m-%dT%H:%M:%S}")
    story.go()
    assert list(story.outcomes.values()) == ["committed", "committed"]
    assert story.has(story.n1)


def test_what_is_lost_can_be_destroyed_and_deployed_anew() -> None:
    story = Losing(disk_lost)
    story.tell(300.0, "destroy")
    story.tell(400.0, "deploy", master="n1", slave="n2")
    story.go()
    assert list(story.outcomes.values()) == ["committed", "committed", "committed"]
    assert story.copies & story.n2.aside, "a rollback can still go to them"


def test_what_lost_its_disk_in_a_trial_is_not_taken_back_and_waits_for_a_takeover() -> None:
    """The old version must not serve what the trial left, should the disk come back; a takeover ends the hold."""
    story = Losing(lambda *_: None)
    story.tell(300.0, "deploy", master="n1", slave="n2", update=True)
    story.when("n1", "before begun start the containers", 2, lambda node: volumes_lost(story, node, 10.0))
    story.tell(600.0, "takeover", master="n2", force=True)
    story.go()
    assert list(story.outcomes.values()) == ["committed", "aborted", "committed"]
    assert story.app.hold not in story.world.kv
    assert not story.n1.volumes


def not_mounted(story: Story, node: Node) -> None:
    """Power loss; at the boot the disk is not mounted. It is so 200 s later, and the worker is restarted to see it."""
    power_lost(story, node, 20.0)
    away = dict(node.volumes), dict(node.snapshots), set(node.aside)
    for part in (node.volumes, node.snapshots, node.aside):
        part.clear()  # type: ignore[attr-defined]

    def mounted() -> None:
        node.volumes.update(away[0])
        node.snapshots.update(away[1])
        node.aside.update(away[2])
        handler_killed(story, node, 3.0)

    story.later(story.world.now + 200.0, mounted)


def before(story: Story, seconds: float) -> str:
    """A time so many seconds after the beginning, as a rollback names it."""
    return f"{datetime.fromtimestamp(START + story.world.now + seconds, UTC):%Y-%m-%dT%H:%M:%S}"


@pytest.mark.parametrize("kind", ["rollback", "deploy"])
def test_a_trial_is_taken_back_when_the_disk_is_mounted_late(kind: str) -> None:
    """Not before, and not never: the data is as it was when the old version serves again."""
    story = Losing(lambda *_: None)
    payload = {"to": before(story, 100.0)} if kind == "rollback" else {"master": "n1", "slave": "n2", "update": True}
    story.tell(300.0, kind, **payload)
    story.when("n1", "before begun wait until deploy", 2, lambda node: not_mounted(story, node))
    story.go()
    assert list(story.outcomes.values()) == ["committed", "aborted"]
    assert story.has(story.n1) == story.acked[story.app.name]
    assert story.n1.containers[story.app.project].state == "running"


def test_a_rollback_that_fails_where_nothing_was_leaves_nothing_that_is_taken_for_the_data() -> None:
    """It can be sent again."""
    story = Losing(power_lost)
    story.later(story.world.now + 201.0, story.n1.volumes.clear)
    to = before(story, 190.0)
    story.tell(300.0, "rollback", to=to)
    story.when("n1", "before begun wait until deploy", 2, lambda node: handler_killed(story, node, 3.0))
    left: list[object] = []
    story.later(story.world.now + 400.0, lambda: left.append((dict(story.n1.volumes), story.n1.containers.get(story.app.project))))
    story.tell(450.0, "rollback", to=to)
    story.go()
    assert left == [({}, None)]
    assert list(story.outcomes.values()) == ["committed", "aborted", "committed"]
    assert story.has(story.n1)


class PutsNothingBack(Losing):
    """``btrfs`` refuses to put back what was before ``update.sh``, until that is mended, in a deploy after 300 s that fails."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, alone: bool = False, mended: bool = False) -> None:
        """``alone``: other snapshots it puts back. ``mended``: after 450 s."""
        super().__init__(lambda *_: None)
        self._refused: set[str] | None = None
        restore = Volumes.restore

        def refusing(volumes: Volumes, snapshot: str, volume: str) -> None:
            if self._refused is not None and not (alone and self._refused and snapshot not in self._refused):
                self._refused.add(snapshot)
                raise CommandFailed("btrfs failed", "Structure needs cleaning")
            restore(volumes, snapshot, volume)

        def fails(node: Node) -> None:
            self._refused = set()
            self.world.sick.update({one for _, one in node.deploys})
            self.later(self.world.now + 100.0, self.world.sick.clear)
            if not mended:
                self.gutted[self.app.name] = "n1"  # for the invariants it is as if its data was lost

        monkeypatch.setattr(Volumes, "restore", refusing)
        self.tell(300.0, "deploy", master="n1", slave="n2", update=True)
        self.when("n1", "before begun wait until deploy", 2, fails)
        if mended:
            self.later(self.world.now + 450.0, lambda: setattr(self, "_refused", None))

    @property
    def is_held(self) -> bool:
        return self.app.hold in self.world.kv


@pytest.mark.parametrize("then", ["nothing", "deploy", "rollback"])
def test_what_cannot_be_put_back_is_not_taken_for_the_data(then: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing serves what ``update.sh`` left, or builds on it."""
    story = PutsNothingBack(monkeypatch)
    if then != "nothing":
        story.tell(500.0, then, **({"to": before(story, 200.0)} if then == "rollback" else {"master": "n1", "slave": "n2"}))
    story.go()
    assert list(story.outcomes.values()) == ["committed", "aborted", *(["aborted"] if then != "nothing" else [])]
    assert not story.n1.containers
    assert story.is_held


def test_what_could_not_be_put_back_serves_again_when_btrfs_is_mended(monkeypatch: pytest.MonkeyPatch) -> None:
    story, held = PutsNothingBack(monkeypatch, mended=True), list[bool]()
    story.later(story.world.now + 449.0, lambda: held.append(story.is_held))
    story.go()
    assert list(story.outcomes.values()) == ["committed", "aborted"]
    assert story.n1.containers
    assert (held, story.is_held) == ([True], False)


@pytest.mark.parametrize("kind", ["rollback", "destroy"])
def test_what_cannot_be_put_back_waits_for_a_person(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who goes back to a snapshot that can be put back, or gives up the app; the hold goes with that."""
    story, held = PutsNothingBack(monkeypatch, alone=True), list[bool]()
    story.later(story.world.now + 499.0, lambda: held.append(story.is_held))
    story.tell(500.0, kind, **({"to": before(story, 200.0)} if kind == "rollback" else {}))
    story.go()
    assert list(story.outcomes.values()) == ["committed", "aborted", "committed"]
    assert bool(story.n1.containers) == (kind == "rollback")
    assert (held, story.is_held) == ([True], False)


@pytest.mark.parametrize("force", [False, True])
def test_a_takeover_where_an_old_move_left_something_is_refused_while_the_slave_has_more(force: bool) -> None:
    story = Losing(lambda *_: None)
    story.tell(60.0, "deploy", master="n3", slave="n2")
    story.when("n3", "before begun wait until deploy", 1, lambda node: story.world.sick.update({one for _, one in node.deploys}))
    story.later(story.world.now + 400.0, lambda: power_lost(story, story.n1, 1000.0))
    story.tell(450.0, "takeover", master="n3", force=force)
    story.go()
    assert list(story.outcomes.values()) == ["committed", "aborted", "committed" if force else "aborted"]
    assert force or "n2 says that it has" in story.why()
