"""What one node does in one operation: from the kind of its event, and the node's roles before and after, to steps.

Used by :mod:`handler.pursue` and by tests; one module for each shape that an operation can have.
"""

from __future__ import annotations

from collections.abc import Callable

from handler.core.model import Kind, Operation
from handler.core.plan import deploy, destroy, migrate, rollback, takeover
from handler.core.plan.parts import Plan, Steps, Undo

__all__ = ["Plan", "Steps", "Undo", "plan"]

_KINDS: dict[Kind, Callable[[Operation, str], Plan]] = {
    Kind.DEPLOY: deploy.part,
    Kind.DESTROY: destroy.part,
    Kind.ROLLBACK: rollback.part,
    Kind.TAKEOVER: takeover.part,
    Kind.MIGRATE: migrate.part,
}


def plan(op: Operation, me: str) -> Plan:
    """The part of node ``me`` in ``op``."""
    return _KINDS[op.event.kind](op, me)
