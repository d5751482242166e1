"""Where an app and its data live: what the last commit said. Everybody who starts, stops, moves or forgets something asks here.

People may edit, break or delete ``app/<name>`` in Consul's UI; that changes where requests go, never where data lives (see
docs/architecture.rst). So each commit keeps its record in its outcome too, which only operations write.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from handler.core import names, record, rollback
from handler.core.model import Operation, Placement
from handler.ports import Entry, Store

log = logging.getLogger(__name__)

COMMITTED, ABORTED = "committed", "aborted"


@dataclass(frozen=True)
class Residence:
    """``record`` is that of the last commit, empty after a destroy; ``event`` the one that led to it."""

    event: str = ""
    record: Mapping[str, Any] = field(default_factory=dict)

    @property
    def placement(self) -> Placement:
        """Master and slave."""
        return record.placement(dict(self.record))

    @property
    def volumes(self) -> tuple[str, ...]:
        """Docker's names of its volumes on Buttervolume; none when a person broke them, see :attr:`broken`."""
        return () if self.broken else tuple(self.record.get("volumes") or ())

    @property
    def broken(self) -> bool:
        """Nobody knows what the app's volumes are: no operation may begin as if it had none."""
        found = self.record.get("volumes") or []
        return not isinstance(found, list) or not all(isinstance(name, str) and names.is_volume(name) for name in found)

    @property
    def deploy_id(self) -> str:
        """The deploy that is in service."""
        return str(self.record.get("deploy_id") or "")


def is_still(store: Store, app: str, event: str) -> bool:
    """Whether the app lives as the commit of ``event`` said. Asked before a copy is sent that has waited: the last that comes counts."""
    return (residence(store, app) or Residence()).event == event


def outcome(found: str, by: str, **more: Any) -> str:
    """The value of ``op/<name>/<event>/outcome``; a commit adds its ``record``."""
    return record.dumps({"outcome": found, "by": by, **more})


def operations(store: Store, app: str) -> list[Operation]:
    """The operations that have begun, oldest first; a plan that a person broke is left out."""
    entries = [entry for entry in store.tree(names.op_prefix(app)) if entry.key.endswith("/plan")]
    return [op for entry in sorted(entries, key=lambda entry: entry.index) if (op := _read(entry)) is not None]


def operation(store: Store, app: str, event: str) -> Operation | None:
    """The operation of an event, as far as Consul knows it."""
    entry = store.get(names.op_key(app, event, "plan")) if event else None
    return _read(entry) if entry else None


def _read(entry: Entry) -> Operation | None:
    try:
        return record.read_operation(entry.value)
    except (KeyError, TypeError, ValueError):
        log.error("%s is broken and ignored", entry.key)  # noqa: TRY400 a person edited it; the trace tells nothing
        return None


def ended(store: Store, app: str) -> list[rollback.Ended]:
    """The operations that have their outcome, as far as Consul still knows them, oldest first."""
    prefix = names.op_prefix(app)
    parts: dict[str, dict[str, str]] = {}
    order: dict[str, int] = {}
    for entry in store.tree(prefix):
        event, _, part = entry.key.removeprefix(prefix).partition("/")
        parts.setdefault(event, {})[part] = entry.value
        if part == "outcome":
            order[event] = entry.index
    return [rollback.Ended.read(parts[event]) for event in sorted(order, key=lambda event: order[event])]


def residence(store: Store, app: str) -> Residence | None:
    """Where the app lives; None when Consul knows nothing of it, which is no reason to stop anything.

    An app whose operations Consul does not know, as after a migration, lives where its record says.
    """
    prefix = names.op_prefix(app)
    outcomes = [entry for entry in store.tree(prefix) if entry.key.endswith("/outcome")]
    for entry in sorted(outcomes, key=lambda entry: entry.index, reverse=True):
        value = record.loads(entry.value)
        if value.get("outcome") == COMMITTED and isinstance(value.get("record"), dict):
            return Residence(entry.key.removeprefix(prefix).partition("/")[0], value["record"])
    entry_now = store.get(names.record_key(app))
    known = record.loads(entry_now.value if entry_now else None)
    return Residence(str(known.get("event") or ""), known) if known else None
