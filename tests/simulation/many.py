"""Many runs on all cores: each is made from its seed alone; what is wrong is kept, and how fast it went."""

from __future__ import annotations

import gc
import multiprocessing
import os
import sys
import time
import traceback
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial

from broken import Broken, listen_alone
from run import Profile, Run

CHUNK = 10


@dataclass(frozen=True)
class Result:
    """``why`` is one line, empty when all was well; ``story`` is for people; ``seconds`` are of one core."""

    seed: int
    why: str
    story: str
    operations: int
    seconds: float


def one(seed: int, profile: Profile | None = None, *, tell: bool = False) -> Result:
    """Make a run; an operation counts when it got an outcome."""
    run, began, why = Run(seed, profile or Profile()), time.process_time(), ""
    try:
        run.go()
    except Broken as error:
        why = str(error)
    except Exception:  # noqa: BLE001 of the handler, outside of its steps: as wrong as a broken invariant
        why = traceback.format_exc(limit=-8)
    took = time.process_time() - began
    if tell:
        print(run.story(len(run.world.trace)))  # noqa: T201
    story = f"{run.story()}\nseed {seed}: {why}\nreplay: make simulate SEED={seed}" if why else ""
    return Result(seed, " ".join(why.split()), story, len(run.outcomes), took)


def begin() -> None:
    """In each process that makes runs."""
    gc.freeze()
    listen_alone()


def many(seeds: Iterable[int], profile: Profile | None = None) -> Iterator[Result]:
    """Results as they come."""
    with multiprocessing.get_context("fork").Pool(os.cpu_count(), initializer=begin) as pool:
        yield from pool.imap_unordered(partial(one, profile=profile), seeds, chunksize=CHUNK)


@dataclass
class Progress:
    """Counts results; shows count, rate and remaining time: on a terminal in one line, else in a line each 10 %."""

    total: int
    shown: bool
    done: int = 0
    operations: int = 0
    seconds: float = 0.0
    began: float = field(default_factory=time.monotonic)
    _next: float = 0.0

    def add(self, result: Result) -> None:
        self.done += 1
        self.operations += result.operations
        self.seconds += result.seconds
        terminal = sys.stdout.isatty()
        now = time.monotonic() if terminal else self.done / self.total
        if self.shown and (now >= self._next or self.done == self.total):
            self._next = now + (0.2 if terminal else 0.1)
            took = time.monotonic() - self.began
            left = took / self.done * (self.total - self.done)
            line = f"{self.done} of {self.total} runs, {self.done / took:.0f} runs/s, {left:.0f} s left"
            print(f"\r{line:60}" if terminal else line, end="" if terminal else "\n", flush=True)  # noqa: T201

    def __str__(self) -> str:
        took, rate = time.monotonic() - self.began, self.operations / max(self.seconds, 0.001)
        return f"{self.done} runs, {self.operations} operations, {took:.0f} s, {rate:.0f} operations/s per core"
