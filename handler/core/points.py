"""Points in time at which an app's volumes were snapshotted: which of them to go back to, or to start from. Pure.

A snapshot's name is ``<volume>@<time>``; snapshots of one point have the same time in their names, those that a move sends ahead,
while the app writes, have not. Used by :mod:`handler.observe` for rollback and takeover.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

_TIME = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d{1,6})?)?$")


def is_time(text: str) -> bool:
    """Whether ``text`` is a time as in snapshots' names, to the minute or more exactly."""
    return bool(_TIME.match(text))


def time_of(snapshot: str) -> str:
    """The time in a snapshot's name."""
    return snapshot.partition("@")[2]


def one_moment(snapshots: Iterable[str]) -> bool:
    """Whether they are of one point: volumes of different moments may not fit together."""
    return len(set(map(time_of, snapshots))) <= 1


def shared(copies: Mapping[str, Sequence[str]]) -> list[str]:
    """The points that all volumes share, newest first; ``copies`` are each volume's snapshots in the order in which they came here."""
    times = [[time_of(name) for name in names] for names in copies.values()]
    common = set.intersection(*map(set, times)) if times else set()
    return [time for time in reversed(times[0]) if time in common] if times else []


def newest(copies: Mapping[str, Sequence[str]], until: str = "") -> dict[str, str]:
    """The snapshot of each volume to use: those of the newest point that all volumes share, not after ``until``.

    ``copies`` are each volume's snapshots in the order in which they came here, which decides what is newest, since nodes' clocks differ.
    ``until`` holds for all times that begin with it: ``2026-11-25T09:30`` includes 09:30:59. Where volumes share no point, each volume's
    newest. A volume without any is left out.
    """
    possible = {volume: [name for name in names if _not_after(time_of(name), until)] for volume, names in copies.items()}
    common = shared(possible)
    if until in common:  # of clocks that differ, one that came later may have an earlier name
        return {volume: f"{volume}@{until}" for volume in possible}
    if common:
        return {volume: f"{volume}@{common[0]}" for volume in possible}
    return {volume: names[-1] for volume, names in possible.items() if names}


def _not_after(time: str, until: str) -> bool:
    return not until or time[: len(until)] <= until


def oldest_time(snapshots: Iterable[str]) -> str:
    """The time up to which all data is in ``snapshots``; empty when there are none."""
    return min((time_of(name) for name in snapshots), default="")


def age(time: str, now: datetime) -> float | None:
    """Seconds from a snapshot's time to ``now`` (in the node's own time, as the names are); None when the time cannot be read."""
    try:
        return (now - datetime.fromisoformat(time)).total_seconds()
    except ValueError:
        return None
