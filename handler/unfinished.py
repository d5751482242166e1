"""What is unfinished of an app's operations, as this node sees it. Asked by who starts, copies, purges or gives an app outside of them."""

from __future__ import annotations

import logging

from handler.core import names, record
from handler.core.entries import CONCLUDED
from handler.ports import Ports
from handler.residence import ABORTED, COMMITTED, Operations, operations, outcome

log = logging.getLogger(__name__)


def operation_open(ports: Ports, ops: Operations) -> bool:
    """An operation has begun and has no outcome, or our part of it is not complete."""
    return any(not end or _in_the_middle(ports, ops.app, event) for event, end in ops.ends().items())


def end_again(ports: Ports, app: str) -> None:
    """End what has no outcome although this node has concluded it: a backup of before was restored, and nobody would ever end it."""
    for event, end in operations(ports.store, app).ends().items():
        if not end and CONCLUDED in ports.journal.done(app, event):
            log.error("%s: %s ended once, and Consul does not know of it any more: it is aborted", app, event)
            value = outcome(ABORTED, ports.members.me(), why="it ended once, and a backup of Consul of before was restored")
            ports.store.transact([names.create_outcome(app, event, value)])


def settled(ports: Ports, app: str) -> frozenset[str] | None:
    """The operations that Consul knows, when none of them may still change the app's data here, or take back what it changed; else None.

    Asked before and after something that needs the app as it is, by who has not its lock: when both are the same, nothing came between.
    """
    ends = operations(ports.store, app).ends()
    unsure = any(not end or (_in_the_middle(ports, app, event) and not _committed(end)) for event, end in ends.items())
    return None if unsure else frozenset(ends)


def _committed(end: str) -> bool:
    return bool(record.loads(end).get("outcome") == COMMITTED)


def _in_the_middle(ports: Ports, app: str, event: str) -> bool:
    done = ports.journal.done(app, event)
    return bool(done) and CONCLUDED not in done
