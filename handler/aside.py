"""Snapshots that are no copies any more: those of an app that was destroyed, until a purge or a person deletes them.

An app that has the name of the volume later may be rolled back to them, but is not taken over from them. Each node notes the names of its
own, beside its journals: it is about what is on its disk, and neither clocks nor the order of arrival can tell.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from handler.core.copies import Held
from handler.ports import Ports

_JOURNAL = "aside"
"""In the place of an app, whose names have a dot; that of the event is the volume's."""


def put(ports: Ports, volumes: Iterable[str]) -> None:
    """Put aside all snapshots of ``volumes`` that this node has now. Called when it learns that their app is destroyed."""
    stock = ports.volumes.stock()
    for volume in volumes:
        known = ports.journal.done(_JOURNAL, volume)
        for one in stock.get(volume, ()):
            if one.name not in known:
                ports.journal.mark(_JOURNAL, volume, one.name)


def without(ports: Ports, stock: Mapping[str, Sequence[Held]]) -> dict[str, Sequence[Held]]:
    """This node's snapshots by volume, but for those that were put aside."""
    return {volume: _but(ports.journal.done(_JOURNAL, volume), held) for volume, held in stock.items()}


def _but(names: frozenset[str], held: Sequence[Held]) -> Sequence[Held]:
    return [one for one in held if one.name not in names] if names else held
