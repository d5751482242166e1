"""Where the handler of one node is killed: before and after every step that any plan has for it, found by asking the plans themselves.

A step that is added to a plan is in the list from then on; a new kind of event is missing in ``SETUPS``, which a test notices.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Any

from handler.core.model import Event, Kind, Operation, Placement, Role
from handler.core.plan import Plan, Undo, plan
from handler.core.steps import Step

VICTIM, OTHER, THIRD = NODES = ("node1", "node2", "node3")
CHUNK = 8
"""Kills in one operation: longer chains are done in several operations, so that tracks end at about the same time."""
DEPLOY, VOLUME = "DEPLOY", "VOLUME"
"""Stand for a deploy's id and the app's volume in what steps say."""


@dataclass(frozen=True)
class Point:
    """At this entry of the journal: ``begun`` is before the step, ``done`` is after it."""

    phase: str
    moment: str
    step: Step

    def entry(self, volume: str = VOLUME) -> str:
        return f"{self.phase} {self.moment} {self.step}".replace(VOLUME, volume)


@dataclass(frozen=True)
class Setup:
    """An operation: what is sent, from where the app is to where it shall be."""

    kind: Kind
    before: Placement
    after: Placement
    values: tuple[tuple[str, Any], ...] = ()

    def operation(self) -> Operation:
        event = Event("0", self.kind, "app", "", "", self.after.master, self.after.slave, update=bool(dict(self.values).get("update")))
        known = bool(self.before.master)
        return Operation(event, self.before, self.after, DEPLOY, DEPLOY if known else "", (VOLUME,) if known else ())

    def __str__(self) -> str:
        places = [f"{place.master or '-'}/{place.slave or '-'}" for place in (self.before, self.after)]
        return f"{self.kind} {places[0]} -> {places[1]}"


@dataclass(frozen=True)
class Job:
    """One operation with kills at ``points``, one after the other. ``fails``: it is made to fail on its target."""

    setup: Setup
    points: tuple[Point, ...]
    outcome: str
    leads: bool
    fails: bool = False


# --- how each kind of event is set up ------------------------------------------------------------------------------


def _placed(role: Role) -> Placement:
    """The victim has this role."""
    return {
        Role.MASTER: Placement(VICTIM, OTHER),
        Role.SLAVE: Placement(OTHER, VICTIM),
        Role.NOTHING: Placement(OTHER, THIRD),
    }[role]


def _deploys() -> Iterator[Setup]:
    for was, becomes in product([None, *Role], Role):
        before, after = _placed(was) if was else Placement(), _placed(becomes)
        yield Setup(Kind.DEPLOY, before, after, (("master", after.master), ("slave", after.slave), ("update", True)))


def _destroys() -> Iterator[Setup]:
    for role in Role:
        yield Setup(Kind.DESTROY, _placed(role), Placement())


SETUPS: dict[Kind, Callable[[], Iterable[Setup]]] = {Kind.DEPLOY: _deploys, Kind.DESTROY: _destroys}


# --- the list ------------------------------------------------------------------------------------------------------


@dataclass
class _Shares:
    """Setups whose plans have the same steps in a phase do these points in turns: each point is done in one of them."""

    of: dict[tuple[Any, ...], list[Setup]] = field(default_factory=dict)

    def mine(self, setup: Setup, points: Sequence[Point]) -> list[Point]:
        sharers = self.of[_likeness(setup, points)]
        return [point for number, point in enumerate(points) if sharers[number // 2 % len(sharers)] == setup]

    def join(self, setup: Setup, points: Sequence[Point]) -> None:
        self.of.setdefault(_likeness(setup, points), []).append(setup)


def _likeness(setup: Setup, points: Sequence[Point]) -> tuple[Any, ...]:
    return (setup.kind, *((point.phase, point.moment, type(point.step)) for point in points))


def _points(phase: str, steps: Iterable[Step]) -> tuple[Point, ...]:
    return tuple(Point(phase, moment, step) for step in steps for moment in ("begun", "done"))


def _undone(undos: Iterable[Undo]) -> list[Step]:
    return [step for undo in undos for step in undo.steps]


def phases(part: Plan) -> dict[str, tuple[Point, ...]]:
    """All points of one node's plan, by how they are reached."""
    return {
        "before": _points("before", part.before),
        "back": (*_points("undo", _undone(part.undo)), *_points("aborted", _undone(part.aborted))),
        "again": _points("committed", part.again),
        "committed": _points("committed", part.committed),
    }


def jobs() -> list[Job]:
    """Every operation that has to be done, so that the victim is killed at every point of every kind."""
    setups = [setup for kind in Kind for setup in SETUPS[kind]()]
    shares = _Shares()
    for setup in setups:
        for points in phases(plan(setup.operation(), VICTIM)).values():
            shares.join(setup, points)
    return [job for setup in setups for job in _jobs(setup, shares)]


def _jobs(setup: Setup, shares: _Shares) -> Iterator[Job]:
    part = plan(setup.operation(), VICTIM)
    found = {name: shares.mine(setup, points) for name, points in phases(part).items()}
    if part.leads:
        yield from _leading(setup, part, found)
        return
    for some in _chunks([*found["before"], *found["committed"]]):
        yield Job(setup, tuple(some), "committed", leads=False)
    for some in _chunks(found["back"]):
        yield Job(setup, tuple(some), "aborted", leads=False, fails=True)


def _leading(setup: Setup, part: Plan, found: dict[str, list[Point]]) -> Iterator[Job]:
    """A leader that was killed before the outcome gives up: one kill for each operation, and then those of the way back.

    What is done again after a commit is reached by a kill between the commit and the word that it was done.
    """
    *early, last_begun, last_done = phases(part)["before"]
    for point in early:
        if point in found["before"]:
            yield Job(setup, (point,), "aborted", leads=True)
    for some in _chunks(found["back"]) or [[]]:
        yield Job(setup, (last_begun, *some), "aborted", leads=True)
    for some in _chunks([*found["again"], *found["committed"]]) or [[]]:
        yield Job(setup, (last_done, *some), "committed", leads=True)


def _chunks(points: Sequence[Point]) -> list[Sequence[Point]]:
    return [points[start : start + CHUNK] for start in range(0, len(points), CHUNK)]
