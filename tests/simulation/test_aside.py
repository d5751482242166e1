"""What is put aside: no takeover starts from it, no change of slaves deletes it, and nothing of the app that lives now is among it."""

import json
from dataclasses import replace

import pytest
from builders import operation, takeover
from faults import cut_from_consul, cut_from_peers, disk_full, handler_killed, isolated, power_lost, volumes_in_use
from memory import ports
from memory_buttervolume import Volumes
from story import QUIET, Story
from world import Node, Snapshot, World

from handler import aside, errors
from handler.actions import start
from handler.context import Context
from handler.core import names, points, record
from handler.core import steps as s


def test_a_takeover_does_not_start_from_what_a_destroyed_app_of_that_name_left() -> None:
    """It is refused as long as the new one has no copy."""
    story = Story(replace(QUIET, copying=1.0))
    story.tell(1.0, "deploy", master="n1", slave="n2")
    story.tell(60.0, "destroy")
    story.when("n1", "before begun commit", 2, lambda node: cut_from_peers(story, node, 100.0))
    story.tell(90.0, "deploy", master="n1", slave="n2")
    story.tell(120.0, "takeover", master="n2", force=True)
    story.quiet = story.world.now + 400.0
    story.tell(400.0, "takeover", master="n2", force=True)
    story.go()
    assert list(story.outcomes.values()) == ["committed", "committed", "committed", "aborted", "committed"]


def test_the_last_state_of_a_destroyed_app_stays_whoever_is_the_slave_of_the_next_one() -> None:
    story, last = Story(), list[str]()
    n2 = story.world.nodes["n2"]
    story.tell(1.0, "deploy", master="n2", slave="n1")
    story.tell(60.0, "destroy")
    story.later(story.world.now + 100.0, lambda: last.extend(n2.snapshots))
    story.tell(120.0, "deploy", master="n1", slave="n2")
    story.tell(180.0, "deploy", master="n1", slave="n3")
    story.go()
    assert list(story.outcomes.values()) == ["committed"] * 4
    assert last
    assert list(n2.snapshots) == last


def test_a_slave_that_learns_of_a_destroy_late_does_not_put_the_next_app_s_copy_aside() -> None:
    """Buttervolume takes what is sent while the handler is down."""
    story = Story(replace(QUIET, copying=1.0))
    n1, n2 = (story.world.nodes[name] for name in ("n1", "n2"))
    story.tell(1.0, "deploy", master="n1", slave="n2")
    story.later(story.world.now + 59.0, lambda: handler_killed(story, n2, 30.0))
    story.tell(60.0, "destroy")
    story.tell(68.0, "deploy", master="n1", slave="n2")
    story.later(story.world.now + 105.0, lambda: power_lost(story, n1, 600.0))
    story.tell(150.0, "takeover", master="n2")
    story.quiet = story.world.now + 300.0
    story.go()
    assert list(story.outcomes.values()) == ["committed"] * 4


def destroyed_before_that_was_noted() -> tuple[Story, Node]:
    """Nothing of what the destroyed app left on n2 is noted as put aside when the worker there starts again, after 81 s."""
    story = Story(replace(QUIET, copying=1.0))
    n2 = story.world.nodes["n2"]
    story.tell(1.0, "deploy", master="n1", slave="n2")
    story.tell(60.0, "destroy")
    story.later(story.world.now + 80.0, n2.aside.clear)
    story.later(story.world.now + 81.0, lambda: handler_killed(story, n2, 1.0))
    return story, n2


def test_what_an_app_left_that_was_destroyed_before_such_things_were_noted_is_put_aside_when_the_worker_starts() -> None:
    story, _ = destroyed_before_that_was_noted()
    story.when("n1", "before begun commit", 2, lambda node: cut_from_peers(story, node, 100.0))
    story.tell(90.0, "deploy", master="n1", slave="n2")
    story.tell(120.0, "takeover", master="n2", force=True)
    story.go()
    assert list(story.outcomes.values()) == ["committed", "committed", "committed", "aborted"]


def test_a_disk_that_is_full_when_the_worker_starts_only_delays_what_is_put_aside_then() -> None:
    story, n2 = destroyed_before_that_was_noted()
    story.later(story.world.now + 81.0, lambda: disk_full(story, n2, 20.0))
    story.go()
    assert n2.aside


def test_what_a_replaced_master_kept_is_no_copy_however_many_operations_follow() -> None:
    """The history that names it is forgotten after twenty."""
    story = Story()
    n1, n2 = (story.world.nodes[name] for name in ("n1", "n2"))
    story.tell(1.0, "deploy", master="n1", slave="n2")
    story.later(story.world.now + 60.0, lambda: isolated(story, n1, 60.0))
    story.tell(80.0, "takeover", master="n2")
    for number in range(20):
        story.tell(160.0 + 30.0 * number, "deploy", master="n2", slave="n3")
    story.later(story.world.now + 760.0, lambda: cut_from_peers(story, n1, 1000.0))
    story.tell(765.0, "deploy", master="n2", slave="n1")
    story.later(story.world.now + 820.0, lambda: power_lost(story, n2, 300.0))
    story.tell(840.0, "takeover", master="n1")
    story.quiet = story.world.now + 1100.0
    story.go()
    assert list(story.outcomes.values()) == ["committed"] * 23 + ["aborted"]


