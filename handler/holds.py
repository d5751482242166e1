"""``maintenance/<app>`` with ``"mode": "hold"``: requests wait at every proxy while an operation switches. Used by actions and node.

A person may have put something of their own there, a page or a hold. That does what a hold does, and is the person's to take away.
"""

from __future__ import annotations

import logging
from typing import Any

from handler import errors
from handler.core import names, record
from handler.core.kv import CheckAbsent, CheckIndex, Create, Delete, Op, Swap
from handler.core.model import Event
from handler.ports import Entry, Store

log = logging.getLogger(__name__)

_HOLD = "hold"
"""The mode in which requests wait; with any other they get the page."""
_TRIES = 5


def _value(event: Event, node: str, now: float) -> dict[str, Any]:
    """What the key says: who holds since when (seconds since the epoch), and for which event."""
    return {"who": node, "since": now, "why": f"{event.kind} {event.id}", "mode": _HOLD, "event": event.id}


def _event(hold: Entry | None) -> str:
    """The event for which a hold was put; empty for none, and for a person's."""
    said = record.loads(hold.value if hold else None)
    return str(said.get("event") or "") if said.get("mode") == _HOLD else ""


def put(store: Store, event: Event, node: str, now: float) -> bool:
    """Hold the requests of an event's app; False when the operation has ended meanwhile. What is a person's is left as it is.

    ``now`` is in seconds since the epoch. Raises ``Temporary`` when it cannot be written.
    """
    key, outcome = names.hold_key(event.app), names.op_key(event.app, event.id, "outcome")
    text = record.dumps(_value(event, node, now))
    for _ in range(_TRIES):
        found = store.get(key)
        if found and not _event(found):
            log.warning("%s: %s is a person's, and stays after this operation: %s", event.app, key, found.value)
            return store.get(outcome) is None
        if store.transact([CheckAbsent(outcome), Swap(key, text, found.index) if found else Create(key, text)]):
            return True
        if store.get(outcome):
            return False
    raise errors.Temporary(f"{key} changes faster than it can be written")


def lifting(store: Store, app: str, event: str = "") -> list[Op]:
    """What lifts an operation's hold, only that of ``event`` if given: for a transaction, which fails when a person changed it."""
    hold = store.get(names.hold_key(app))
    found = _event(hold)
    return [CheckIndex(hold.key, hold.index), Delete(hold.key)] if hold and found and event in ("", found) else []


def lift(store: Store, app: str, event: str) -> None:
    """Lift the hold of an event, not that of a later one or of a person.

    The record names the event, since the proxies lift a hold when both have changed. Raises ``Temporary`` when it cannot be written.
    """
    if not any(_lifted(store, app, event) for _ in range(_TRIES)):
        raise errors.Temporary("the record changes faster than it can be written")


def _lifted(store: Store, app: str, event: str) -> bool:
    gone = lifting(store, app, event)
    if not gone and store.get(names.hold_key(app)):
        return True
    entry = store.get(names.record_key(app))
    known = record.loads(entry.value if entry else None)
    named: list[Op] = [Swap(entry.key, record.dumps({**known, "event": event}), entry.index)] if entry and known else []
    return store.transact([*named, *gone]) if named or gone else True


def lift_left_over(store: Store, app: str) -> None:
    """Lift the hold of an operation that has ended: the node that set it for a takeover may have died before it could.

    Called on the master when it serves and nothing is under way.
    """
    event = _event(store.get(names.hold_key(app)))
    if event and store.get(names.op_key(app, event, "outcome")):
        log.warning("%s: requests are held for an operation that has ended: lift that", app)
        lift(store, app, event)
