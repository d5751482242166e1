"""The threads on which :mod:`handler.copies` runs: one that looks, and one for each app that has something to do.

So a send that takes hours delays neither the copies of other apps nor any operation.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import partial

from handler import errors
from handler.copies import Copies
from handler.core import limits
from handler.locks import try_app
from handler.ports import Ports
from handler.settings import Settings

log = logging.getLogger(__name__)

LOOK = 30.0
"""Seconds between looks."""
GLANCE = 2.0
"""Seconds after which something that came is looked at."""
AT_ONCE = 2
"""Apps that are snapshotted, sent or purged at the same time. Buttervolume does four things at once: two are left for operations, and for
Docker, which asks it for each container that starts.
"""
WORD = "copy "
"""The word on the worker's socket that asks for a round, before the app's name."""


class Copier:
    """Started and closed by the worker; ``stop`` is set when the worker ends."""

    def __init__(self, here: Settings, ports: Ports, stop: threading.Event) -> None:
        self._here, self._stop = here, stop
        self._slots = threading.Semaphore(AT_ONCE)
        self._copies = Copies(ports, self._attempt, self._slots)
        self._wake = threading.Event()
        self._asked: set[str] = set()
        self._threads: dict[tuple[str, str], threading.Thread] = {}
        self._free = threading.Condition()
        self._busy = 0

    def start(self) -> None:
        """Begin to look."""
        threading.Thread(target=self._run, name="copies", daemon=True).start()

    def hear(self, words: Iterable[str]) -> None:
        """A person asks for a round, by ``cluster copy``."""
        for app in (word.removeprefix(WORD) for word in words if word.startswith(WORD)):
            with self._free:
                self._asked.add(app)
            self._wake.set()

    def close(self) -> None:
        """Wait until no app is held: what is frozen goes on before the worker ends. Sends are left to Buttervolume."""
        with self._free:
            self._free.wait_for(lambda: not self._busy, limits.HOOKS)

    @contextmanager
    def _attempt(self, app: str) -> Iterator[bool]:
        with self._free:
            self._busy += 1
        try:
            with try_app(self._here, app) as ours:
                yield ours and not self._stop.is_set()
        finally:
            with self._free:
                self._busy -= 1
                self._free.notify_all()

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                due = self._copies.look()
                with self._free:
                    rounds = {*due.rounds, *self._asked}
                for app in rounds:
                    self._begin("round", app, partial(self._round, app))
                for app in due.purges:
                    self._begin("purge", app, partial(self._copies.purge, app))
                if self._copies.measure():
                    continue  # and say it
            except errors.ClusterError as error:
                log.warning("copies: %s; looked again later", error)
            except Exception:
                log.exception("copies: unexpected error; looked again later")
            self._pause()

    def _pause(self) -> None:
        """Until it is time, somebody asks, or something came: whoever sent it waits for our word."""
        deadline = time.monotonic() + LOOK
        with suppress(OSError):
            while not self._wake.wait(GLANCE) and time.monotonic() < deadline and not self._copies.news():
                pass
        self._wake.clear()

    def _round(self, app: str) -> None:
        with self._free:
            asked = app in self._asked
        if self._copies.round(app) and asked:
            with self._free:
                self._asked.discard(app)
            self._wake.set()  # who asked is told at once

    def _begin(self, what: str, app: str, work: Callable[[], object]) -> None:
        """Unless it is under way since before."""
        thread = self._threads.get((what, app))
        if thread is None or not thread.is_alive():
            thread = threading.Thread(target=self._do, args=(what, app, work), name=f"{what} {app}", daemon=True)
            self._threads[what, app] = thread
            thread.start()

    def _do(self, what: str, app: str, work: Callable[[], object]) -> None:
        try:
            work()
        except errors.ClusterError as error:
            log.warning("%s: %s of copies: %s; tried again later", app, what, error)
        except Exception:
            log.exception("%s: %s of copies: unexpected error; tried again later", app, what)
