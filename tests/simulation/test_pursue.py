"""What a node does for an app, and when it may say that there is nothing more to do."""

from dataclasses import replace

import pytest
from builders import APP, operation
from memory import ports
from world import World

from handler import pursue
from handler.context import Context
from handler.core import names, record
from handler.core.entries import CONCLUDED
from handler.core.model import Operation


def begin(world: World, op: Operation) -> None:
    world.write(names.intent_key(APP), record.intent(op.event, []))
    world.write(names.op_key(APP, op.event.id, "plan"), record.operation(op))


def test_an_operation_that_begins_while_another_is_completed_is_joined_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its leader waits for this node, which would look again by itself only half a minute later."""
    world, first = World(1, ("a", "b", "c")), operation(("a", "b"), ("b", "a"))
    second = replace(operation(("b", "a"), ("a", "b")), event=replace(first.event, id="another"))
    joined: list[str] = []

    def completes(ctx: Context, *_: object, **__: object) -> bool:
        joined.append(ctx.op.event.id)
        ctx.ports.journal.mark(APP, ctx.op.event.id, CONCLUDED)
        if ctx.op == first:
            begin(world, second)
        return True

    monkeypatch.setattr(pursue, "execute", completes)
    begin(world, first)
    assert pursue.pursue(ports(world, world.nodes["c"]), ("driver",), APP)
    assert joined == [first.event.id, second.event.id]
