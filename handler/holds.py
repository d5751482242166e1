"""``maintenance/<app>`` with ``"mode": "hold"``: requests wait at every proxy while an operation switches. Used by actions and node."""

from __future__ import annotations

import logging
from typing import Any

from handler import errors
from handler.core import names, record
from handler.core.kv import CheckIndex, Delete, Op, Swap
from handler.core.model import Event
from handler.ports import Store

log = logging.getLogger(__name__)

_HOLD = "hold"
"""The mode in which requests wait; with any other they get the page."""
_TRIES = 5


def value(event: Event, node: str, now: float) -> dict[str, Any]:
    """What the key says: who holds since when (seconds since the epoch), and for which event."""
    return {"who": node, "since": now, "why": f"{event.kind} {event.id}", "mode": _HOLD}


def _event(text: str) -> str:
    return str(record.loads(text).get("why", "")).rpartition(" ")[2]


def lift(store: Store, app: str, event: str) -> None:
    """Lift the hold of an event, not that of a later one or of a person.

    The record names the event, since the proxies lift a hold when both have changed. Raises ``Temporary`` when it cannot be written.
    """
    if not any(_lifted(store, app, event) for _ in range(_TRIES)):
        raise errors.Temporary("the record changes faster than it can be written")


def _lifted(store: Store, app: str, event: str) -> bool:
    hold = store.get(names.hold_key(app))
    if hold is not None and _event(hold.value) != event:
        return True
    entry = store.get(names.record_key(app))
    known = record.loads(entry.value if entry else None)
    gone: list[Op] = [CheckIndex(hold.key, hold.index), Delete(hold.key)] if hold else []
    named: list[Op] = [Swap(entry.key, record.dumps({**known, "event": event}), entry.index)] if entry and known else []
    return store.transact([*named, *gone]) if named or gone else True


def lift_left_over(store: Store, app: str) -> None:
    """Lift the hold of an operation that has ended: the node that set it for a takeover may have died before it could.

    Called on the master when it serves and nothing is under way.
    """
    hold = store.get(names.hold_key(app))
    event = _event(hold.value) if hold and record.loads(hold.value).get("mode") == _HOLD else ""
    if event and store.get(names.op_key(app, event, "outcome")):
        log.warning("%s: requests are held for an operation that has ended: lift that", app)
        lift(store, app, event)
