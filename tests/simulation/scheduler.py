"""Virtual time and one scheduler: everything that happens is drawn from one seed. Nothing here knows what the programs do.

Each program is a greenlet. It gives up control at every port call, so that anything may happen between two of them. What shall
happen later stands in one heap by its time; a write wakes those who watch one of the levels of its key.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from functools import lru_cache
from heapq import heappop, heappush, heappushpop

from greenlet import GreenletExit, getcurrent, greenlet

NOTICE = (0.0005, 0.02)
"""Seconds until a watcher hears of a write."""


class Stalls:
    """Whatever programs run on: none of them goes on before ``stalled_until``."""

    stalled_until = 0.0


class Task:
    """A program that runs until it ends or is killed. ``ticket`` is its only valid entry in the heap."""

    __slots__ = ("dead", "home", "name", "run", "ticket", "watch")

    def __init__(self, name: str, home: Stalls, body: Callable[[], None], parent: greenlet) -> None:
        self.name, self.home, self.run = name, home, greenlet(body, parent=parent)
        self.dead, self.ticket, self.watch = False, 0, ""


@lru_cache(maxsize=100_000)
def levels(key: str) -> tuple[str, ...]:
    """``a/b/c`` is watched as ``a/``, ``a/b/`` and ``a/b/c``."""
    parts = key.split("/")
    return (*("/".join(parts[:n]) + "/" for n in range(1, len(parts))), key)


class Scheduler:
    """``steps`` counts the port calls; ``version`` changes whenever a port has changed something."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)  # noqa: S311 a game
        self.now, self.steps, self.version, self.index = 1000.0, 0, 0, 1
        self.tasks: dict[Task, None] = {}
        self.trace: list[tuple[float, str, str]] = []
        self.on_step: Callable[[Stalls, str], None] = lambda _home, _what: None
        self.slow_until = 0.0
        self._heap: list[tuple[float, int, Task | None, object]] = []
        self._number = 0
        self._next: tuple[float, int, Task | None, object] | None = None
        self._last: dict[str, int] = {}
        self._watchers: dict[str, dict[Task, None]] = {}
        self._main = getcurrent()
        self._running: Task | None = None
        self._stepwise = False

    # --- programs ----------------------------------------------------------------------------------------------------

    def start(self, name: str, home: Stalls, body: Callable[[], None]) -> Task:
        """Add a program; it begins when its turn comes."""
        task = Task(name, home, body, self._main)
        self.tasks[task] = None
        self._push(self.now, task)
        return task

    def _push(self, when: float, task: Task) -> None:
        task.ticket += 1
        self._number += 1
        heappush(self._heap, (when, self._number, task, task.ticket))

    def pause(self, seconds: float, watch: str = "", index: int = 0) -> None:
        """Give up control for ``seconds``, or until the watched key or level (with its last slash) changed after ``index``."""
        task = self._running
        if watch and self.changed(watch) > index:
            return
        if task is None:  # a test, outside of all programs
            self._pass(seconds, watch, index)
            return
        if task.dead:
            raise GreenletExit
        if watch:
            self._watchers.setdefault(watch, {})[task] = None
        task.watch = watch
        task.ticket += 1
        self._number += 1
        mine = (self.now + seconds, self._number, task, task.ticket)
        following = when, _, other, ticket = heappushpop(self._heap, mine)
        if following is mine and when >= task.home.stalled_until:  # nobody else comes first: no need to change the stack
            self.now = when
        elif other is None or other.ticket != ticket or when < other.home.stalled_until or other.dead or not other.run or self._stepwise:
            self._next = following
            self._main.switch()
        else:  # a program that has begun goes on: straight there, or there would be twice as many switches
            self.now, self._running = when, other
            other.run.switch()
        if watch and task.watch:
            del self._watchers[watch][task]
            task.watch = ""

    def call(self, home: Stalls, who: str, what: str, seconds: float = 0.0) -> None:
        """One port call begins: time passes, and anything may have happened when it returns."""
        task = self._running
        if task and task.dead:
            raise GreenletExit
        self.steps += 1
        self.trace.append((self.now, who, what))
        self.on_step(home, what)
        self.pause(seconds or 0.001 + 0.049 * self.random.random())

    def kill(self, tasks: Iterable[Task]) -> None:
        """As ``kill -9``: no ``finally`` of theirs reaches a port any more."""
        for task in list(tasks):
            task.dead = True
            self.tasks.pop(task, None)
            if task.watch:
                self._watchers[task.watch].pop(task, None)
                task.watch = ""
            if task is self._running and task.run is getcurrent():
                continue  # its next call is its last
            before, self._running = self._running, task
            if task.run:
                task.run.parent = getcurrent()  # where its end leads to
                task.run.throw(GreenletExit)
            self._running = before

    # --- time --------------------------------------------------------------------------------------------------------

    def at(self, when: float, what: Callable[[], None]) -> None:
        """Have something happen at a time."""
        self._number += 1
        heappush(self._heap, (when, self._number, None, what))

    def say(self, text: str) -> None:
        """A line for the reader of the trace."""
        self.trace.append((self.now, "---", text))

    def run(self) -> None:
        """Go on until something raises."""
        while self._heap or self._next:
            self._one()

    def _pass(self, seconds: float, watch: str, index: int) -> None:
        over: list[bool] = []
        self.at(self.now + seconds, lambda: over.append(True))
        self._stepwise = True  # since what is waited for may come with each of them
        while not over and not (watch and self.changed(watch) > index):
            self._one()
        self._stepwise = False

    def _one(self) -> None:
        when, _, task, what = self._next or heappop(self._heap)
        self._next = None
        if task is None:
            self.now = max(self.now, when)
            what()
            return
        if task.dead or what != task.ticket:
            return
        if when < task.home.stalled_until:
            self._push(task.home.stalled_until, task)
            return
        self.now = max(self.now, when)
        self._running = task
        task.run.switch()
        last, self._running = self._running, None  # not always the same: they switch to each other
        if last.run.dead:
            self.tasks.pop(last, None)

    # --- changes -----------------------------------------------------------------------------------------------------

    def changed(self, prefix: str) -> int:
        """The index of the last change of a key, or below a level."""
        return self._last.get(prefix, 1)

    def touch(self, key: str) -> None:
        """A key changes: those who watch hear of it, a little later; late or never while notifications are disturbed."""
        self.index += 1
        self.version += 1
        for level in levels(key):
            self._last[level] = self.index
            watchers = self._watchers.get(level)
            if watchers:
                self._wake(watchers)

    def _wake(self, watchers: dict[Task, None]) -> None:
        disturbed = self.now < self.slow_until
        for task in list(watchers):
            if disturbed and self.random.random() < 0.5:
                continue
            del watchers[task]
            task.watch = ""
            self._push(self.now + self.random.uniform(*(NOTICE if not disturbed else (0.0, 20.0))), task)
