"""From a spooled message to an intent in Consul. Called by :mod:`handler.worker` for each file in the spool.

Every node gets every event, some nodes get it twice or late: the intent remembers the ids it has seen, so that one is accepted once;
``history/refused`` remembers those that were refused, so that none is accepted when the reason is gone.
"""

from __future__ import annotations

import logging

from handler import chronicle, errors
from handler.core import events, history, names, record
from handler.core.events import EventError, Message, check_nodes
from handler.core.kv import Create, Delete, Op, Swap
from handler.core.model import Event, Kind
from handler.ports import Entry, Ports

log = logging.getLogger(__name__)

SEEN = 256
"""As many ids as an agent may replay."""

REFUSALS = SEEN
"""Refused events remembered in ``history/``: each that an agent may replay."""


def intake(ports: Ports, message: Message) -> str | None:
    """Accept or refuse one message; returns the app to pursue, or None when it is refused or was before.

    Raises ``StoreUnavailable`` when Consul gives no answer: the message stays in the spool.
    """
    if _refused_before(ports, message):
        log.info("%s event %s was refused before and is ignored", message.name, message.id)
        return None
    try:
        event = events.parse(message)
        check_nodes(event, ports.members.nodes())
        _check_known(ports, event)
    except ValueError as error:  # an EventError is one; Consul's broken answers are not, they are ``StoreUnavailable``
        _refuse(ports, message, str(error))
        return None
    _accept(ports, event)
    return event.app


def _refused_before(ports: Ports, message: Message) -> bool:
    entry = ports.store.get(names.history_key(names.REFUSED, message.id))
    return entry is not None and history.final(record.loads(entry.value), ports.members.me(), ports.clock.now())


def _check_known(ports: Ports, event: Event) -> None:
    """All but a deploy are about apps that are there."""
    store, apps = ports.store, [] if event.kind is Kind.DEPLOY else [event.app]
    if event.origin_repo:
        apps.append(names.app_name(event.origin_repo, event.origin_branch))
    for app in apps:
        if not (store.get(names.record_key(app)) or store.get(names.intent_key(app))):
            raise EventError(f"{app} was never deployed here: nothing to {event.kind}")


def _accept(ports: Ports, event: Event) -> None:
    """Make the event the newest intent of its app, unless any node has seen it before."""
    key = names.intent_key(event.app)
    for _ in range(20):
        entry = ports.store.get(key)
        current, seen = record.read_intent(entry.value if entry else None)
        if event.id in seen:
            return
        ended = _superseded(ports, current, event) if current else []
        if ports.store.transact([_write(key, record.intent(event, [*seen, event.id][-SEEN:]), entry), *ended]):
            log.info("%s: %s %s accepted%s", event.app, event.kind, event.id, f", {current.id} superseded" if current and ended else "")
            return
    raise errors.Temporary(f"{key} changes faster than it can be written")


def _write(key: str, value: str, entry: Entry | None) -> Create | Swap:
    return Swap(key, value, entry.index) if entry else Create(key, value)


def _superseded(ports: Ports, old: Event, new: Event) -> list[Op]:
    """An intent that never began ends with the write of the next one; one that has begun goes on, and the new one follows it."""
    prefix = names.op_prefix(old.app, old.id)
    parts = {entry.key.removeprefix(prefix) for entry in ports.store.tree(prefix)}
    if parts & {"plan", "outcome"}:
        return []
    return chronicle.ended_early(old, ports.members.me(), f"superseded by {new.kind} {new.id}", ports.clock.now())


def _refuse(ports: Ports, message: Message, why: str) -> None:
    log.error("%s event %s is refused: %s", message.name, message.id, why)
    key = names.history_key(names.REFUSED, message.id)
    payload = events.hide_secret(message.payload)
    value = record.dumps(history.refusal(message.id, message.name, payload, why, ports.members.me(), ports.clock.now()))
    if ports.store.transact([Create(key, value)]):
        _prune(ports)


def _prune(ports: Ports) -> None:
    kept = sorted(ports.store.tree(names.history_key(names.REFUSED, "")), key=lambda entry: entry.index)
    for entry in kept[:-REFUSALS]:
        ports.store.transact([Delete(entry.key)])