def found_live(story: Story) -> None:
    """n1 was replaced, and could not remove its volume, as a person's container uses it; it is the slave when n2 dies, too. The first
    takeover fails, the second one does not.
    """
    n1, n2 = (story.world.nodes[name] for name in ("n1", "n2"))
    story.tell(1.0, "deploy", master="n1", slave="n2")
    story.later(story.world.now + 60.0, lambda: power_lost(story, n1, 90.0))
    story.tell(80.0, "takeover", master="n2")
    story.later(story.world.now + 140.0, lambda: volumes_in_use(story, n1, 400.0))
    story.later(story.world.now + 420.0, lambda: power_lost(story, n2, 400.0))
    story.later(story.world.now + 449.0, lambda: story.failing.update(up=1))
    story.tell(450.0, "takeover", master="n1")
    story.tell(600.0, "takeover", master="n1")
    story.quiet = story.world.now + 900.0


@pytest.mark.parametrize("hiccup", [False, True])
def test_what_a_failed_takeover_found_live_is_no_copy_for_the_next_one(hiccup: bool) -> None:
    """What was taken over since is newer. Consul may give no answer in the moment in which that is to be named."""
    story = Story(replace(QUIET, copying=1.0))
    found_live(story)

    def cut(node: Node) -> None:
        cut_from_consul(story, node, 2.0)
        node.hangs = 0.0

    if hiccup:
        story.when("n1", "before begun load the data", 1, lambda _: story.when("n1", "snapshot shop", 1, cut))
    story.go()
    assert list(story.outcomes.values()) == ["committed", "committed", "aborted", "committed"]


def test_what_is_found_live_is_kept_as_one_point() -> None:
    world, point = World(1, ("a", "b")), "2026-01-01T00:00:00.000000"
    node = world.nodes["b"]
    for volume in ("v1", "v2"):
        node.volumes[volume] = ["only here"]
        node.snapshots[f"{volume}@{point}"] = Snapshot(("of the master",))
    op = replace(takeover(("a", "b"), "b"), volumes=("v1", "v2"), restore=(("v1", f"v1@{point}"), ("v2", f"v2@{point}")))
    start.load_data(Context(op, ports(world, node), ("btrfs",)), s.LoadData("the copy"))
    assert node.volumes == {"v1": ["of the master"], "v2": ["of the master"]}
    assert len({points.time_of(name) for name in node.aside}) == 1
    assert len(node.aside) == 2


@pytest.mark.parametrize(
    ("port", "error"), [("put_aside", OSError("No space left on device")), ("stock", errors.CommandFailed("btrfs failed"))]
)
def test_what_could_not_be_put_aside_at_once_is_so_before_the_next_app_has_a_copy(
    monkeypatch: pytest.MonkeyPatch, port: str, error: Exception
) -> None:
    """Be it that the slave takes part in that one's operations before it tries again."""
    story, plain = Story(replace(QUIET, copying=1.0)), getattr(Volumes, port)
    n1, n2 = (story.world.nodes[name] for name in ("n1", "n2"))
    began: list[float] = []

    def fails(volumes: Volumes, *arguments: object) -> object:
        if volumes.node is n2 and began and story.world.now < began[0] + 60.0:
            raise error
        return plain(volumes, *arguments)

    monkeypatch.setattr(Volumes, port, fails)
    story.when("n2", "committed begun put the copies", 1, lambda _: began.append(story.world.now))
    story.tell(1.0, "deploy", master="n1", slave="n2")
    story.tell(60.0, "destroy")
    story.when("n1", "before begun commit", 2, lambda node: cut_from_peers(story, node, 600.0))
    story.tell(90.0, "deploy", master="n1", slave="n2")
    story.later(story.world.now + 200.0, lambda: power_lost(story, n1, 300.0))
    story.tell(290.0, "takeover", master="n2")
    story.quiet = story.world.now + 700.0
    story.go()
    assert list(story.outcomes.values()) == ["committed", "committed", "committed", "aborted"]


def test_a_node_that_learns_of_a_destroy_late_puts_aside_what_has_another_app_s_name_by_now() -> None:
    """All but what that one has sent here, and what came after it."""
    world = World(1, ("a",))
    node = world.nodes["a"]
    for name in ("v@1", "v@2", "v@3", "v@4"):
        node.snapshots[name] = Snapshot(("w0",))
    world.write(names.claim_key("volume/v"), json.dumps({"app": "other"}))
    event = replace(operation().event, app="other")
    world.write(names.op_key("other", event.id, "plan"), record.operation(replace(operation(), event=event)))
    world.write(names.op_key("other", event.id, "sent"), json.dumps({"snapshots": {"v": "v@3"}}))
    aside.put(ports(world, node), "gone", "the destroy", ("v",))
    assert node.aside == {"v@1", "v@2"}


def test_a_takeover_brings_in_a_copy_over_what_a_failed_one_left() -> None:
    """Something uses the volume, so that it could not be removed; the app is down meanwhile."""
    story = Story()
    n1, n2 = (story.world.nodes[name] for name in ("n1", "n2"))
    story.tell(1.0, "deploy", master="n1", slave="n2")
    story.later(story.world.now + 60.0, lambda: power_lost(story, n1, 600.0))
    story.later(story.world.now + 79.0, lambda: story.failing.update(up=1))
    story.later(story.world.now + 79.0, lambda: volumes_in_use(story, n2, 600.0))
    story.tell(80.0, "takeover", master="n2")
    story.tell(200.0, "takeover", master="n2")
    story.quiet = story.world.now + 700.0
    story.go()
    assert list(story.outcomes.values()) == ["committed", "aborted", "committed"]
