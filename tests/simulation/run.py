"""One seed: apps are deployed, moved and destroyed by random messages on random nodes while things fail; the invariants are checked."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from apps import APPS, App
from broken import Broken, listen_alone
from daemons import Daemons
from faults import FAULTS, SECONDS
from invariants import AFTER_CHANGE, AFTER_WRITE, AT_THE_END, ON_WRITE, i2_all_acknowledged_is_served
from invariants_copies import ON_DROP
from memory_docker import BOOTED
from people import People, is_a_person_s
from world import Node, World

from handler.core import names
from handler.core.events import Message
from handler.core.model import Operation
from handler.core.record import read_operation
from handler.ports import Entry

DEADLINE = 1200.0
"""Seconds after the last failure and the last message in which all has to have ended: several operations may stand in a queue. (The
slowest of many thousand runs took 164 s.)"""
SHOWN = 400
MOMENTS = ("transact lock/", "transact", "release", "up ", "own ", "send", "remove", "acquire", "/outcome", "pause")
"""Words of a step: what fails sometimes waits for the next one that has the word, since there it may hurt most."""


class Over(BaseException):
    """Nothing moves any more."""


@dataclass(frozen=True)
class Profile:
    """What a run is drawn from; the planted faults narrow it, to be found soon."""

    faults: tuple[str, ...] = tuple(FAULTS)
    moments: tuple[str, ...] = ("", "", "", "", "", *MOMENTS)
    most_faults: int = 4
    copying: float = 0.5
    apps: tuple[int, ...] = (1, 1, 2, 3)
    nodes: tuple[int, ...] = (2, 3, 3, 3, 4, 5)
    messages: tuple[int, ...] = (2, 4, 5, 6, 8) * 8 + (25,)
    clocks: tuple[float, ...] = (0.0,) * 8 + (3600.0, -3600.0)
    gaps: tuple[float, ...] = (0.5, 3.0, 20.0, 20.0, 100.0)
    kinds: tuple[tuple[str, int], ...] = (("deploy", 58), ("destroy", 10), ("rollback", 10), ("takeover", 10), ("migrate", 12))


@dataclass
class Run:
    """``acked`` are the writes that a visitor was told are safe, by app; ``records`` are what ``app/`` says; ``deploys`` are those that
    were committed, by app; ``left`` is what was acknowledged when a deploy ended, by its id; ``born`` is when an app was first deployed, or
    anew; ``replaced`` when its data last was by older; ``held`` when its hold was put; ``ended`` is when operations did, by event; ``lent``
    are the snapshots that were sent for a migrate; ``gutted`` are apps whose master has lost its disk, until a person has done something
    about it.
    """

    seed: int
    profile: Profile = field(default_factory=Profile)
    acked: dict[str, list[str]] = field(default_factory=dict)
    records: dict[str, dict[str, Any]] = field(default_factory=dict)
    outcomes: dict[str, str] = field(default_factory=dict)
    plans: dict[str, Operation] = field(default_factory=dict)
    ended: dict[str, float] = field(default_factory=dict)
    deploys: dict[str, list[str]] = field(default_factory=dict)
    left: dict[str, list[str]] = field(default_factory=dict)
    born: dict[str, float] = field(default_factory=dict)
    intents: list[str] = field(default_factory=list)
    aborted: dict[str, set[str]] = field(default_factory=dict)
    failing: dict[str, int] = field(default_factory=dict)
    lent: set[str] = field(default_factory=set)
    messages: list[Message] = field(default_factory=list)
    held: dict[str, float] = field(default_factory=dict)
    replaced: dict[str, float] = field(default_factory=dict)
    words: int = 0
    pending: int = 0
    session_ended: float = 0.0
    disk_lost: float = float("-inf")
    gutted: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.choice = random.Random(self.seed * 7919 + 1)  # noqa: S311 a game
        choice, profile = self.choice, self.profile
        self.apps = APPS[: choice.choice(profile.apps)]
        self.world = World(self.seed, [f"n{number}" for number in range(1, choice.choice(profile.nodes) + 1)])
        self.nodes = tuple(self.world.nodes.values())
        for node in self.nodes:
            node.ahead = choice.choice(profile.clocks)
        self.world.failing, self.world.on_step = self._fails, self._step
        self.world.on_write, self.world.on_drop = self._written, self._dropped
        self.world.hurried = lambda: self.world.now < self.quiet
        self.reader, self.people = Reader(self.world), People(self)
        for one in self.apps:
            self.acked[one.name], self.records[one.name], self.deploys[one.name], self.aborted[one.name] = [], {}, [], set()
        self.daemons = Daemons(self.world, self.apps, copying=choice.random() < profile.copying, calm=self._end_if_calm)
        self.world.boot = self.daemons.boot
        self._seen = self._read = -1
        self._draw()
        for node in self.world.nodes.values():
            self.daemons.boot(node)

    def _draw(self) -> None:
        """When messages are sent, and at which steps something fails."""
        choice, when = self.choice, self.world.now + 1.0
        count = choice.choice(self.profile.messages)
        for _ in range(count):
            self.later(when, self.people.send)
            when += choice.choice(self.profile.gaps)
        self.quiet = when
        last = 60 + 180 * count
        times = sorted(choice.randrange(10, last) for _ in range(choice.randrange(self.profile.most_faults + 1)))
        self._at = [(step, choice.choice(self.profile.faults), choice.choice(self.profile.moments)) for step in reversed(times)]

    def later(self, when: float, what: Callable[[], None]) -> None:
        """Have something happen that the end has to wait for."""
        self.pending += 1

        def do() -> None:
            self.pending -= 1
            what()

        self.world.at(when, do)

    def _visit(self) -> None:
        """A visitor writes to the copy that the record names, if it runs (a trial is held); it must have all that was acknowledged."""
        one = self.world.random.choice(self.apps)
        record = self.records[one.name]
        node = self.world.nodes.get(record.get("master", ""))
        container = node.containers.get(one.project) if node else None
        hold = self.world.kv.get(one.hold)
        if hold and is_a_person_s(hold.value):
            return
        if hold and container and container.since > self.held[one.hold]:
            return  # new requests wait, and what was started since is a trial
        if container and node.up and container.state == "running" and container.deploy_id == record["deploy_id"]:
            data = node.volumes.get(one.volume, [])
            self._check(i2_all_acknowledged_is_served(self, one, data, node.name))
            self.words += 1
            word = f"w{self.words}"
            data.append(word)
            self.acked[one.name].append(word)

    # --- what fails, and what is checked -----------------------------------------------------------------------------

    def _step(self, node: Node, what: str) -> None:
        world = self.world
        if self._seen != world.version:
            self._seen = world.version
            self._ask(AFTER_CHANGE)
        if self._read != world.index:
            self._read = world.index
            self._ask(AFTER_WRITE)
        if world.random.random() < 0.1:
            self._visit()
        while self._at and world.steps >= self._at[-1][0] and self._at[-1][2] in what:
            self._fault(node, self._at.pop()[1])

    def _fault(self, node: Node, name: str) -> None:
        choice = self.choice
        victim = node if choice.random() < 0.6 else choice.choice(list(self.world.nodes.values()))
        seconds = choice.choice(SECONDS)
        self.world.say(f"FAULT {name} ({victim.name}, {seconds} s)")
        self.quiet = max(self.quiet, self.world.now + seconds)
        FAULTS[name](self, victim, seconds)

    def _fails(self, what: str) -> bool:
        left = self.failing.get(what, 0)
        if left:
            self.failing[what] = left - 1
        return left > 0

    def _written(self, key: str, old: Entry | None, text: str | None) -> None:
        top, _, rest = key.partition("/")
        for invariant in ON_WRITE.get(top, ()):
            self._check(invariant(self, key, old.value if old else None, text))
        if top == "maintenance":
            self.held[key] = self.world.now
        elif top == "app":
            if not self.records[rest]:
                self.born[rest] = self.world.now
            self.records[rest] = json.loads(text) if text else {}
            if text is None:
                self.acked[rest].clear()  # destroyed: the data is a snapshot now
        elif top == "op" and text is not None:
            _, event, part = rest.rsplit("/", 2)
            if part == "plan":
                self.plans[event] = read_operation(text)
            elif part == "origin":
                self.lent.update(json.loads(text).values())
            elif part == "outcome":
                self._ended(event, json.loads(text)["outcome"])

    def _ended(self, event: str, outcome: str) -> None:
        self.outcomes[event], self.ended[event] = outcome, self.world.now
        op = self.plans.get(event)
        if op is None:
            return
        if outcome == "aborted":
            self.aborted[op.app] |= {BOOTED + op.deploy_id} if op.new_code else set()
            return
        self.deploys[op.app].append(op.deploy_id)
        if op.previous_deploy_id not in ("", op.deploy_id):
            self.left[op.previous_deploy_id] = [*self.acked[op.app]]
        self.gutted.pop(op.app, None)
        given = dict(op.restore) or (json.loads(self.world.kv[names.op_key(op.app, event, "origin")].value) if op.origin else {})
        if given:
            self.replaced[op.app] = self.world.now
        for snapshot in given.values():  # each app has one volume
            self.acked[op.app][:] = [word for word in self.world.taken[snapshot] if not word.startswith(BOOTED)]

    def _dropped(self, node: Node, snapshot: str) -> None:
        """What was only sent for a migrate is nobody's second copy."""
        for one in self.apps:
            if one.volume == snapshot.partition("@")[0] and snapshot not in self.lent:
                for invariant in ON_DROP:
                    self._check(invariant(self, one, node, snapshot))

    def _ask(self, invariants: Iterable[Callable[[Run, App], str]]) -> None:
        for invariant in invariants:
            for one in self.apps:
                if complaint := invariant(self, one):
                    raise Broken(complaint)

    def _check(self, complaint: str) -> None:
        if complaint:
            raise Broken(complaint)

    # --- the end -----------------------------------------------------------------------------------------------------

    def _end_if_calm(self) -> None:
        """Over when each node has looked at each app once more since anything changed, and nothing is still to come."""
        world = self.world
        if self.pending or world.now < self.quiet or len(self.daemons.idle) < len(world.nodes) * len(self.apps):
            return
        if any(version != world.version for version in self.daemons.idle.values()):
            return
        if any(node.spool or not node.up for node in world.nodes.values()) or any(task.name == "receive" for task in world.tasks):
            return
        raise Over

    def _deadline(self) -> None:
        end = self.quiet + DEADLINE
        if self.world.now < end:
            self.world.at(end, self._deadline)
            return
        if self.gutted:
            raise Over  # it waits for a person, and may go on trying until then
        wrong = [found for one in self.apps for invariant in AT_THE_END if (found := invariant(self, one))]
        raise Broken(f"I3: {DEADLINE:.0f} s after the last failure something still moves: {wrong}")

    def go(self) -> None:
        """Run to the end; raises :class:`Broken`."""
        self.world.at(self.quiet + DEADLINE, self._deadline)
        try:
            self.world.run()
        except Over:
            self._ask(AT_THE_END)
        finally:
            self.world.kill(self.world.tasks)

    def story(self, lines: int = SHOWN) -> str:
        """What happened, for people: the messages, the failures and the last lines of what the nodes did."""
        trace = self.world.trace
        early = [line for line in trace[:-lines] if line[1] == "---"]
        return "\n".join(f"{when - 1000:9.2f} {who:>4} {what}" for when, who, what in early + trace[-lines:])


class Reader:
    """The store, as the one who checks reads it: no time passes."""

    def __init__(self, world: World) -> None:
        self._world = world

    def get(self, key: str) -> Entry | None:
        return self._world.kv.get(key)

    def tree(self, prefix: str) -> tuple[Entry, ...]:
        return self._world.tree(prefix)


listen_alone()
