"""One seed: apps are deployed, moved and destroyed by random messages on random nodes while things fail; the invariants are checked."""

from __future__ import annotations

import json
import logging
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from faults import FAULTS, SECONDS
from invariants import AFTER_CHANGE, AT_THE_END, ON_WRITE, i2_all_acknowledged_is_served, i6_the_last_second_copy_stays
from memory import ports
from memory_docker import BOOTED, START
from world import Node, World

from handler import errors
from handler.copies import Copies
from handler.core import names
from handler.core.events import Message
from handler.core.model import Operation
from handler.core.record import read_operation
from handler.intake import intake
from handler.node import resume_app
from handler.ports import Entry, Ports
from handler.pursue import pursue

DRIVERS = ("btrfs",)
BRANCH = "main"
DEADLINE = 1200.0
"""Seconds after the last failure and the last message in which all has to have ended: several operations may stand in a queue. (The
slowest of many thousand runs took 164 s.)"""
SHOWN = 400
KINDS = (("deploy", 62), ("destroy", 10), ("rollback", 10), ("takeover", 10), ("migrate", 8))
"""What people send, and how often."""
MOMENTS = ("transact lock/", "transact", "release", "up ", "own ", "send", "remove", "acquire", "/outcome", "pause")
"""Words of a step: what fails sometimes waits for the next one that has the word, since there it may hurt most."""


class Broken(BaseException):
    """An invariant does not hold. No ``Exception``, so that the handler cannot take it for an error of a step."""


class Over(BaseException):
    """Nothing moves any more."""


@dataclass(frozen=True)
class App:
    repo: str
    name: str
    project: str
    volume: str
    hold: str


def app(number: int) -> App:
    repo = f"git://git.example.com/hosting/shop{number}"
    name = names.app_name(repo, BRANCH)
    return App(repo, name, names.project_name(name), f"{names.project_name(name)}_data", names.hold_key(name))


APPS = tuple(app(number) for number in range(3))


@dataclass(frozen=True)
class Profile:
    """What a run is drawn from; the planted faults narrow it, to be found soon."""

    faults: tuple[str, ...] = tuple(FAULTS)
    moments: tuple[str, ...] = ("", "", "", "", "", *MOMENTS)
    most_faults: int = 4
    copying: float = 0.5
    apps: tuple[int, ...] = (1, 1, 2, 3)
    nodes: tuple[int, ...] = (2, 3, 3, 3, 4, 5)
    messages: tuple[int, ...] = (2, 4, 5, 6, 8)
    gaps: tuple[float, ...] = (0.5, 3.0, 20.0, 20.0, 100.0)


