"""What is unfinished of an app's operations, as this node sees it. Asked by who starts, copies, purges or gives an app outside of them."""

from __future__ import annotations

from handler.core import names, record
from handler.core.entries import CONCLUDED
from handler.ports import Ports
from handler.residence import ABORTED


def operation_open(ports: Ports, app: str) -> bool:
    """An operation has begun and has no outcome, or our part of it is not complete."""
    return any(not end or _in_the_middle(ports, app, event) for event, end in _ends(ports, app).items())


def without_end(ports: Ports, app: str) -> set[str]:
    """The events whose operations have no outcome, as far as Consul knows."""
    return {event for event, end in _ends(ports, app).items() if not end}


def settled(ports: Ports, app: str) -> frozenset[str] | None:
    """The operations that Consul knows, when none of them may still change the app's data here, or take back what it changed; else None.

    Asked before and after something that needs the app as it is, by who has not its lock: when both are the same, nothing came between.
    """
    ends = _ends(ports, app)
    unsure = any(not end or (end == ABORTED and _in_the_middle(ports, app, event)) for event, end in ends.items())
    return None if unsure else frozenset(ends)


def _ends(ports: Ports, app: str) -> dict[str, str]:
    """The outcome of each operation that has begun, empty as long as there is none."""
    prefix, planned, ends = names.op_prefix(app), [], {}
    for entry in ports.store.tree(prefix):
        event, _, part = entry.key.removeprefix(prefix).partition("/")
        if part == "plan":
            planned.append(event)
        elif part == "outcome":
            ends[event] = str(record.loads(entry.value).get("outcome") or "broken")
    return {event: ends.get(event, "") for event in planned}


def _in_the_middle(ports: Ports, app: str, event: str) -> bool:
    done = ports.journal.done(app, event)
    return bool(done) and CONCLUDED not in done
