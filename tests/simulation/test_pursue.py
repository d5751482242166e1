"""What a node does for an app, and when it may say that there is nothing more to do."""

from dataclasses import replace

import pytest
from builders import APP, operation, takeover
from memory import ports
from memory_consul import Store
from world import World

from handler import mastership, pursue
from handler.context import Context
from handler.core import names, record
from handler.core.model import Kind, Operation
from handler.core.steps import StartApp
from handler.execute import conclude
from handler.ports import Entry
from handler.residence import COMMITTED, operations, outcome


def begin(world: World, op: Operation) -> None:
    world.write(names.intent_key(APP), record.intent(op.event, []))
    world.write(names.op_key(APP, op.event.id, "plan"), record.operation(op))


@pytest.mark.parametrize("complete", [True, False], ids=["complete", "incomplete"])
def test_an_operation_that_begins_while_another_is_worked_on_is_joined_at_once(monkeypatch: pytest.MonkeyPatch, complete: bool) -> None:
    """Its leader waits for this node, which would look again by itself only half a minute later."""
    world, first = World(1, ("a", "b", "c")), operation(("a", "b"), ("b", "a"))
    second = replace(operation(("b", "a"), ("a", "b")), event=replace(first.event, id="another"))
    joined: list[str] = []

    def does_its_part(ctx: Context, *_: object, **__: object) -> bool:
        joined.append(ctx.op.event.id)
        if len(joined) == 1:
            begin(world, second)
        if complete or ctx.op == second:
            conclude(ctx)
        return complete

    monkeypatch.setattr(pursue, "execute", does_its_part)
    begin(world, first)
    assert pursue.pursue(ports(world, world.nodes["c"]), ("driver",), APP) is complete
    assert joined[0] == first.event.id
    assert second.event.id in joined


def test_a_plan_that_a_person_copied_below_another_key_is_broken_there() -> None:
    """Else it would be joined again and again: what is done for it is noted elsewhere."""
    world, op = World(1, ("a", "b", "c")), operation(("a", "b"), ("b", "a"))
    begin(world, op)
    for app, event in ((APP, "copied"), ("other", op.event.id)):
        world.write(names.op_key(app, event, "plan"), record.operation(op))
    store = ports(world, world.nodes["c"]).store
    assert operations(store, APP).begun() == [op]
    assert operations(store, "other").begun() == []


def test_a_takeover_that_is_committed_while_a_start_is_thought_about_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Between two questions it would be neither open nor a commit yet: the replaced master would start once more."""
    world, op = World(1, ("a", "b", "c")), operation(("a", "b"), ("a", "b"))
    over = replace(takeover(("a", "b"), "b"), event=replace(op.event, id="over", kind=Kind.TAKEOVER, master="b"))
    begin(world, op)
    begin(world, over)
    end = outcome(COMMITTED, "a", record={"master": "a", "slave": "b", "deploy_id": op.deploy_id})
    world.write(names.op_key(APP, op.event.id, "outcome"), end)
    ctx = Context(op, ports(world, world.nodes["a"]), ("driver",))
    assert mastership.left_out(ctx, StartApp(op.deploy_id), superseded=False)
    tree, asked = Store.tree, [0]

    def stalls(store: Store, prefix: str) -> tuple[Entry, ...]:
        found = tree(store, prefix)
        asked[0] += 1
        if asked[0] == 1:
            world.write(
                names.op_key(APP, "over", "outcome"), outcome(COMMITTED, "b", record={"master": "b", "slave": "", "deploy_id": "x"})
            )
        return found

    monkeypatch.setattr(Store, "tree", stalls)
    assert mastership.left_out(ctx, StartApp(op.deploy_id), superseded=False)
