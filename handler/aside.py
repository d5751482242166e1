"""Snapshots that are no copies of the app that has their volume now: a takeover does not start from them, no slave names them, a node that
becomes nothing keeps them. A rollback can go to one by its exact time; a purge thins them out.

There are two kinds: what a destroyed app left, and what only this node had when it was replaced as the master, or found live when it
brought in other data (see :mod:`handler.chronicle`). Each node notes them beside the snapshots: neither clocks nor the order in which they
came can tell.
"""

from __future__ import annotations

from collections.abc import Iterable

from handler import claims
from handler.core import names, record
from handler.ports import Ports
from handler.residence import operations


def put(ports: Ports, app: str, event: str, volumes: Iterable[str]) -> None:
    """Put aside what this node has of an app that was destroyed by ``event``. Called when the node learns of that.

    It may learn of it late, when the next app of that name has sent something already: what that one's operations name is left out.
    """
    stock = ports.volumes.stock()
    mine = claims.without_others(ports.store, app, volumes)
    found = {one.name for volume in mine for one in stock.get(volume, ()) if not one.aside}
    if gone := found and found - _named_later(ports, app, event):
        ports.volumes.put_aside(sorted(gone))


def _named_later(ports: Ports, app: str, event: str) -> set[str]:
    events = [op.event.id for op in operations(ports.store, app)]
    later = events[events.index(event) + 1 :] if event in events else events
    found: set[str] = set()
    for one in later:
        sent, taken = (ports.store.get(names.op_key(app, one, part)) for part in ("sent", "snapshots"))
        found |= set(map(str, (record.loads(sent.value if sent else None).get("snapshots") or {}).values()))
        found |= set(map(str, record.loads(taken.value if taken else None).values()))
    return found
