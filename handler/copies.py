"""The story of the copies between deploys: look what is due, make rounds, believe only what the slave says it has, purge.

    look -> round (:mod:`handler.rounds`) -> look (the slave has it now)

:mod:`handler.copier` calls it on its own threads. What a node knows of itself is in ``node/<name>``: under ``rounds`` for the apps that
live on it, under ``copies`` for those that it is the slave of.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from handler import errors
from handler.core import checks, copies, limits, record
from handler.core.copies import Held, State
from handler.core.model import Role
from handler.locks import Try
from handler.notice import say
from handler.ports import Ports
from handler.purges import Purges
from handler.residence import Residence, residence
from handler.rounds import Rounds

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
        self._ports, self._slots = ports, slots or nullcontext()
        self._purges, self._rounds = Purges(ports, attempt), Rounds(ports, attempt, slots)
        self._lives: dict[str, tuple[int, Residence]] = {}
        self._answered: dict[str, tuple[str, str, float]] = {}
        self._broken: dict[str, str] = {}
        self._sizes: dict[str, tuple[str, int | None]] = {}
        self._listed: frozenset[str] = frozenset()
        self._arriving = False

    def look(self) -> Due:
        """Say what this node has, answer the checks of its apps; returns what is due.

        Raises ``Temporary`` when somebody does not answer.
        """
        ports, me = self._ports, self._ports.members.me()
        about = {entry.key.removeprefix("node/"): record.loads(entry.value) for entry in ports.store.tree("node/")}
        self._rounds.load(about.get(me, {}).get("rounds"))
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
        said = {app: self._have(lives, seen) for app, lives in kept.items()}
        say(ports.store, me, {"copies": said, "rounds": self._rounds.told(mine)})
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
        return State(
            volumes=volumes,
            slave=slave,
            alive=bool(node and node.alive),
            minutes=copies.minutes_of(seen.lines.get(volume, {}) for volume in volumes),
            committed=_seconds(lives.record.get("deploy_date")),
            taken={volume: time for volume, name in newest.items() if (time := copies.taken_at(name)) is not None},
            verified=copies.verified(volumes, copies.said_of(seen.about, slave, app), ours),
            last=self._rounds.last(app),
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

    def round(self, app: str) -> bool:
        """Make a round of copies of an app, if it lives here; False when it has to be made later."""
        return self._rounds.make(app)

    def purge(self, app: str) -> None:
        """Make the purges of an app that are due."""
        with self._slots:
            self._purges.purge(app)


def _seconds(date: Any) -> float:
    try:
        return datetime.fromisoformat(str(date)).timestamp()
    except ValueError:
        return 0.0
