"""What is remembered of an operation: the value of ``history/<name>/<event>``. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from handler.core import points
from handler.core import steps as s
from handler.core.events import hide_secret
from handler.core.model import Kind, Operation

_DOWN = (
    s.HoldRequests,
    s.StopApp,
    s.SnapshotVolumes,
    s.SendSnapshots,
    s.SayReleased,
    s.VerifyCopies,
    s.RestoreVolumes,
    s.LoadData,
    s.TakeOwnership,
    s.RunPostMigrate,
    s.RunUpdate,
    s.StartApp,
    s.AwaitHealthy,
    s.Commit,
)
"""The steps during which requests wait, in a deploy of an app that was there before."""


def timing(step: s.Step, node: str, seconds: float) -> dict[str, Any]:
    """One line of the durations; ``down`` says whether requests had to wait meanwhile."""
    return {"step": str(step), "node": node, "seconds": round(seconds, 3), "down": isinstance(step, _DOWN)}


def entry(
    op: Operation,
    by: str,
    outcome: Mapping[str, Any],
    copied: Mapping[str, Any] | None,
    timings: Sequence[Mapping[str, Any]],
    tail: str,
    state: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """All that a person may want to know afterwards. ``downtime`` (seconds) is None for a new app, a takeover or an abort.

    ``state`` are the snapshots (volume -> name) of the app's last state before the operation, taken while it was stopped.
    """
    committed = outcome.get("outcome") == "committed"
    served_before = bool(op.source) and op.event.kind is not Kind.TAKEOVER
    return {
        "event": op.event.id,
        "kind": str(op.event.kind),
        "app": op.app,
        "repo": hide_secret(op.event.repo),
        "branch": op.event.branch,
        "from": {"master": op.before.master, "slave": op.before.slave, "deploy_id": op.previous_deploy_id},
        "to": {"master": op.after.master, "slave": op.after.slave, "deploy_id": op.deploy_id},
        "outcome": outcome.get("outcome", ""),
        "why": outcome.get("why", ""),
        "tail": outcome.get("tail") or tail,
        "by": by,
        "started": op.started,
        "data": data(op),
        "restored": dict(op.restore),
        "state": points.oldest_time((state or {}).values()),
        "copy": bool(copied and not copied.get("error")),
        "steps": [dict(t) for t in timings],
        "downtime": round(sum(t["seconds"] for t in timings if t.get("down")), 3) if committed and served_before else None,
    }


def data(op: Operation) -> str:
    """In one line, which data the app has after the operation when it is not simply the newest; and what may be lost."""
    if op.event.kind is Kind.TAKEOVER:
        since = points.oldest_time(dict(op.restore).values())
        why = "because this was forced" if op.event.force else "if it was only cut off"
        both = f"; {op.source} may have served as well for a time, {why}"
        newest = f"the copy of {since}{_age(op, since)}; what was written on {op.source} after it is not in it" if since else "no volumes"
        return newest + _mixed(op) + both
    if op.event.kind is Kind.ROLLBACK:
        times = sorted({points.time_of(name) for name in dict(op.restore).values()})
        return f"that of {', '.join(times)}{_mixed(op)}" if times else "there are no volumes"
    return f"that of {op.origin.app}" if op.origin else ""


def _mixed(op: Operation) -> str:
    """Volumes that do not fit together are told one by one."""
    times = {volume: points.time_of(name) for volume, name in op.restore}
    each = ", ".join(f"{volume} of {time}" for volume, time in times.items())
    return f"; not one point: {each}" if len(set(times.values())) > 1 else ""


def began(op: Operation) -> float:
    """When it began, in seconds since the epoch; 0 when that cannot be read."""
    try:
        return datetime.fromisoformat(op.started).timestamp()
    except ValueError:
        return 0.0


def _age(op: Operation, since: str) -> str:
    seconds = points.age(since, datetime.fromtimestamp(began(op), UTC).replace(tzinfo=None)) if began(op) else None
    return "" if seconds is None else f", {seconds / 60:.0f} min old"


def completed(known: Mapping[str, Any], entry: Mapping[str, Any]) -> dict[str, Any]:
    """The entry, with what was added before it was written."""
    return {**entry, **({"kept": known["kept"]} if known.get("kept") else {})}


def kept(known: Mapping[str, Any], node: str) -> list[str]:
    """The names of snapshots that :func:`with_kept` has added for ``node``."""
    found = (known.get("kept") or {}).get(node) or ()
    return [str(name) for name in found]


def with_kept(known: Mapping[str, Any], app: str, event: str, node: str, names: Collection[str]) -> dict[str, Any]:
    """``known`` with the names of snapshots that a replaced node kept: under ``kept``, node -> names."""
    return {"app": app, "event": event, **known, "kept": {**(known.get("kept") or {}), node: sorted({*kept(known, node), *names})}}


SETTLED = 10.0
"""Seconds after which a refusal is final for all nodes; until then one that knows a new node or app already may still accept the event."""


def final(refused: Mapping[str, Any], me: str, now: float) -> bool:
    """Whether a refused event stays refused, whatever ``me`` would say of it now.

    A node never takes back its own word. ``now`` is by the clock of ``me``, in seconds since the epoch; an entry without a time that can
    be read is an old one.
    """
    try:
        return refused.get("by") == me or now - datetime.fromisoformat(str(refused.get("started"))).timestamp() > SETTLED
    except (ValueError, OverflowError):
        return True


def refusal(event: str, kind: str, payload: str, why: str, by: str, now: float) -> dict[str, Any]:
    """The entry for an event that was refused, or ended before it began; ``now`` in seconds since the epoch."""
    started = datetime.fromtimestamp(now, UTC).isoformat(timespec="seconds")
    return {"event": event, "kind": kind, "payload": payload[:300], "outcome": "refused", "why": why, "by": by, "started": started}
