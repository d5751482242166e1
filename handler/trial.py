"""Trial copies that nobody leads any more: before anything else of the app is started, they have to be gone.

A leader stops its trial when it fails or loses its lease. One whose handler was killed does that as soon as it is started again, and
says ``cleaned`` when the outcome is known. A node that has left the cluster is dead, so that nothing can start there without its token,
or has stopped its trial by itself. (Unless its handler stays dead or stalls, or its Docker does not answer: see docs/guarantees.rst.)
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable

from handler.core import entries, limits, names, record
from handler.core.model import Operation
from handler.core.steps import Commit, TakeOwnership
from handler.ports import Ports
from handler.residence import ABORTED, COMMITTED

log = logging.getLogger(__name__)

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


def stop_unsure(ports: Ports, app: str, *, committing: bool) -> None:
    """Stop the trial copy that this node had begun, from its token and scripts on, when its handler died: a restarted leader gives up, and
    a node that is cut off is soon taken for dead, so that the old copy may start elsewhere. Called by the worker when it starts, before it
    asks Consul for anything.

    ``committing``: also one that may have been committed. That is asked for while Consul does not say what became of it.
    """
    deploy_id = ports.deploys.owned(app)
    journals = [ports.journal.done(app, event) for event in ports.journal.events(app)] if deploy_id else []
    if any(_unsure(done, str(deploy_id), committing=committing) for done in journals):
        log.warning("%s: the handler was restarted while a trial copy ran: stop it", app)
        ports.compose.stop(names.project_name(app), limits.STOP)
        ports.deploys.disown(app)


def left(ports: Ports, app: str, but: str = "") -> set[str]:
    """Volumes of versions that failed here, and that could not be removed yet; not those of event ``but``."""
    journals = [ports.journal.done(app, event) for event in ports.journal.events(app) if event != but]
    failed = [done for done in journals if entries.entered(done, ABORTED) and entries.CONCLUDED not in done]
    return {volume for done in failed for volume in entries.all_absent(done)}


def _unsure(done: Collection[str], deploy_id: str, *, committing: bool) -> bool:
    if entries.begun(entries.BEFORE, TakeOwnership(deploy_id)) not in done or entries.CONCLUDED in done:
        return False
    if entries.entered(done, COMMITTED) or entries.entered(done, ABORTED):
        return False  # what runs since is in service
    return committing or not entries.any_begun(done, entries.BEFORE, Commit)


def _may_run(ports: Ports, op: Operation) -> bool:
    prefix = names.op_prefix(op.app, op.event.id)
    said = {entry.key.removeprefix(prefix): entry.value for entry in ports.store.tree(prefix)}
    end = record.loads(said.get("outcome"))
    if end.get("outcome") != ABORTED or end.get("by") == op.target or CLEANED in said:
        return False
    node = ports.members.nodes().get(op.target)
    return bool(node and node.alive)
