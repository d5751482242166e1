"""Takeover: the master is dead, or may be treated so; another node starts the present deploy from its newest verified copy."""

from __future__ import annotations

from handler.core import points
from handler.core import steps as s
from handler.core.model import Operation, Role
from handler.core.plan import parts
from handler.core.plan.parts import Plan, Steps, Undo


def part(op: Operation, me: str) -> Plan:
    """The part of node ``me``."""
    if me == op.target:
        return _take(op)
    if me == op.source:
        return _replaced(op)
    return parts.stand_by(op) if me == op.after.slave else parts.nothing(op)


def _take(op: Operation) -> Plan:
    """The former master is given a moment to stop, if it lives; nothing waits for it."""
    load: Steps = (s.LoadData(f"{op.source} as of {points.oldest_time(dict(op.restore).values())}"),) if op.restore else ()
    start = parts.start(op)
    keep = (op.deploy_id,) if op.before.role(op.target) is Role.SLAVE else ()
    before = (*parts.prepare(op), s.AwaitStopped(op.source), s.HoldRequests(), s.PrepareRoutes(), *load, *start)
    return Plan(
        recipe=f"take over from {op.source}",
        leads=True,
        before=before,
        undo=(Undo(start[0], (s.StopTrial(), s.GiveUpOwnership())),),
        committed=parts.serve(op),
        aborted=(
            parts.ROUTES_BACK,
            Undo((*load, *start)[0], (s.DropTrialVolumes(),)),
            Undo(s.HoldRequests(), (s.LiftHold(),)),
            Undo(before[0], (s.RemoveCheckouts(keep), s.WriteHistory())),
        ),
        again=parts.again(op),
    )


def _replaced(op: Operation) -> Plan:
    """The former master, whenever it learns of it: stop at once, keep what was written as a snapshot, become what the record says.

    It may be so broken that it cannot even stop; that must not keep another node from taking over.
    """
    stays = op.after.slave == op.source
    return Plan(
        recipe="replaced",
        vetoes=False,
        before=(s.StopApp(), s.SayStopped(op.target), s.AwaitOutcome()),
        committed=(*parts.leave(op, stays=stays), *(parts.stand_by_tail(op) if stays else parts.forget_tail(op, op.source))),
        aborted=parts.back(op),
    )
