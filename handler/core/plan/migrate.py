"""Migrate: the data of one app into another, which is stopped meanwhile; the one that gives its data serves on."""

from __future__ import annotations

from dataclasses import replace

from handler.core import steps as s
from handler.core.model import Operation, Origin
from handler.core.plan import parts
from handler.core.plan.parts import Plan, Steps, Undo


def part(op: Operation, me: str) -> Plan:
    """The part of node ``me``, which may be concerned for both apps."""
    if op.origin is None:
        raise ValueError(f"the plan of migrate {op.event.id} does not say whose data it brings")
    drop: Steps = () if op.origin.keeps else (s.DropOrigin(op.origin.app),)
    if me == op.target:
        return _receive(op, op.origin, drop)
    made = parts.stand_by(op) if me == op.after.slave else parts.nothing(op)
    return _give(op, op.origin, drop, made) if me == op.origin.master else made


def _receive(op: Operation, origin: Origin, drop: Steps) -> Plan:
    arrive: s.Step = s.SnapshotOrigin(origin.app) if origin.master == op.target else s.AwaitReleased(origin.master)
    made = parts.in_place(
        op,
        f"bring in the data of {origin.app}",
        first=(arrive, s.VerifyCopies()),
        load=(s.LoadData(origin.app),),
        scripts=(s.RunPostMigrate(origin.app),),
    )
    return replace(made, committed=(*made.committed, *drop), aborted=(*made.aborted, *((Undo(arrive, drop),) if drop else ())))


def _give(op: Operation, origin: Origin, drop: Steps, made: Plan) -> Plan:
    """The giving node may be the slave of the app that gets the data, too: ``made`` is that part."""
    snapshot = s.SnapshotOrigin(origin.app)
    return replace(
        made,
        recipe=f"give the data of {origin.app}",
        before=(snapshot, s.SendOrigin(op.target), s.AwaitOutcome()),
        committed=(*made.committed, *drop),
        aborted=(Undo(snapshot, drop),) if drop else (),
        vetoes=True,  # the target waits for the data
    )