@dataclass
class Run:
    """``acked`` are the writes that a visitor was told are safe, by app; ``records`` are what ``app/`` says; ``deploys`` are those that
    were committed, by app; ``ended`` is when operations did, by event.
    """

    seed: int
    profile: Profile = field(default_factory=Profile)
    acked: dict[str, list[str]] = field(default_factory=dict)
    records: dict[str, dict[str, Any]] = field(default_factory=dict)
    outcomes: dict[str, str] = field(default_factory=dict)
    plans: dict[str, Operation] = field(default_factory=dict)
    ended: dict[str, float] = field(default_factory=dict)
    deploys: dict[str, list[str]] = field(default_factory=dict)
    intents: list[str] = field(default_factory=list)
    aborted: dict[str, set[str]] = field(default_factory=dict)
    failing: dict[str, int] = field(default_factory=dict)
    messages: list[Message] = field(default_factory=list)
    pending: int = 0
    session_ended: float = 0.0

    def __post_init__(self) -> None:
        self.choice = random.Random(self.seed * 7919 + 1)  # noqa: S311 a game
        choice, profile = self.choice, self.profile
        self.apps = APPS[: choice.choice(profile.apps)]
        self.world = World(self.seed, [f"n{number}" for number in range(1, choice.choice(profile.nodes) + 1)])
        self.nodes = tuple(self.world.nodes.values())
        self.world.failing, self.world.on_step, self.world.boot = self._fails, self._step, self._boot
        self.world.on_write, self.world.on_drop = self._written, self._dropped
        self.reader = Reader(self.world)
        self.ports = {name: ports(self.world, node) for name, node in self.world.nodes.items()}
        for one in self.apps:
            self.acked[one.name], self.records[one.name], self.deploys[one.name], self.aborted[one.name] = [], {}, [], set()
        self.copying = choice.random() < profile.copying
        self._locked: set[tuple[str, str]] = set()
        self._seen = -1
        self._idle: dict[tuple[str, str], int] = {}
        self._draw()
        for node in self.world.nodes.values():
            self._boot(node)

    def _draw(self) -> None:
        """When messages are sent, and at which steps something fails."""
        choice, when = self.choice, self.world.now + 1.0
        count = choice.choice(self.profile.messages)
        for _ in range(count):
            self.later(when, self.send)
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

    # --- what nodes do: as the worker, without its threads -----------------------------------------------------------

    def _boot(self, node: Node) -> None:
        mine = self.ports[node.name]
        self.world.start("intake", node, lambda: self._take(node, mine))
        for one in self.apps:
            self.world.start(one.name, node, lambda one=one: self._pursue(node, mine, one.name))
        if self.copying:
            self.world.start("copies", node, lambda: self._copy(node, mine))

    def _take(self, node: Node, mine: Ports) -> None:
        spool = f"spool/{node.name}"
        while True:
            index = self.world.changed(spool)
            for message in list(node.spool):
                try:
                    intake(mine, message)
                except errors.Temporary:
                    break
                node.spool.remove(message)
            self.world.pause(5.0, spool, index if not node.spool else self.world.changed(spool))

    def _pursue(self, node: Node, mine: Ports, name: str) -> None:
        looked = self._resume(mine, name)
        index = 0
        while True:
            try:
                with self._lock(node, name):
                    before = self.world.version
                    complete = pursue(mine, DRIVERS, name)
                    looked = resume_app(mine, name, anew=not looked) or looked
                if complete and before == self.world.version:
                    self._idle[node.name, name] = before
                    self._end_if_calm()
                index = mine.store.wait("intent/", index, 30.0)
            except (errors.ClusterError, OSError):
                mine.clock.sleep(5.0)

    def _copy(self, node: Node, mine: Ports) -> None:
        """Rounds of copies and purges, as the copier without its threads."""
        made = Copies(mine, lambda app: self._attempt(node, app))
        while True:
            try:
                due = made.look()
                for app in due.rounds:
                    made.round(app)
                for app in due.purges:
                    made.purge(app)
            except (errors.ClusterError, OSError):
                pass
            mine.clock.sleep(30.0)

    @contextmanager
    def _lock(self, node: Node, app: str) -> Iterator[None]:
        while (node.name, app) in self._locked:
            self.world.pause(0.3)
        self._locked.add((node.name, app))
        try:
            yield
        finally:
            self._locked.discard((node.name, app))

    @contextmanager
    def _attempt(self, node: Node, app: str) -> Iterator[bool]:
        if (node.name, app) in self._locked:
            yield False
            return
        with self._lock(node, app):
            yield True

    def _resume(self, mine: Ports, name: str) -> bool:
        while True:
            try:
                return resume_app(mine, name, anew=True)
            except errors.StoreUnavailable:
                mine.clock.sleep(2.0)
            except errors.ClusterError:
                return False

    # --- what people do ----------------------------------------------------------------------------------------------

    def send(self) -> None:
        """A message; sometimes another one that moves another app the other way."""
        choice = self.choice
        first, *others = choice.sample(self.apps, len(self.apps))
        kind = choice.choices(*zip(*KINDS, strict=True))[0] if self.messages else "deploy"
        payload = getattr(self, f"_{kind}")(first)
        self._publish(first, kind, payload)
        if others and kind == "deploy" and choice.random() < 0.4:
            back = {"master": payload.get("slave") or payload["master"], "slave": payload["master"] if payload.get("slave") else ""}
            self._publish(others[0], "deploy", {key: value for key, value in back.items() if value})

    def _deploy(self, _one: App) -> dict[str, Any]:
        master, slave = self.choice.sample(list(self.world.nodes), 2)
        more = {"update": True} if self.choice.random() < 0.15 else {}
        return {"master": master, **({"slave": slave} if self.choice.random() < 0.7 else {}), **more}

    def _destroy(self, _one: App) -> dict[str, Any]:
        return {}

    def _rollback(self, one: App) -> dict[str, Any]:
        """To a deploy that was committed once, or to a time."""
        ago = datetime.fromtimestamp(START + self.world.now - self.choice.choice((0.0, 5.0, 60.0)), UTC)
        return {"to": self.choice.choice([*self.deploys[one.name], f"{ago:%Y-%m-%dT%H:%M:%S}"])}

    def _takeover(self, _one: App) -> dict[str, Any]:
        return {"master": self.choice.choice(list(self.world.nodes)), "force": self.choice.random() < 0.4}

    def _migrate(self, one: App) -> dict[str, Any]:
        """From this app into another; into itself, which is refused, when there is only one."""
        return {"target": {"repo": next((other.repo for other in self.apps if other is not one), one.repo)}}

    def _publish(self, one: App, kind: str, payload: dict[str, Any]) -> None:
        text = json.dumps({"repo": one.repo, "branch": BRANCH, **payload})
        message = Message(f"{self.choice.getrandbits(32):08x}-{len(self.messages)}", kind, text)
        self.messages.append(message)
        self.world.say(f"somebody sends {kind} {message.id}: {one.name} {payload}")
        first = self.choice.choice(list(self.world.nodes))
        for name, node in self.world.nodes.items():
            for _ in range(self.choice.choice((0, 1, 1, 1, 2)) or (name == first)):
                self.deliver(message, node, 0.0 if name == first else self.choice.choice((0.0, 0.1, 1.0, 40.0)))

    def deliver(self, message: Message, node: Node, seconds: float) -> None:
        """The gossip brings a message to a node, where it is written to the spool, if the power lasts that long."""
        self.later(self.world.now + seconds, lambda: self.world.start("receive", node, lambda: self._receive(message, node)))

    def _receive(self, message: Message, node: Node) -> None:
        if not node.up:
            return
        self.world.call(node, node.name, f"spool {message.id}")
        if self.world.now >= node.full_until and message not in node.spool:
            node.spool.append(message)
            self.world.touch(f"spool/{node.name}")

    def _visit(self) -> None:
        """A visitor writes to the copy that the record names, if it runs (a trial is held); it must have all that was acknowledged."""
        one = self.world.random.choice(self.apps)
        record = self.records[one.name]
        node = self.world.nodes.get(record.get("master", ""))
        container = node.containers.get(one.project) if node else None
        hold = self.world.kv.get(one.hold)
        if hold and container and container.since > json.loads(hold.value)["since"] - START:
            return  # new requests wait, and what was started since is a trial
        if container and node.up and container.state == "running" and container.deploy_id == record["deploy_id"]:
            data = node.volumes[one.volume]
            self._check(i2_all_acknowledged_is_served(self, one, data, node.name))
            word = f"w{len(self.acked[one.name])}"
            data.append(word)
            self.acked[one.name].append(word)

    # --- what fails, and what is checked -----------------------------------------------------------------------------

    def _step(self, node: Node, what: str) -> None:
        if self._seen != self.world.version:
            self._seen = self.world.version
            for one in self.apps:
                for invariant in AFTER_CHANGE:
                    if complaint := invariant(self, one):
                        raise Broken(complaint)
        if self.world.random.random() < 0.1:
            self._visit()
        while self._at and self.world.steps >= self._at[-1][0] and self._at[-1][2] in what:
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
        for invariant in ON_WRITE:
            self._check(invariant(self, key, old.value if old else None, text))
        top, _, rest = key.partition("/")
        if top == "app":
            self.records[rest] = json.loads(text) if text else {}
            if text is None:
                self.acked[rest].clear()  # destroyed: the data is a snapshot now
        elif top == "op" and text is not None:
            _, event, part = rest.rsplit("/", 2)
            if part == "plan":
                self.plans[event] = read_operation(text)
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
        given = dict(op.restore) or (json.loads(self.world.kv[names.op_key(op.app, event, "origin")].value) if op.origin else {})
        for snapshot in given.values():  # each app has one volume
            self.acked[op.app][:] = [word for word in self.world.taken[snapshot] if not word.startswith(BOOTED)]

    def _dropped(self, snapshot: str) -> None:
        """What was only sent for a migrate is nobody's second copy."""
        lent = any(snapshot in entry.value for key, entry in self.world.kv.items() if key.endswith("/origin"))
        for one in self.apps:
            if one.volume == snapshot.partition("@")[0] and not lent:
                self._check(i6_the_last_second_copy_stays(self, one))

    def _check(self, complaint: str) -> None:
        if complaint:
            raise Broken(complaint)

    # --- the end -----------------------------------------------------------------------------------------------------

    def _end_if_calm(self) -> None:
        """Over when each node has looked at each app once more since anything changed, and nothing is still to come."""
        world = self.world
        if self.pending or world.now < self.quiet or len(self._idle) < len(world.nodes) * len(self.apps):
            return
        if any(version != world.version for version in self._idle.values()):
            return
        if any(node.spool or not node.up for node in world.nodes.values()) or any(task.name == "receive" for task in world.tasks):
            return
        raise Over

    def _deadline(self) -> None:
        end = self.quiet + DEADLINE
        if self.world.now < end:
            self.world.at(end, self._deadline)
            return
        wrong = [found for one in self.apps for invariant in AT_THE_END if (found := invariant(self, one))]
        raise Broken(f"I3: {DEADLINE:.0f} s after the last failure something still moves: {wrong}")

    def go(self) -> None:
        """Run to the end; raises :class:`Broken`."""
        self.world.at(self.quiet + DEADLINE, self._deadline)
        try:
            self.world.run()
        except Over:
            for one in self.apps:
                for invariant in AT_THE_END:
                    self._check(invariant(self, one))
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


class Unexpected(logging.Handler):
    """An exception that the handler did not raise on purpose is an error of it, even where it survives it; but a full disk is none."""

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        if error and not isinstance(error, (errors.ClusterError, OSError)):
            raise Broken(f"unexpected {type(error).__name__}: {error}") from error


_log = logging.getLogger("handler")
_log.setLevel(logging.ERROR)
_log.propagate = False
_log.handlers = [Unexpected()]
