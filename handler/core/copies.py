"""Copies of an app's volumes: when a round is due, and whether what the slave says it has is good enough. Pure.

A *round* is: the app's own dump (``pre-snapshot``), all volumes snapshotted at one point, sent to the slave, verified by the slave.
Times are seconds since the epoch by the clock of the node that took the snapshots, the master: only it compares them with its own.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

from handler.core import limits, points
from handler.core.names import TIME_FORMAT

REPLICATE, SNAPSHOT, PURGE = "replicate:", "snapshot", "purge:"
"""Actions of Buttervolume's schedule, or their beginnings."""


@dataclass(frozen=True)
class Held:
    """A snapshot on this node; ``hosts`` have it too, as far as markers say. ``received``: it came from another node.

    One that is not ``complete`` is the part that an interrupted send left behind, or is arriving right now. One that is ``aside`` is no
    copy of the app that lives now: it is of one that was destroyed, or of a master that was replaced.
    """

    name: str
    complete: bool = True
    received: bool = False
    hosts: tuple[str, ...] = ()
    aside: bool = False

    @property
    def copy(self) -> bool:
        """Whether a takeover may start from it."""
        return self.complete and not self.aside


@dataclass(frozen=True)
class Round:
    """The last round of an app, as ``node/<master>`` tells it.

    ``time`` is the one in the snapshots' names, ``tried`` when it began, ``seconds`` what snapshots and sending took, ``failures`` how
    many rounds failed in a row up to this one, ``down`` that it failed because the slave was down.
    """

    time: str = ""
    tried: float = 0.0
    seconds: float = 0.0
    failures: int = 0
    error: str = ""
    down: bool = False


@dataclass(frozen=True)
class State:
    """What the master knows of one app's copies.

    ``volumes`` are those of the record. ``minutes`` is the schedule's timer, None when nothing is scheduled. ``taken`` and ``verified``
    are the times of the newest snapshot of each volume here, and of the newest one that the slave says it has; ``committed`` is when the
    app was last deployed.
    """

    volumes: tuple[str, ...]
    slave: str = ""
    alive: bool = True
    minutes: int | None = 60
    committed: float = 0.0
    taken: Mapping[str, float] = field(default_factory=dict)
    verified: Mapping[str, float] = field(default_factory=dict)
    last: Round = field(default_factory=Round)


def due(state: State, now: float) -> bool:
    """Whether a round has to be made now."""
    if not state.volumes or state.minutes is None:
        return False
    period = state.minutes * 60.0
    since = now - state.last.tried if state.last.tried <= now else period  # the clock was set back
    times = state.verified if state.slave else state.taken
    if state.slave and not state.alive:  # a snapshot is better than nothing, and the failure is counted
        return since >= period and not _fresh(state.volumes, state.taken, now, period)
    if state.last.failures and not state.last.down:
        return since >= min(limits.RETRY * 2.0 ** min(state.last.failures - 1, 16), period)
    settled = not 0 <= now - state.committed < limits.RETRY  # a deploy makes a copy itself, of which the slave has to tell first
    return settled and since >= limits.RETRY and (state.last.down or not _fresh(state.volumes, times, now, period))


def _fresh(volumes: Iterable[str], times: Mapping[str, float], now: float, period: float) -> bool:
    return all(volume in times and 0 <= now - times[volume] < period for volume in volumes)


def judge(state: State, now: float) -> str:
    """Why the app's copies need a person; empty when they are fine. The text stays the same while nothing changes."""
    if not state.volumes:
        return ""
    why = _missed(state, now)
    return f"{why}: {state.last.error}" if why and state.last.error else why


