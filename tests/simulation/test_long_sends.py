"""The first copy of a large volume takes hours: nothing else waits for it."""

import json
from dataclasses import replace

import pytest
from memory_buttervolume import Volumes
from story import QUIET, Story
from world import Node

from handler.core import names

N2, N3 = "10.0.0.2", "10.0.0.3"
HOURS = 2 * 3600.0


@pytest.fixture
def story() -> Story:
    told = Story()
    told.quiet = told.world.now + 2 * HOURS + 1000.0
    return told


def to(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is sent to that node takes two hours."""
    act = Volumes.act

    def slow(volumes: Volumes, what: str, seconds: float = 0.0) -> None:
        act(volumes, what, HOURS if what.startswith("sending ") and what.endswith(f" to {host}") else seconds)

    monkeypatch.setattr(Volumes, "act", slow)


def why(story: Story, number: int) -> str:
    event = story.messages[number].id
    return str(json.loads(story.world.kv[names.history_key(story.apps[0].name, event)].value)["why"])


def test_an_app_whose_first_copy_is_under_way_can_be_changed_where_it_is(story: Story, monkeypatch: pytest.MonkeyPatch) -> None:
    """What would come before the copy arrives, and have another placement, or none, is refused: there what arrives would be the newest copy."""
    to(N3, monkeypatch)
    story.tell(1.0, "deploy", master="n1", slave="n2")
    story.tell(60.0, "deploy", master="n1", slave="n3")
    story.tell(120.0, "deploy", master="n1", slave="n3")
    story.tell(400.0, "rollback", to=story.clock(90.0))
    story.tell(700.0, "destroy")
    story.tell(900.0, "deploy", master="n1", slave="n2")
    story.tell(1200.0, "deploy", master="n2", slave="n3")
    story.tell(2 * HOURS, "destroy")
    story.go()
    assert list(story.outcomes.values()) == [*["committed"] * 4, *["aborted"] * 3, "committed"]
    assert max(list(story.ended.values())[:-1]) < story.world.now - HOURS
    assert all("a copy is on its way" in why(story, number) for number in (4, 5, 6))


def test_a_copy_that_is_overtaken_before_it_begins_is_not_begun(story: Story, monkeypatch: pytest.MonkeyPatch) -> None:
    to(N2, monkeypatch)
    story.tell(1.0, "deploy", master="n1", slave="n2")
    story.when("n1", "before begun commit", 1, lambda _: story.people.publish(story.apps[0], "destroy", {}))
    story.go()
    assert list(story.outcomes.values()) == ["committed", "committed"]


def test_an_app_whose_first_copy_is_under_way_keeps_no_other_from_its_copies(monkeypatch: pytest.MonkeyPatch) -> None:
    """No round of it begins, and waits where others want to be."""
    story, asked = Story(replace(QUIET, copying=1.0)), list[str]()
    to(N2, monkeypatch)
    story.quiet = story.world.now + 3000.0
    story.tell(1.0, "deploy", master="n1", slave="n2")
    story.tell(60.0, "deploy", master="n1", slave="n2", update=True)
    story.later(story.world.now + 200.0, lambda: story.when("n1", "another send of", 1, lambda _: asked.append("waits")))
    story.tell(100.0, "destroy")  # which ends the wait for the second one
    story.go()
    assert list(story.outcomes.values()) == ["committed", "committed", "aborted"]
    assert asked == []


def test_a_source_whose_move_was_aborted_does_not_go_on_with_it(story: Story, monkeypatch: pytest.MonkeyPatch) -> None:
    to(N2, monkeypatch)
    story.tell(1.0, "deploy", master="n1")
    story.later(story.world.now + 59.0, lambda: story.failing.update(pull=1))
    story.tell(60.0, "deploy", master="n2")
    story.tell(120.0, "deploy", master="n1")
    story.tell(400.0, "destroy")
    story.go()
    assert list(story.outcomes.values()) == ["committed", "aborted", "committed", "aborted"]
    assert max(story.ended.values()) < story.quiet - HOURS
    assert "a copy is on its way" in why(story, 3)


def test_a_round_that_is_on_its_way_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """As when Buttervolume has other things to do first: it would arrive as the newest copy of the next app of that name."""
    story = Story(replace(QUIET, copying=1.0))
    app, n2, later = story.apps[0], story.world.nodes["n2"], list[str]()
    act = Volumes.act

    def slow(volumes: Volumes, what: str, seconds: float = 0.0) -> None:
        act(volumes, what, 40.0 if what.startswith("asked to send") else seconds)

    monkeypatch.setattr(Volumes, "act", slow)
    story.quiet = story.world.now + 600.0  # rounds are made each minute
    story.tell(1.0, "deploy", master="n1", slave="n2")
    story.later(story.world.now + 150.0, lambda: story.when("n1", "asked to send", 1, lambda _: story.people.publish(app, "destroy", {})))
    story.later(story.quiet, lambda: later.extend(name for name in n2.snapshots if name not in n2.aside))
    story.go()
    assert list(story.outcomes.values()) == ["committed", "committed"]
    assert later == []


def test_a_round_that_waits_to_be_sent_is_not_when_an_operation_begins() -> None:
    """Another send has its place until the new version, which fails, is started."""
    story = Story(replace(QUIET, copying=1.0))
    app, n2, waiting = story.apps[0], story.world.nodes["n2"], list[str]()
    line = (app.volume, n2.address)
    story.tell(1.0, "deploy", master="n1", slave="n2")
    story.quiet = story.world.now + 600.0  # rounds are made each minute

    def stands(node: Node) -> None:
        node.sending.add(line)
        waiting.extend(name for name in node.snapshots if name not in n2.snapshots)
        story.people.publish(app, "deploy", {"master": "n1", "slave": "n2"})

    def fails(node: Node) -> None:
        story.world.sick.update({one for _, one in node.deploys})
        story.later(story.world.now + 20.0, story.world.sick.clear)
        node.sending.discard(line)

    story.later(story.world.now + 50.0, lambda: story.when("n1", f"send {app.volume}", 1, stands))
    story.when("n1", "before begun wait until deploy", 2, fails)
    story.go()
    assert list(story.outcomes.values()) == ["committed", "aborted"]
    assert waiting
    assert not [what for _, _, what in story.world.trace if what in {f"asked to send {name}" for name in waiting}]


def test_a_master_that_is_copying_stops_when_it_is_taken_over(story: Story, monkeypatch: pytest.MonkeyPatch) -> None:
    to(N3, monkeypatch)
    app, before, both = story.apps[0], story.world.on_step, list[float]()
    story.tell(1.0, "deploy", master="n1", slave="n2")
    story.tell(60.0, "deploy", master="n1", slave="n3")
    story.tell(120.0, "takeover", master="n2", force=True)

    def step(node: Node, what: str) -> None:
        before(node, what)
        copies = [one.containers[app.project] for one in story.nodes if app.project in one.containers]
        both.extend([story.world.now] if [copy.state for copy in copies].count("running") > 1 else [])

    story.world.on_step = step
    story.go()
    assert list(story.outcomes.values()) == ["committed"] * 3
    assert both == []
