"""What a node remembers of operations: on a full disk too little, and never what is too old."""

from dataclasses import replace

import pytest
from builders import operation
from faults import handler_killed, journal_full, power_lost
from memory import ports
from memory_consul import Store
from story import Story
from world import Node, World

from handler import errors
from handler.core import limits, names, record
from handler.core.entries import CONCLUDED
from handler.node import resume_app
from handler.ports import Entry
from handler.residence import operations
from handler.unfinished import operation_open


def test_what_was_taken_back_is_not_taken_back_again_whichever_question_consul_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """The journal knows nothing, as its disk is full: the old version has served for a while, and its data must stay."""
    get = Store.get
    for silent in range(1, 12):
        story, asked = Story(), [0]
        story.tell(1.0, "deploy", master="n2", slave="n3")
        story.tell(60.0, "deploy", master="n2", slave="n3")
        story.when("n2", "before begun start the containers", 2, lambda node, story=story: journal_full(story, node, 120.0))
        story.quiet = story.world.now + 300.0

        def answer(self: Store, key: str, story: Story = story, asked: list[int] = asked, silent: int = silent) -> Entry | None:
            if self.node.name == "n2" and key.rpartition("/")[2] in ("outcome", "cleaned") and "aborted" in story.outcomes.values():
                asked[0] += 1
                if asked[0] == silent:
                    raise errors.StoreUnavailable("no answer to this one")
            return get(self, key)

        monkeypatch.setattr(Store, "get", answer)
        story.go()
        assert list(story.outcomes.values()) == ["committed", "aborted"]
        assert asked[0] >= silent


def test_a_node_that_has_nothing_to_do_with_it_aborts_nothing_when_its_disk_is_full() -> None:
    story = Story()
    story.tell(1.0, "deploy", master="n1")
    story.later(story.world.now + 50.0, lambda: journal_full(story, story.world.nodes["n3"], 200.0))
    story.quiet = story.world.now + 300.0
    story.tell(60.0, "deploy", master="n2", slave="n1")
    story.tell(120.0, "destroy")
    story.go()
    assert list(story.outcomes.values()) == ["committed"] * 3


def edit(world: World, entry: Entry) -> None:
    """As a person does, whom no invariant binds."""
    world.touch(entry.key)
    world.kv[entry.key] = world.below[entry.key.rpartition("/")[0] + "/"][entry.key] = entry


def test_an_unreadable_plan_is_no_reason_to_forget_what_was_begun() -> None:
    """A person's edit, say, that is taken back. What update.sh has done to the data is taken back then."""
    story = Story()
    world = story.world
    story.tell(1.0, "deploy", master="n1", slave="n2")
    story.tell(60.0, "deploy", master="n1", slave="n2", update=True)

    def spoiled(node: Node) -> None:
        plan = max((entry for key, entry in world.kv.items() if key.endswith("/plan")), key=lambda entry: entry.index)
        edit(world, replace(plan, value=plan.value[:-1]))
        story.later(world.now + 60.0, lambda: edit(world, plan))
        handler_killed(story, node, 1.0)

    story.when("n1", "before done run update.sh", 1, spoiled)
    story.quiet = world.now + 300.0
    story.go()
    assert list(story.outcomes.values()) == ["committed", "aborted"]


def test_an_operation_whose_end_a_restored_consul_does_not_know_ends_again() -> None:
    """A backup of its middle: every node had concluded it, so that nobody would ever end it, start its app or copy it."""
    world, op = World(1, ("a", "b", "c")), operation(("a", "b"), ("b", "a"))
    world.write(names.op_key(op.app, op.event.id, "plan"), record.operation(op))
    node = world.nodes["c"]
    node.journal[op.app, op.event.id] = frozenset([CONCLUDED])
    resume_app(ports(world, node), op.app)
    found = ports(world, node)
    assert not operation_open(found, operations(found.store, op.app))
    assert record.loads(world.kv[names.op_key(op.app, op.event.id, "outcome")].value)["outcome"] == "aborted"


def test_a_node_that_cannot_take_part_does_not_ask_without_a_pause() -> None:
    story = Story()
    n3, calls = story.world.nodes["n3"], [0]
    story.tell(1.0, "deploy", master="n1", slave="n3")
    story.later(story.world.now + 50.0, lambda: journal_full(story, n3, 400.0))
    story.tell(60.0, "deploy", master="n1", slave="n3")
    story.tell(90.0, "deploy", master="n3", slave="n1")
    story.quiet = story.world.now + 470.0
    before = story.world.on_step

    def step(node: Node, said: str) -> None:
        before(node, said)
        calls[0] += node is n3

    def counted(since: int) -> None:
        assert calls[0] - since < 500, "in 80 seconds"

    story.world.on_step = step
    story.later(story.world.now + 95.0, lambda: story.later(story.world.now + 80.0, lambda since=calls[0]: counted(since)))
    story.go()


def test_an_event_that_ended_before_the_first_operation_is_remembered() -> None:
    story = Story()
    app = story.apps[0]
    power_lost(story, story.world.nodes["n3"], 150.0)
    story.tell(1.0, "deploy", master="n3", slave="n1")
    story.tell(170.0, "deploy", master="n1", slave="n2")
    story.quiet = story.world.now + 300.0
    story.go()
    assert list(story.outcomes.values()) == ["aborted", "committed"]
    assert len([key for key in story.world.kv if key.startswith(names.history_key(app.name, ""))]) == 2


def test_only_the_last_operations_are_remembered_on_every_node() -> None:
    """And of those that never began as many as came meanwhile."""
    story = Story()
    app = story.apps[0]
    for number in range(30):
        story.tell(1.0 + 40 * number, "deploy", master="n1", slave="n2")
        story.tell(21.0 + 40 * number, "takeover", master="n2")  # refused, as the master is alive
    story.quiet = story.world.now + 1300.0
    story.go()
    events = {key.split("/")[2] for key in story.world.kv if key.startswith(names.op_prefix(app.name))}
    planned = {key.split("/")[2] for key in story.world.kv if key.startswith(names.op_prefix(app.name)) and key.endswith("/plan")}
    assert len(planned) == limits.HISTORY
    assert len(events) == 2 * limits.HISTORY
    assert len([key for key in story.world.kv if key.startswith(names.history_key(app.name, ""))]) == 2 * limits.HISTORY
    for node in story.world.nodes.values():
        assert {event for name, event in node.journal if name == app.name} == planned
