"""The first copy of a large volume takes hours: nothing else waits for it."""

import pytest
from memory_buttervolume import Volumes
from story import Story
from world import Node

N2, N3 = "10.0.0.2", "10.0.0.3"
HOURS = 2 * 3600.0


@pytest.fixture
def story() -> Story:
    told = Story()
    told.quiet = told.world.now + HOURS + 1000.0
    return told


def to(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is sent to that node takes two hours."""
    act = Volumes.act

    def slow(volumes: Volumes, what: str, seconds: float = 0.0) -> None:
        act(volumes, what, HOURS if what.startswith("sending ") and what.endswith(f" to {host}") else seconds)

    monkeypatch.setattr(Volumes, "act", slow)


def test_an_app_whose_first_copy_is_under_way_can_be_changed_and_destroyed(story: Story, monkeypatch: pytest.MonkeyPatch) -> None:
    to(N3, monkeypatch)
    story.tell(1.0, "deploy", master="n1", slave="n2")
    story.tell(60.0, "deploy", master="n1", slave="n3")
    story.tell(120.0, "deploy", master="n1", slave="n3")
    story.tell(400.0, "rollback", to=story.clock(90.0))
    story.tell(700.0, "destroy")
    story.go()
    assert list(story.outcomes.values()) == ["committed"] * 5
    assert max(story.ended.values()) < story.quiet - HOURS


def test_a_source_whose_move_was_aborted_does_not_go_on_with_it(story: Story, monkeypatch: pytest.MonkeyPatch) -> None:
    to(N2, monkeypatch)
    story.tell(1.0, "deploy", master="n1")
    story.later(story.world.now + 59.0, lambda: story.failing.update(pull=1))
    story.tell(60.0, "deploy", master="n2")
    story.tell(120.0, "deploy", master="n1")
    story.tell(400.0, "destroy")
    story.go()
    assert list(story.outcomes.values()) == ["committed", "aborted", "committed", "committed"]
    assert max(story.ended.values()) < story.quiet - HOURS


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
