"""Virtual time, nodes that crash, and a Consul in memory: everything that happens is drawn from one seed.

Each program of a node is a greenlet. It gives up control at every port call, so that anything may happen between two of them; the
scheduler picks who goes on. Nothing here knows what the handler does.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from greenlet import GreenletExit, getcurrent, greenlet

TTL = 15.0
LOCK_DELAY = 1.0


@dataclass
class Task:
    """A program that runs on a node until the node, or its handler, is killed."""

    name: str
    node: Node
    body: Callable[[], None]
    wake: float = 0.0
    watch: tuple[str, int] | None = None
    dead: bool = False
    run: greenlet = field(init=False)


@dataclass
class Value:
    text: str
    index: int
    session: str = ""


@dataclass
class Container:
    deploy_id: str
    state: str
    since: float


@dataclass
class Snapshot:
    data: tuple[str, ...]
    complete: bool = True


@dataclass
class Node:
    """``token`` and ``overrides`` are in memory and go with the power; the rest is on disk."""

    name: str
    address: str
    up: bool = True
    cut_until: float = 0.0
    spool: list[object] = field(default_factory=list)
    volumes: dict[str, list[str]] = field(default_factory=dict)
    snapshots: dict[str, Snapshot] = field(default_factory=dict)
    containers: dict[str, Container] = field(default_factory=dict)
    deploys: dict[tuple[str, str], dict[str, str]] = field(default_factory=dict)
    journal: dict[tuple[str, str], set[str]] = field(default_factory=dict)
    schedules: dict[str, dict[str, int]] = field(default_factory=dict)
    services: set[str] = field(default_factory=set)
    tokens: dict[str, str] = field(default_factory=dict)


class World:
    """One run."""

    def __init__(self, seed: int, names: Iterable[str]) -> None:
        self.random = random.Random(seed)  # noqa: S311 a game
        self.now = 1000.0
        self.steps = 0
        self.nodes = {name: Node(name, f"10.0.0.{number}") for number, name in enumerate(names, 1)}
        self.tasks: list[Task] = []
        self.kv: dict[str, Value] = {}
        self.changes: dict[str, int] = {}
        self.sessions: dict[str, tuple[str, float]] = {}
        self.delayed: dict[str, float] = {}
        self.index = 1
        self.trace: list[str] = []
        self.on_step: Callable[[Node | None, str], None] = lambda _node, _what: None
        self.boot: Callable[[Node], None] = lambda _node: None
        self.events: list[tuple[float, Callable[[], None]]] = []
        self.failing: Callable[[str], bool] = lambda _what: False
        self.sick: set[str] = set()
        self._main = getcurrent()
        self._running: Task

    # --- tasks and time ----------------------------------------------------------------------------------------------

    def start(self, name: str, node: Node, body: Callable[[], None]) -> Task:
        """Add a program; it begins when the scheduler picks it."""
        task = Task(name, node, body, wake=self.now)
        task.run = greenlet(body, parent=self._main)
        self.tasks.append(task)
        return task

    def pause(self, seconds: float, watch: tuple[str, int] | None = None) -> None:
        """Give up control for ``seconds``, or until a key below the watched prefix changes."""
        task = self._running
        if task.dead:
            raise GreenletExit
        task.wake, task.watch = self.now + seconds, watch
        self._main.switch()
        if task.dead:
            raise GreenletExit

    def call(self, node: Node, what: str, seconds: float = 0.0) -> None:
        """One port call begins: time passes, and anything may have happened when it returns."""
        task = self._running
        if task.dead:
            raise GreenletExit
        self.steps += 1
        self.trace.append(f"{self.now:10.2f} {node.name}: {what}")
        self.on_step(node, what)
        self.pause(seconds or self.random.uniform(0.001, 0.05))

    def at(self, when: float, what: Callable[[], None]) -> None:
        """Have something happen at a time."""
        self.events.append((when, what))

    def say(self, text: str) -> None:
        self.trace.append(f"{self.now:10.2f} --- {text}")

    def run_until(self, deadline: float, done: Callable[[], bool]) -> bool:
        """Let everything go on until ``done`` (asked each 20 s of virtual time) or the deadline."""
        look = self.now
        while self.now < deadline:
            if self.now >= look:
                if done():
                    return True
                look = self.now + 20.0
            self._one()
        return done()

    def _one(self) -> None:
        ready = [task for task in self.tasks if task.wake <= self.now or (task.watch and self.changed(task.watch[0]) > task.watch[1])]
        if not ready:
            times = [task.wake for task in self.tasks] + [when for when, _ in self.events] + [end for _, end in self.sessions.values()]
            self.now = max(self.now, min(times, default=self.now + 1.0)) + 1e-6
            self._expire()
            for event in [event for event in self.events if event[0] <= self.now]:
                self.events.remove(event)
                event[1]()
            return
        task = ready[0] if len(ready) == 1 else self.random.choice(ready)
        self._running = task
        task.run.switch()
        if task.run.dead and task in self.tasks:
            self.tasks.remove(task)

    def kill(self, tasks: Iterable[Task]) -> None:
        """As ``kill -9``: no ``finally`` of theirs reaches a port any more."""
        for task in list(tasks):
            task.dead = True
            self.tasks.remove(task)
            if task is self._running and task.run is getcurrent():
                continue
            before, self._running = self._running, task
            if task.run:
                task.run.parent = getcurrent()  # where its end leads to
                task.run.throw(GreenletExit)
            self._running = before

    # --- faults ------------------------------------------------------------------------------------------------------

    def crash(self, node: Node, seconds: float) -> None:
        """The handler of a node is killed; it is started again."""
        self.say(f"the handler of {node.name} is killed for {seconds:.0f} s")
        self.kill([task for task in self.tasks if task.node is node])
        self.at(self.now + seconds, lambda: self.boot(node) if node.up and not self._has_tasks(node) else None)

    def power_loss(self, node: Node, seconds: float) -> None:
        """All of a node is gone; what was in memory with it. Docker starts nothing that has no token."""
        if not node.up:
            return
        self.say(f"{node.name} loses power for {seconds:.0f} s")
        node.up = False
        node.tokens.clear()
        for container in node.containers.values():
            container.state = "exited"
        self.kill([task for task in self.tasks if task.node is node])
        self.at(self.now + seconds, lambda: self._power_on(node))

    def _power_on(self, node: Node) -> None:
        self.say(f"{node.name} is back")
        node.up = True
        self.boot(node)

    def _has_tasks(self, node: Node) -> bool:
        return any(task.node is node for task in self.tasks)

    def cut(self, node: Node, seconds: float) -> None:
        """A node does not reach Consul."""
        self.say(f"{node.name} does not reach Consul for {seconds:.0f} s")
        node.cut_until = self.now + seconds

    # --- Consul ------------------------------------------------------------------------------------------------------

    def write(self, key: str, text: str | None, session: str | None = None) -> None:
        """Set a key, or delete it (None); ``session`` changes its holder."""
        self.index += 1
        self.changes[key] = self.index
        if text is None:
            self.kv.pop(key, None)
        else:
            old = self.kv.get(key)
            self.kv[key] = Value(text, self.index, session if session is not None else (old.session if old else ""))

    def changed(self, prefix: str) -> int:
        """The index of the last change below a prefix."""
        return max((index for key, index in self.changes.items() if key.startswith(prefix)), default=1)

    def renew(self, session: str) -> None:
        """Consul frees a session between one and two times its TTL after it was renewed."""
        node, _ = self.sessions[session]
        self.sessions[session] = (node, self.now + TTL * self.random.uniform(1, 2))

    def end_session(self, session: str, *, delay: bool) -> None:
        self.sessions.pop(session, None)
        for key, value in list(self.kv.items()):
            if value.session == session:
                self.write(key, value.text, "")
                if delay:
                    self.delayed[key] = self.now + LOCK_DELAY

    def _expire(self) -> None:
        for session in [session for session, (_, end) in self.sessions.items() if end <= self.now]:
            self.say(f"session {session} expires")
            self.end_session(session, delay=True)
