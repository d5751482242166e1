"""Destroy: containers, volumes, schedules, record and service go; snapshots, the last one just taken, stay."""

from __future__ import annotations

from handler.core import steps as s
from handler.core.model import Operation
from handler.core.plan import parts
from handler.core.plan.parts import Plan, Steps, Undo


def part(op: Operation, me: str) -> Plan:
    """The part of node ``me``: every node forgets, the master after it has stopped the app."""
    copies: Steps = (s.PutCopiesAside(op.volumes),) if op.volumes else ()
    gone = (*parts.leave(op), *copies, s.RemoveCheckouts(()))
    if me != op.source:
        return parts.onlooker("forget", gone)
    sends = s.AwaitSends(op.volumes, "")
    return Plan(
        recipe="destroy",
        leads=True,
        before=(sends, s.HoldRequests(), s.StopApp(), s.SnapshotVolumes(op.volumes), s.CommitDestroy()),
        committed=(*gone, s.ReleaseClaims(), s.WriteHistory()),
        aborted=(*parts.back(op), Undo(sends, (s.WriteHistory(),))),
    )
