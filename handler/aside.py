"""Snapshots that are no copies of the app that has their volume now: a takeover does not start from them, no slave names them, a node that
becomes nothing keeps them. A rollback can go to one by its exact time; a purge thins them out.

There are two kinds: what a destroyed app left, and what only this node had when it was replaced as the master, or found live when it
brought in other data (see :mod:`handler.chronicle`). Each node notes them beside the snapshots: neither clocks nor the order in which they
came can tell.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import takewhile

from handler import claims
from handler.core import record
from handler.ports import Ports
from handler.residence import operations


def put(ports: Ports, app: str, event: str, volumes: Iterable[str]) -> None:
    """Put aside what this node has of an app that was destroyed by ``event``. Called when the node learns of that.

    It may learn of it late, when the next app that has the name, of this or another repository, has sent something already: what the
    operations of that one name, and what came here after that, is left out. Raises what the ports do.
    """
    stock, owners = ports.volumes.stock(), claims.owners(ports.store)
    found: list[str] = []
    for volume in volumes:
        named = _named(ports, owners.get(volume) or app, event)
        old = takewhile(lambda one, named=named: one.name not in named, stock.get(volume, ()))  # type: ignore[misc]
        found += [one.name for one in old if not one.aside]
    if found:
        ports.volumes.put_aside(found)


def _named(ports: Ports, app: str, event: str) -> set[str]:
    """Snapshots that an app's operations have taken or sent: those after an event, or all when it is none of the app's."""
    ops = operations(ports.store, app)
    events = [op.event.id for op in ops.begun()]
    later = events[events.index(event) + 1 :] if event in events else events
    found: set[str] = set()
    for one in later:
        sent, taken = (ops.parts.get((one, part)) for part in ("sent", "snapshots"))
        found |= set(map(str, (record.loads(sent.value if sent else None).get("snapshots") or {}).values()))
        found |= set(map(str, record.loads(taken.value if taken else None).values()))
    return found
