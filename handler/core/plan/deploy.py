"""Deploy: by the role matrix."""

from __future__ import annotations

from collections.abc import Callable

from handler.core import steps as s
from handler.core.model import Operation
from handler.core.plan import parts
from handler.core.plan.parts import Plan, Steps, Undo
from handler.core.transitions import MATRIX, Recipe


def part(op: Operation, me: str) -> Plan:
    """The part of node ``me``."""
    return _RECIPES[MATRIX[op.before.role(me), op.after.role(me)]](op)


def _redeploy(op: Operation) -> Plan:
    """Master stays master: prepare beside the running app, then replace it."""
    return parts.in_place(op, Recipe.REDEPLOY.value)


def _receive(op: Operation) -> Plan:
    """Become master with the data of another node, or with none for a new app.

    Nobody waits for a new app; and Caddy, which asks for its certificates at once, would ask before a node leads the ACME server to it.
    """
    handover: Steps = (
        s.PrepareRoutes(),
        s.SayPrepared(op.source),
        s.AwaitReleased(op.source),
        s.VerifyCopies(),
        s.RestoreVolumes(),
    )
    keep = (op.previous_deploy_id,) if op.previous_deploy_id else ()
    return Plan(
        recipe=MATRIX[op.before.role(op.target), op.after.role(op.target)].value,
        leads=True,
        before=(*parts.prepare(op), *(handover if op.moves else ()), *parts.start(op)),
        undo=(Undo(s.TakeOwnership(op.deploy_id), (s.StopTrial(), s.GiveUpOwnership())),),
        committed=parts.serve(op),
        aborted=(
            parts.ROUTES_BACK,
            Undo(_first_write(op), (s.DropTrialVolumes(),)),
            Undo(s.FetchCode(op.deploy_id), (s.ReleaseClaims(), s.RemoveCheckouts(keep), s.WriteHistory())),
        ),
        again=parts.again(op),
    )


def _first_write(op: Operation) -> s.Step:
    """From this step on the target may have volumes that it did not have before."""
    if op.moves:
        return s.RestoreVolumes()
    return s.RunUpdate() if op.event.update else s.StartApp(op.deploy_id)


def _hand_over(op: Operation) -> Plan:
    """Be master no longer: copy, stop, release; afterwards stand by or forget."""
    target, stays = op.target, op.after.slave == op.source
    return Plan(
        recipe=(Recipe.HAND_OVER if stays else Recipe.LEAVE).value,
        before=(
            s.AwaitSends(op.volumes, target),
            s.PreCopy(op.volumes, target, "while the app runs"),
            s.AwaitPrepared(target),
            s.PreCopy(op.volumes, target, "once more before the switch"),
            s.HoldRequests(),
            s.StopApp(),
            s.SnapshotVolumes(op.volumes),
            s.SendSnapshots(target),
            s.SayReleased(target),
            s.AwaitOutcome(),
        ),
        committed=(*parts.leave(op, stays=stays), *(parts.stand_by_tail(op) if stays else parts.forget_tail(op, op.source))),
        aborted=parts.back(op),
    )


def _forget(op: Operation) -> Plan:
    return parts.onlooker(Recipe.FORGET.value, (*parts.leave(op), *parts.forget_tail(op, op.before.slave)))


_RECIPES: dict[Recipe, Callable[[Operation], Plan]] = {
    Recipe.REDEPLOY: _redeploy,
    Recipe.HAND_OVER: _hand_over,
    Recipe.LEAVE: _hand_over,
    Recipe.RECEIVE: _receive,
    Recipe.START: _receive,
    Recipe.STAND_BY: parts.stand_by,
    Recipe.FORGET: _forget,
    Recipe.NOTHING: parts.nothing,
}
