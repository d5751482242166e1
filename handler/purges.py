"""Purges of this node's snapshots, as often as Buttervolume's schedule says and by its pattern; what is still needed stays.

Called by :mod:`handler.copies`. When a purge was made is only in memory: after a start all are made once more, which changes nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping

from handler import chronicle
from handler.core import copies, names, record, retention
from handler.locks import Try
from handler.ports import Ports
from handler.residence import Residence, operations, residence
from handler.unfinished import operation_open

log = logging.getLogger(__name__)

Lines = Mapping[str, Mapping[str, int]]


class Purges:
    """One node's. ``attempt`` tries for an app's lock."""

    def __init__(self, ports: Ports, attempt: Try) -> None:
        self._ports, self._attempt = ports, attempt
        self._made: dict[tuple[str, str], float] = {}

    def due(self, lives: Residence, lines: Lines) -> list[tuple[str, str]]:
        """(volume, action) of an app whose timer is over."""
        now = self._ports.clock.monotonic()
        return [
            (volume, action)
            for volume in lives.volumes
            for action, minutes in lines.get(volume, {}).items()
            if action.startswith(copies.PURGE) and now - self._made.get((volume, action), float("-inf")) >= minutes * 60
        ]

    def purge(self, app: str) -> None:
        """Delete what the patterns that are due allow; nothing that a send, a slave or an operation may still need."""
        with self._attempt(app) as ours:
            ops = operations(self._ports.store, app) if ours else None
            lives = residence(self._ports.store, app, ops) if ops is not None and not operation_open(self._ports, ops) else None
            if lives is None:
                return
            points = self._points(lives)
            needed = self._remembered(app) | self._verified(app, lives) | set(next(iter(points), ()))
            for volume, action in self.due(lives, self._ports.volumes.schedules()):
                self._made[volume, action] = self._ports.clock.monotonic()
                try:
                    self._purge(app, volume, action.removeprefix(copies.PURGE), needed, set().union(*points))
                except ValueError as error:
                    log.error("%s: %s is scheduled for %s: %s", app, action, volume, error)  # noqa: TRY400 the trace tells nothing

    def _purge(self, app: str, volume: str, pattern: str, named: set[str], whole: set[str]) -> None:
        held = self._ports.volumes.stock().get(volume, ())
        gone = retention.drop(held, pattern, self._ports.clock.now(), retention.needed(held, named), whole)
        for name in gone:
            self._ports.volumes.drop(name)
        log.info("%s: purged %d of %d snapshots of %s", app, len(gone), len(held), volume)

    def _verified(self, app: str, lives: Residence) -> set[str]:
        """The last verified copies, as the slave said."""
        slave = lives.placement.slave
        entry = self._ports.store.get(names.node_key(slave)) if slave else None
        said = copies.said_of({slave: record.loads(entry.value if entry else None)}, slave, app)
        return {copies.snapshot_of(said, volume) for volume in lives.volumes}

    def _points(self, lives: Residence) -> tuple[frozenset[str], ...]:
        """Newest first; from the first one a takeover of this node would start, or a rollback to now."""
        stock = self._ports.volumes.stock()
        return retention.shared({volume: stock.get(volume, ()) for volume in lives.volumes})

    def _remembered(self, app: str) -> set[str]:
        """Snapshots that operations named: what can be rolled back to keeps its data, and what only a replaced master had stays.

        A first copy is the parent when its slave, as the master one day, sends something to this node.
        """
        found = set(chronicle.kept(self._ports.store, app, self._ports.members.me()))
        for entry in self._ports.store.tree(names.op_prefix(app)):
            named = record.loads(entry.value)
            if entry.key.endswith("/snapshots"):
                found |= set(map(str, named.values()))
            elif entry.key.endswith("/copied"):
                found |= set(map(str, (named.get("snapshots") or {}).values()))
        return found
