"""Which snapshots of a volume a purge may delete. Pure; the pattern is Buttervolume's, what must stay is ours.

``4h:1d:1w`` means: keep all of the last four hours, then one for each four hours until a day has passed, then one for each day until
a week has passed, then nothing. Of each span the oldest stays, and spans are counted from the epoch: a second purge deletes nothing
more, and snapshots of one point stay or go together.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import pairwise

from handler.core import points
from handler.core.copies import Held, taken_at

_UNITS = {"m": 60, "h": 3600, "d": 86400, "w": 7 * 86400, "y": 365 * 86400}
_LAST = 2
"""The newest, and the one before it: one of them is the parent of what the master sends next, even if its last send was half done."""
PART = 86400.0
"""After as many seconds, what is not complete does not arrive any more."""


def parse(pattern: str) -> tuple[int, ...]:
    """The pattern's spans in seconds, shortest first; ``ValueError`` when it is none."""
    try:
        spans = tuple(sorted(int(part[:-1]) * _UNITS[part[-1]] for part in pattern.split(":")))
    except (KeyError, IndexError, ValueError):
        spans = ()
    if len(spans) < 2 or spans[0] <= 0:
        raise ValueError(f"{pattern!r} is no pattern of two or more numbers with m, h, d, w or y")
    return spans


def needed(held: Sequence[Held], named: Iterable[str]) -> frozenset[str]:
    """Snapshots that stay, whatever their age; ``held`` is in the order in which they came to be on this node.

    The last ones; what other nodes have too, as the next send to them is the difference to it; and what is ``named``: the last verified
    copy, the last point of all volumes, what an operation can go back to, and what only a replaced master had.
    """
    last = [one.name for one in held if one.copy][-_LAST:]
    received = [one.name for one in held if one.complete and one.received][-_LAST:]  # also what is aside may be a parent
    return frozenset((*last, *received, *(one.name for one in held if one.hosts), *named))


def shared(held: Mapping[str, Sequence[Held]]) -> tuple[frozenset[str], ...]:
    """The snapshots of each point that all of an app's volumes share, newest first; ``held`` is by volume.

    The last ones of each volume may have nothing in common when one volume's sends fail for days, and of a volume alone may be others, as a
    move sends some ahead.
    """
    usable = {volume: [one.name for one in found if one.copy] for volume, found in held.items()}
    return tuple(frozenset(f"{volume}@{time}" for volume in held) for time in points.shared(usable))


def drop(held: Sequence[Held], pattern: str, now: float, keep: Collection[str], whole: Collection[str] = ()) -> tuple[str, ...]:
    """Names to delete, oldest first. What has no time in its name, or one in the future, is not ours to judge.

    Of a span with snapshots of points, the ``whole`` ones, the oldest of these stays, so that a point stays; else the oldest of all.
    """
    spans = parse(pattern)
    gone, taken = [], set()
    last_complete = max((place for place, one in enumerate(held) if one.complete), default=-1)
    aged = [(one.name not in whole, time, place, one) for place, one in enumerate(held) if (time := taken_at(one.name)) is not None]
    for _, time, place, one in sorted(aged, key=lambda found: found[:3]):
        age = now - time
        if not one.complete:
            if place < last_complete and age > PART and one.name not in keep:
                gone.append((time, place, one.name))
            continue
        span = next(((length, end) for length, end in pairwise(spans) if length <= age < end), None)
        place_in_span = (span, time // span[0]) if span else None
        if one.name not in keep and (age >= spans[-1] or (span and place_in_span in taken)):
            gone.append((time, place, one.name))
        elif span:
            taken.add(place_in_span)
    return tuple(name for _, _, name in sorted(gone))
