"""Rollback, in place: to the code and data of an earlier deploy, or to earlier data of this one.

The present state is snapshotted while the app is stopped, as in every replacement, so that a rollback can be rolled back.
"""

from __future__ import annotations

from handler.core import steps as s
from handler.core.model import Operation
from handler.core.plan import parts
from handler.core.plan.parts import Plan, Steps


def part(op: Operation, me: str) -> Plan:
    """The part of node ``me``."""
    if me == op.target:
        load: Steps = (s.LoadData(op.event.to),) if op.restore else ()
        return parts.in_place(op, f"roll back to {op.event.to}", load=load)
    return parts.stand_by(op) if me == op.after.slave else parts.nothing(op)
