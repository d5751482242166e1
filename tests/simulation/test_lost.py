"""A master whose data is gone: it does not begin anew with nothing, and nobody takes that nothing for the newest copy."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from faults import disk_lost, power_lost, volumes_lost
from memory_docker import BOOTED, START
from story import QUIET, Story
from world import Node

from handler.core import names

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


def test_a_rollback_that_lost_its_disk_in_the_middle_leaves_nothing_held() -> None:
    """There is nothing to take back."""
    story = Losing(lambda *_: None)
    story.tell(300.0, "deploy", master="n1", slave="n2", update=True)
    story.when("n1", "before begun start the containers", 2, lambda node: volumes_lost(story, node, 10.0))
    story.go()
    assert list(story.outcomes.values()) == ["committed", "aborted"]
    assert story.app.hold not in story.world.kv
    assert not story.n1.volumes