def _missed(state: State, now: float) -> str:
    young = now - state.committed <= limits.COPY_GRACE
    if state.minutes is None:
        return "" if young else "no copies are scheduled, or all schedules are paused: see `buttervolume scheduled`"
    allowed = 2 * state.minutes * 60 + limits.COPY_GRACE
    missing = sorted(volume for volume in state.volumes if volume not in state.verified)
    if state.slave and missing and not (young and state.alive):
        return f"{state.slave} has no verified copy of {', '.join(missing)}"
    old = min((state.verified[volume] for volume in state.volumes if volume in state.verified), default=now)
    if state.slave and now - old > allowed:
        return f"the last verified copy on {state.slave} is of {shown(old)}, more than {allowed / 60:.0f} min ago"
    if state.last.failures >= limits.FAILURES:
        return f"{state.last.failures} rounds of copies failed in a row"
    return ""


def verified(volumes: Iterable[str], said: Any, ours: Mapping[str, Collection[str]]) -> dict[str, float]:
    """Times of the copies that a slave has: what it says, as far as these are snapshots that we know."""
    found = {}
    for volume in volumes:
        name = snapshot_of(said, volume)
        time = taken_at(name)
        if time is not None and name in ours.get(volume, ()):
            found[volume] = time
    return found


def said_of(about: Mapping[str, Mapping[str, Any]], node: str, app: str) -> Any:
    """What a node says it has of an app; ``about`` is what each node says."""
    said = about.get(node, {}).get("copies")
    return said.get(app) if isinstance(said, Mapping) else None


def snapshot_of(said: Any, volume: str) -> str:
    """The snapshot's name in what a node says of an app's copies; people may have edited that."""
    value = said.get(volume) if isinstance(said, Mapping) else None
    name = value.get("snapshot") if isinstance(value, Mapping) else None
    return name if isinstance(name, str) else ""


def arrived(said: Any, taken: Mapping[str, str], stock: Mapping[str, Sequence[Held]]) -> bool:
    """Whether a slave says that it has all of ``taken`` (volume -> snapshot), or later ones of ours: ``stock`` is in their order."""

    def enough(volume: str, name: str) -> bool:
        ours = [one.name for one in stock.get(volume, ())]
        return snapshot_of(said, volume) in (ours[ours.index(name) :] if name in ours else (name,))

    return all(enough(volume, name) for volume, name in taken.items())


def newest(stock: Mapping[str, Sequence[Held]], volumes: Iterable[str]) -> dict[str, str]:
    """Volume -> its complete snapshot from which a takeover would start; ``stock`` is in the order in which they came."""
    return points.newest({volume: [one.name for one in stock.get(volume, ()) if one.copy] for volume in volumes})


def minutes_of(lines: Iterable[Mapping[str, int]]) -> int | None:
    """The timer of an app's copies: the shortest of its volumes' lines."""
    return min((timer for line in lines for action, timer in line.items() if action.startswith((REPLICATE, SNAPSHOT))), default=None)


_ROUND: Mapping[str, tuple[type, ...]] = {
    "time": (str,),
    "tried": (int, float),
    "seconds": (int, float),
    "failures": (int,),
    "error": (str,),
    "down": (bool,),
}


def read_round(value: Any) -> Round:
    """A round in ``node/<name>``; an empty one when a person broke it."""
    if isinstance(value, Mapping) and all(type(item) in _ROUND.get(key, ()) for key, item in value.items()):
        return Round(**value)
    return Round()


def round_value(last: Round) -> dict[str, Any]:
    """The round as ``node/<name>`` has it: short, since there may be hundreds."""
    return {**asdict(last), "error": last.error[:300], "seconds": round(last.seconds, 2), "tried": round(last.tried, 3)}


def taken_at(snapshot: str) -> float | None:
    """Seconds since the epoch from a snapshot's name; None when it has no time that can be read."""
    try:
        return datetime.strptime(snapshot.split("@")[1], TIME_FORMAT).replace(tzinfo=UTC).timestamp()
    except (IndexError, ValueError):
        return None


def shown(time: float) -> str:
    """A time for people."""
    return f"{datetime.fromtimestamp(time, UTC):%Y-%m-%d %H:%M:%S} UTC"
