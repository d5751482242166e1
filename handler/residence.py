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


@dataclass(frozen=True)
class Operations:
    """All that Consul knows below ``op/<app>/``, read at one moment, so that what is concluded from it fits together."""

    app: str
    parts: Mapping[tuple[str, str], Entry]
    """(event, part) -> its entry; the parts ``plan`` and ``outcome`` are its begin and its end."""

    @property
    def events(self) -> set[str]:
        """Those of which Consul knows anything."""
        return {event for event, _ in self.parts}

    def is_new(self, event: str) -> bool:
        """The operation of the event has neither begun nor ended."""
        return (event, "plan") not in self.parts and (event, "outcome") not in self.parts

    def ends(self) -> dict[str, str]:
        """What the outcome of each operation that has begun says, empty as long as there is none; also of those whose plan is broken."""
        return {event: self._text(event, "outcome") for event, part in self.parts if part == "plan"}

    def begun(self) -> list[Operation]:
        """The operations that have begun, oldest first; a plan that a person broke is left out."""
        return [op for event, _ in self._oldest_first("plan") if (op := self.operation(event)) is not None]

    def open(self) -> list[Operation]:
        """Those that have no outcome yet, oldest first."""
        return [op for op in self.begun() if (op.event.id, "outcome") not in self.parts]

    def operation(self, event: str) -> Operation | None:
        """The operation of an event; None when it has not begun, or a person broke its plan, or put it below another's key."""
        entry = self.parts.get((event, "plan"))
        op = _read(entry) if entry else None
        return op if op and (op.app, op.event.id) == (self.app, event) else None

    def ended(self) -> list[rollback.Ended]:
        """The operations that have their outcome, oldest first."""
        texts: dict[str, dict[str, str]] = {}
        for (event, part), entry in self.parts.items():
            texts.setdefault(event, {})[part] = entry.value
        return [rollback.Ended.read(texts[event]) for event, _ in self._oldest_first("outcome")]

    def last_commit(self) -> Residence | None:
        """Where it led the app."""
        for event, entry in reversed(self._oldest_first("outcome")):
            value = record.loads(entry.value)
            if value.get("outcome") == COMMITTED and isinstance(value.get("record"), dict):
                return Residence(event, value["record"])
        return None

    def _text(self, event: str, part: str) -> str:
        entry = self.parts.get((event, part))
        return entry.value if entry else ""

    def _oldest_first(self, part: str) -> list[tuple[str, Entry]]:
        found = [(event, entry) for (event, one), entry in self.parts.items() if one == part]
        return sorted(found, key=lambda item: item[1].index)


def _read(entry: Entry) -> Operation | None:
    try:
        return record.read_operation(entry.value)
    except (KeyError, TypeError, ValueError):
        log.error("%s is broken and ignored", entry.key)  # noqa: TRY400 a person edited it; the trace tells nothing
        return None


def operations(store: Store, app: str) -> Operations:
    """What Consul knows of the app's operations now."""
    prefix = names.op_prefix(app)
    parts: dict[tuple[str, str], Entry] = {}
    for entry in store.tree(prefix):
        event, _, part = entry.key.removeprefix(prefix).partition("/")
        parts[event, part] = entry
    return Operations(app, parts)


def residence(store: Store, app: str, ops: Operations | None = None) -> Residence | None:
    """Where the app lives; None when Consul knows nothing of it, which is no reason to stop anything. ``ops`` if read already.

    An app whose operations Consul does not know, as after a migration, lives where its record says.
    """
    ops = operations(store, app) if ops is None else ops
    if (lives := ops.last_commit()) is not None:
        return lives
    entry = store.get(names.record_key(app))
    value = record.loads(entry.value if entry else None)
    return Residence(str(value.get("event") or ""), value) if value else None
