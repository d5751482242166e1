"""The trial copy of an operation that was aborted in its leader's place: before anything else of the app is started, it has to be gone.

A leader stops its trial when it fails or loses its lease. One whose handler was killed cannot do that before it is started again; it
says ``cleaned`` then. A node that has left the cluster is dead, so that nothing can start there without its token, or has stopped its
trial long ago by itself.
"""

from __future__ import annotations

from collections.abc import Iterable

from handler.core import limits, names, record
from handler.core.model import Operation
from handler.ports import Ports
from handler.residence import ABORTED

CLEANED = "cleaned"
"""Part of the hand-over: the leader has taken back its trial copy."""
_LOOK_AGAIN = 5.0


def await_gone(ports: Ports, app: str, ops: Iterable[Operation]) -> str:
    """Wait until no trial of ``ops``, operations of ``app``, can run any more.

    Returns an empty string, or the node on which one may still run when the time is over.
    """
    clock, open_still = ports.clock, list(ops)
    deadline, index = clock.monotonic() + limits.BEGIN, 0
    while open_still := [op for op in open_still if _may_run(ports, op)]:
        if clock.monotonic() > deadline:
            return open_still[0].target
        index = ports.store.wait(names.op_prefix(app), index, _LOOK_AGAIN)
    return ""


def _may_run(ports: Ports, op: Operation) -> bool:
    prefix = names.op_prefix(op.app, op.event.id)
    said = {entry.key.removeprefix(prefix): entry.value for entry in ports.store.tree(prefix)}
    end = record.loads(said.get("outcome"))
    if end.get("outcome") != ABORTED or end.get("by") == op.target or CLEANED in said:
        return False
    node = ports.members.nodes().get(op.target)
    return bool(node and node.alive)
