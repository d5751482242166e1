"""The story of the copies between deploys: look what is due, make rounds, believe only what the slave says it has, purge.

    look -> round -> look (the slave has it now)

:mod:`handler.copier` calls it on its own threads. What a node knows of itself is in ``node/<name>``: under ``rounds`` for the apps that
live on it, under ``copies`` for those that it is the slave of.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from handler import errors, lost, snapshot
from handler.core import checks, copies, limits, names, record
from handler.core.copies import Held, Round, State
from handler.core.model import Role
from handler.locks import Try
from handler.notice import say
from handler.ports import Ports
from handler.purges import Purges
from handler.residence import Residence, residence
from handler.unfinished import operation_open

log = logging.getLogger(__name__)

REPEAT = 120.0
"""Seconds after which a check is answered again although nothing changed; far less than its TTL."""
MEASURING = 10.0
"""Seconds that one look spends on sizes."""


@dataclass(frozen=True)
class Due:
    """Apps by what has to be done for them now."""

    rounds: tuple[str, ...] = ()
    purges: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Seen:
    """All that one look sees, each by one question: what every node says, this node's snapshots, this node's schedules."""

    about: Mapping[str, Mapping[str, Any]]
    stock: Mapping[str, Sequence[Held]]
    lines: Mapping[str, Mapping[str, int]]
    now: float


class Copies:
    """One node's. ``attempt`` tries for an app's lock; ``slots`` are for what keeps disk and network busy.

    Safe for threads, for one at a time for each app.
    """

    def __init__(self, ports: Ports, attempt: Try, slots: AbstractContextManager[Any] | None = None) -> None:
        self._ports, self._attempt, self._slots = ports, attempt, slots or nullcontext()
        self._purges = Purges(ports, attempt)
        self._rounds: dict[str, Round] = {}
        self._deferred: dict[str, float] = {}
        self._loaded = False
        self._lives: dict[str, tuple[int, Residence]] = {}
        self._answered: dict[str, tuple[str, str, float]] = {}
        self._broken: dict[str, str] = {}
        self._sizes: dict[str, tuple[str, int | None]] = {}
        self._listed: frozenset[str] = frozenset()
        self._arriving = False
        self._mutex = threading.Lock()

    # --- looking -----------------------------------------------------------------------------------------------------

    def look(self) -> Due:
        """Say what this node has, answer the checks of its apps; returns what is due.

        Raises ``Temporary`` when somebody does not answer.
        """
        ports, me = self._ports, self._ports.members.me()
        about = {entry.key.removeprefix("node/"): record.loads(entry.value) for entry in ports.store.tree("node/")}
        self._load(about.get(me, {}))
        self._listed = ports.volumes.listed()
        seen = _Seen(about, ports.volumes.stock(), ports.volumes.schedules(), ports.clock.now())
        roles = {app: (lives, lives.placement.role(me)) for app, lives in self._all().items()}
        mine = {app: lives for app, (lives, role) in roles.items() if role is Role.MASTER}
        kept = {app: lives for app, (lives, role) in roles.items() if role is Role.SLAVE}
        ports.volumes.pause_schedules({volume for lives in (*mine.values(), *kept.values()) for volume in lives.volumes})
        self._arriving = any(not one.complete for lives in kept.values() for name in lives.volumes for one in seen.stock.get(name, ())[-1:])
        rounds_due: list[str] = []
        purges_due: list[str] = []
        for app, lives in {**mine, **kept}.items():
            with self._alone(app):
                if app in mine:
                    state = self._state(app, lives, seen)
                    self._answer(app, lives, state, seen.now)
                    rounds_due += [app] if copies.due(state, seen.now) else []
                purges_due += [app] if self._purges.due(lives, seen.lines) else []
        with self._mutex:
            self._rounds = {app: last for app, last in self._rounds.items() if app in mine}
            rounds = {app: copies.round_value(last) for app, last in self._rounds.items()}
        say(ports.store, me, {"copies": {app: self._have(lives, seen) for app, lives in kept.items()}, "rounds": rounds})
        return Due(tuple(rounds_due), tuple(purges_due))

    @contextmanager
    def _alone(self, app: str) -> Iterator[None]:
        """What is wrong with one app keeps none of the others from its copies; said once, until it is another or gone.

        Its check is not answered meanwhile, and becomes critical by itself.
        """
        try:
            yield
        except errors.Temporary:
            raise  # somebody whom all apps need
        except Exception as error:
            if self._broken.get(app) != repr(error):
                log.exception("%s: its copies cannot be looked at", app)
            self._broken[app] = repr(error)
        else:
            self._broken.pop(app, None)

    def _load(self, said: Mapping[str, Any]) -> None:
        """After a start: what this node said before counts on."""
        known = said.get("rounds")
        if not self._loaded and isinstance(known, dict):
            self._rounds = {app: copies.read_round(value) for app, value in known.items()}
        self._loaded = True

    def _all(self) -> dict[str, Residence]:
        """Where each app lives. Every commit writes the record, so that only apps whose record changed are asked for again."""
        index = {entry.key.removeprefix("app/"): entry.index for entry in self._ports.store.tree("app/")}
        for app in sorted(index.keys() | self._lives.keys()):
            if app not in self._lives or self._lives[app][0] != index.get(app, 0):
                self._lives[app] = (index.get(app, 0), residence(self._ports.store, app) or Residence())
        return {app: lives for app, (_, lives) in self._lives.items()}

    def _state(self, app: str, lives: Residence, seen: _Seen) -> State:
        volumes = lives.volumes
        ours = {volume: {one.name for one in seen.stock.get(volume, ())} for volume in volumes}
        newest = copies.newest(seen.stock, volumes)
        slave = lives.placement.slave
        node = self._ports.members.nodes().get(slave)
        with self._mutex:
            last = self._rounds.get(app, Round())
            last = replace(last, tried=max(last.tried, self._deferred.get(app, 0.0)))
        return State(
            volumes=volumes,
            slave=slave,
            alive=bool(node and node.alive),
            minutes=copies.minutes_of(seen.lines.get(volume, {}) for volume in volumes),
            committed=_seconds(lives.record.get("deploy_date")),
            taken={volume: time for volume, name in newest.items() if (time := copies.taken_at(name)) is not None},
            verified=copies.verified(volumes, copies.said_of(seen.about, slave, app), ours),
            last=last,
        )

    def _answer(self, app: str, lives: Residence, state: State, now: float) -> None:
        problem, monotonic = copies.judge(state, now), self._ports.clock.monotonic()
        deploy_id, before, when = self._answered.get(app, ("", "", -REPEAT))
        if problem and problem != before:
            log.error("%s: %s", app, problem)
        if not state.slave:
            self._answered[app] = (lives.deploy_id, problem, monotonic)
        elif (deploy_id, before) != (lives.deploy_id, problem) or monotonic - when >= REPEAT:
            try:
                self._ports.services.report(app, checks.copy_check(app, state.slave), problem)
                self._answered[app] = (lives.deploy_id, problem, monotonic)
            except errors.ClusterError as error:
                log.warning("%s: the check of its copy cannot be answered: %s", app, error)

    def _have(self, lives: Residence, seen: _Seen) -> dict[str, Any]:
        """The slave's word: the snapshot of each volume that counts as its last copy, and its size as far as it was measured."""
        newest = copies.newest(seen.stock, lives.volumes)
        return {volume: {"snapshot": name, "bytes": self._sizes.get(volume, ("", None))[1]} for volume, name in newest.items()}

    def news(self) -> bool:
        """Whether a look may see more than the last one: a snapshot came or went, or is arriving. Cheap."""
        return self._arriving or self._ports.volumes.listed() != self._listed

    def measure(self) -> bool:
        """Add up the sizes of copies that came since the last time, as far as there is time; returns whether there were any.

        A volume keeps the last size that is known.
        """
        clock, me = self._ports.clock, self._ports.members.me()
        deadline = clock.monotonic() + MEASURING
        kept = [lives for _, lives in self._lives.values() if lives.placement.role(me) is Role.SLAVE]
        stock, found = self._ports.volumes.stock() if kept else {}, False
        for volume, name in (item for lives in kept for item in copies.newest(stock, lives.volumes).items()):
            before = self._sizes.get(volume, ("", None))
            if name != before[0] and clock.monotonic() < deadline:
                size = self._ports.volumes.size(name, limits.SIZE)
                self._sizes[volume], found = (name, before[1] if size is None else size), True
        return found

    def purge(self, app: str) -> None:
        """Make the purges of an app that are due."""
        with self._slots:
            self._purges.purge(app)

    # --- a round -----------------------------------------------------------------------------------------------------

    def round(self, app: str) -> bool:
        """Make a round of copies of an app, if it lives here; False when something else is being done with the app."""
        clock = self._ports.clock
        made, began = Round(tried=clock.now()), clock.monotonic()
        try:
            with self._slots:
                lives, point = self._take(app)
                made = replace(made, time=point.time)
                self._send(app, lives, point.snapshots)
            made = replace(made, seconds=clock.monotonic() - began)
            self._verify(app, lives, point.snapshots)
        except (_Busy, errors.Overtaken):  # overtaken by what a migrate gives: it has to be a newer one
            self._deferred[app] = made.tried
            return False
        except _Elsewhere:
            return True
        except errors.ClusterError as error:
            self._end(app, replace(made, down=isinstance(error, _SlaveDown)), str(error))
        else:
            self._end(app, made, point.problem)
        return True

    def _take(self, app: str) -> tuple[Residence, snapshot.Point]:
        with self._attempt(app) as ours:
            if not ours or operation_open(self._ports, app):
                raise _Busy(app)
            lives = residence(self._ports.store, app) or Residence()
            if lives.placement.role(self._ports.members.me()) is not Role.MASTER:
                raise _Elsewhere(app)
            if why := lost.complaint(self._ports, app, lives):
                raise errors.Permanent(why)
            try:
                return lives, snapshot.take(self._ports, app, lives.deploy_id, lives.volumes)
            except snapshot.Busy as error:
                raise _Busy(app) from error

    def _send(self, app: str, lives: Residence, snapshots: Mapping[str, str]) -> None:
        slave = lives.placement.slave
        if not slave:
            return
        node = self._ports.members.nodes().get(slave)
        if not node or not node.alive:
            raise _SlaveDown(f"{slave} is down")

        def guard() -> None:
            if residence(self._ports.store, app) != lives:
                raise _Elsewhere(app)

        for name in snapshots.values():
            self._ports.volumes.send(name, node.address, guard)

    def _verify(self, app: str, lives: Residence, snapshots: Mapping[str, str]) -> None:
        """A copy is one when the slave says that it has it."""
        slave, clock, store = lives.placement.slave, self._ports.clock, self._ports.store
        deadline, index = clock.monotonic() + limits.VERIFY, 0
        while slave:
            entry = store.get(names.node_key(slave))
            said = copies.said_of({slave: record.loads(entry.value if entry else None)}, slave, app)
            if copies.arrived(said, snapshots, self._ports.volumes.stock()):
                return
            if clock.monotonic() > deadline:
                raise errors.Permanent(f"{slave} does not say that it has what was sent: is its worker running?")
            index = store.wait(names.node_key(slave), index, 10.0)

    def _end(self, app: str, made: Round, error: str) -> None:
        with self._mutex:
            before = self._rounds.get(app, Round())
            failures = before.failures + 1 if error else 0
            self._rounds[app] = replace(made, failures=failures, error=error)
        if error:
            log.error("%s: round %d of copies that failed: %s", app, failures, error)
        else:
            log.info("%s: copy of %s (%.2f s)", app, made.time, made.seconds)


class _Busy(Exception):
    """An operation of the app, or somebody else, is at work."""


class _Elsewhere(Exception):
    """The app does not live here any more."""


class _SlaveDown(errors.Permanent):
    """It will have its copy as soon as it is back."""


def _seconds(date: Any) -> float:
    try:
        return datetime.fromisoformat(str(date)).timestamp()
    except ValueError:
        return 0.0
