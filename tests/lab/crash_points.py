"""Where the handler of one node is killed: before and after every step that any plan has for it, found by asking the plans themselves.

A step that is added to a plan is in the list from then on; a new kind of event is missing in ``SETUPS``, which a test notices.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Any

from handler.core.model import Event, Kind, Operation, Origin, Placement, Role
from handler.core.plan import Plan, Undo, plan
from handler.core.steps import Step

VICTIM, OTHER, THIRD = NODES = ("node1", "node2", "node3")
CHUNK = 8
"""Kills in one operation: longer chains are done in several operations, so that tracks end at about the same time."""
DEPLOY, PREVIOUS, VOLUME, ORIGIN, TIME = "DEPLOY", "PREVIOUS", "VOLUME", "ORIGIN", "TIME"
"""Stand for ids of deploys, the app's volume, the app whose data a migrate brings, and a snapshot's time in what steps say."""


@dataclass(frozen=True)
class Point:
    """At this entry of the journal: ``begun`` is before the step, ``done`` is after it."""

    phase: str
    moment: str
    step: Step

    def entry(self, volume: str = VOLUME, origin: str = ORIGIN) -> str:
        return f"{self.phase} {self.moment} {self.step}".replace(PREVIOUS, DEPLOY).replace(VOLUME, volume).replace(ORIGIN, origin)


@dataclass(frozen=True)
class Setup:
    """An operation: from where the app is to where it shall be.

    ``origin`` is where the app lives whose data a migrate brings; ``data_only`` is a rollback to a snapshot, not to a deploy.
    """

    kind: Kind
    before: Placement
    after: Placement
    origin: str = ""
    data_only: bool = False

    def operation(self) -> Operation:
        """As the handler will make it, with names in the place of what is not known yet."""
        same_deploy = self.data_only or self.kind in (Kind.TAKEOVER, Kind.MIGRATE)
        event = Event(
            "0",
            self.kind,
            "app",
            "",
            "",
            self.after.master,
            self.after.slave,
            update=self.kind in (Kind.DEPLOY, Kind.MIGRATE),
            to=(TIME if self.data_only else DEPLOY) if self.kind is Kind.ROLLBACK else "",
            force=self.kind is Kind.TAKEOVER,
        )
        known = bool(self.before.master)
        return Operation(
            event,
            self.before,
            self.after,
            DEPLOY,
            (DEPLOY if same_deploy else PREVIOUS) if known else "",
            (VOLUME,) if known else (),
            restore=((VOLUME, f"{VOLUME}@{TIME}"),) if self.kind in (Kind.ROLLBACK, Kind.TAKEOVER) else (),
            origin=Origin(ORIGIN, self.origin, ((ORIGIN, VOLUME),), keeps=self.origin == self.before.master) if self.origin else None,
        )

    def __str__(self) -> str:
        places = [f"{place.master or '-'}/{place.slave or '-'}" for place in (self.before, self.after)]
        data = " of data only" if self.data_only else f" with data from {self.origin}" if self.origin else ""
        return f"{self.kind} {places[0]} -> {places[1]}{data}"


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
        yield Setup(Kind.DEPLOY, _placed(was) if was else Placement(), _placed(becomes))


def _destroys() -> Iterator[Setup]:
    for role in Role:
        yield Setup(Kind.DESTROY, _placed(role), Placement())


def _rollbacks() -> Iterator[Setup]:
    for role, data_only in product(Role, (False, True)):
        yield Setup(Kind.ROLLBACK, _placed(role), _placed(role), data_only=data_only)


def _takeovers() -> Iterator[Setup]:
    """By the slave, which has a copy; the former master becomes the slave."""
    for before in map(_placed, Role):
        yield Setup(Kind.TAKEOVER, before, Placement(before.slave, before.master))


def _migrates() -> Iterator[Setup]:
    for role, origin in product(Role, (VICTIM, THIRD)):
        yield Setup(Kind.MIGRATE, _placed(role), _placed(role), origin)


SETUPS: dict[Kind, Callable[[], Iterable[Setup]]] = {
    Kind.DEPLOY: _deploys,
    Kind.DESTROY: _destroys,
    Kind.ROLLBACK: _rollbacks,
    Kind.TAKEOVER: _takeovers,
    Kind.MIGRATE: _migrates,
}


# --- the list ------------------------------------------------------------------------------------------------------


@dataclass
class _Shares:
    """A point that is alike in several setups is done in one of them, in turns: what is alike, :func:`likeness` says."""

    of: dict[tuple[Any, ...], list[Setup]] = field(default_factory=dict)

    def join(self, setup: Setup, part: Plan) -> None:
        for name, points in phases(part).items():
            for number in range(len(points)):
                self.of.setdefault(likeness(setup, part, name, number), []).append(setup)

    def mine(self, setup: Setup, part: Plan, name: str) -> list[Point]:
        points = phases(part)[name]
        return [point for number, point in enumerate(points) if self._whose(setup, part, name, number) == setup]

    def _whose(self, setup: Setup, part: Plan, name: str, number: int) -> Setup:
        key = likeness(setup, part, name, number)
        sharers, turn = self.of[key], list(self.of).index(key) // 2  # both sides of a step in one setup
        return sharers[turn % len(sharers)]


def likeness(setup: Setup, part: Plan, name: str, number: int) -> tuple[Any, ...]:
    """What is the same for points that need to be done once only: the kind of event, the step, and what a failure takes back.

    Only its leader can tell a rollback of data only from one to a deploy.
    """
    point = phases(part)[name][number]
    back = tuple(type(step) for step in _taken_back(part)) if name == "before" else ()
    return (setup.kind, setup.data_only and part.leads, name, part.leads, point.moment, type(point.step), back)


def _points(phase: str, steps: Iterable[Step]) -> tuple[Point, ...]:
    return tuple(Point(phase, moment, step) for step in steps for moment in ("begun", "done"))


def _undone(part: Plan, undos: Iterable[Undo]) -> list[Step]:
    """What is taken back when all of ``before`` was begun."""
    return [step for undo in undos if undo.after in part.before for step in undo.steps]


def _taken_back(part: Plan) -> list[Step]:
    """What a leader takes back, before and after the abort is sure."""
    return _undone(part, (*part.undo, *part.rewind))


def phases(part: Plan) -> dict[str, tuple[Point, ...]]:
    """All points of one node's plan, by how they are reached."""
    return {
        "before": _points("before", part.before),
        "back": (*_points("undo", _taken_back(part)), *_points("aborted", _undone(part, part.aborted))),
        "again": _points("committed", part.again),
        "committed": _points("committed", part.committed),
    }


def jobs() -> list[Job]:
    """Every operation that has to be done, so that the victim is killed at every point of every kind."""
    setups = [setup for kind in Kind for setup in SETUPS[kind]()]
    shares = _Shares()
    for setup in setups:
        shares.join(setup, plan(setup.operation(), VICTIM))
    return [job for setup in setups for job in _jobs(setup, shares)]


def _jobs(setup: Setup, shares: _Shares) -> Iterator[Job]:
    part = plan(setup.operation(), VICTIM)
    found = {name: shares.mine(setup, part, name) for name in phases(part)}
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
