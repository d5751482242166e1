"""``history/<name>/<event>``: what is known of an operation, from whoever knows something. Used by actions and :mod:`handler.node`.

The node that ended the operation writes the entry; others may have something to add, before it or long after.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from handler import errors
from handler.core import history, names, record
from handler.core.kv import CheckAbsent, Create, Op, Set, Swap
from handler.core.model import Event
from handler.ports import Ports, Store
from handler.residence import ABORTED, outcome

_TRIES = 20


def write(store: Store, app: str, event: str, entry: Mapping[str, Any]) -> None:
    """The entry itself; what others added before stays."""
    _change(store, app, event, lambda known: history.completed(known, entry))


def ended_early(event: Event, me: str, why: str, now: float) -> list[Op]:
    """The outcome and the history of an event whose operation never began, to be written in one transaction: nobody would add what is
    missing after a crash. It does not hold when the operation has begun or ended meanwhile. ``now`` is in seconds since the epoch.
    """
    return [
        CheckAbsent(names.op_key(event.app, event.id, "plan")),
        names.create_outcome(event.app, event.id, outcome(ABORTED, me, why=why)),
        Set(names.history_key(event.app, event.id), record.dumps(history.refusal(event.id, event.kind, "", why, me, now))),
    ]


def add_kept(store: Store, app: str, event: str, node: str, kept: Collection[str]) -> None:
    """Name the snapshots of what only ``node`` had when it learned that it had been replaced."""
    if kept:
        _change(store, app, event, lambda known: history.with_kept(known, app, event, node, kept))


def keep(ports: Ports, app: str, event: str, volumes: Sequence[str]) -> Mapping[str, str]:
    """Snapshot the last state of ``volumes``, which are about to be removed here, and name it; returns what was taken now.

    When all were named for this event, and not written to since, they are not taken again: a volume that cannot be removed would get a
    snapshot with each try. Else all are, so that they are one point. They are put aside, as they belong to no copy that serves.
    """
    entry, me = ports.store.get(names.history_key(app, event)), ports.members.me()
    before = history.kept(record.loads(entry.value if entry else None), me)

    def is_kept(volume: str) -> bool:
        return any(ports.volumes.unchanged(volume, name) for name in before if name.startswith(f"{volume}@"))

    taken = {} if all(map(is_kept, volumes)) else ports.volumes.snapshot(volumes, aside=True)
    if taken:
        add_kept(ports.store, app, event, me, taken.values())
    return taken


def kept(store: Store, app: str, node: str) -> frozenset[str]:
    """All snapshots of an app that :func:`add_kept` has named for ``node``."""
    entries = [record.loads(entry.value) for entry in store.tree(names.history_key(app, ""))]
    return frozenset(name for entry in entries for name in history.kept(entry, node))


def _change(store: Store, app: str, event: str, change: Callable[[dict[str, Any]], Mapping[str, Any]]) -> None:
    key = names.history_key(app, event)
    for _ in range(_TRIES):
        entry = store.get(key)
        text = record.dumps(change(record.loads(entry.value if entry else None)))
        if store.transact([Swap(key, text, entry.index) if entry else Create(key, text)]):
            return
    raise errors.Temporary(f"{key} changes faster than it can be written")
