"""The worker of a node: takes events from the spool and does what they ask, one thread for each app that has work.

Started as ``handler work`` (a daemon).
"""

from __future__ import annotations

import logging
import signal
import threading
import time
from collections.abc import Sequence
from contextlib import suppress

from handler import certificates, errors, spool
from handler.adapters.caddy_storage import CaddyStorage
from handler.copier import Copier
from handler.intake import intake
from handler.locks import app_lock
from handler.node import announce, resume_app
from handler.ports import Ports
from handler.pursue import pursue
from handler.resume import below, make_safe, resume_all
from handler.settings import Settings
from handler.wiring import PROJECT, keep_name, start, wire

log = logging.getLogger(__name__)

LOOK = 5.0
"""Seconds after which the worker looks by itself, when nobody has woken it."""

SWEEP = 30.0
"""Seconds between looks at all intents, for what was not complete or was missed."""


class Worker:
    """Threads by app; each pursues its app until there is nothing more to do."""

    def __init__(self, here: Settings, ports: Ports) -> None:
        self.here, self.ports = here, ports
        self._threads: dict[str, threading.Thread] = {}
        self._again: set[str] = set()
        self._looked: set[str] = set()
        self._intents: dict[str, int] = {}
        self._told, self._swept = False, float("-inf")
        self._mutex = threading.Lock()

    def wake(self, app: str) -> None:
        """Have the app pursued, now or as soon as its thread is done with what it does."""
        with self._mutex:
            self._again.add(app)
            thread = self._threads.get(app)
            if thread is None or not thread.is_alive():
                self._threads[app] = threading.Thread(target=self._work, args=(app,), name=app, daemon=True)
                self._threads[app].start()

    def _work(self, app: str) -> None:
        while True:
            with self._mutex:
                if app not in self._again:
                    del self._threads[app]
                    return
                self._again.discard(app)
            try:
                with app_lock(self.here, app):
                    pursue(self.ports, self.here.drivers, app)
                    self.resume(app)
            except errors.ClusterError as error:
                log.warning("%s: %s; tried again later", app, error)
            except Exception:
                log.exception("%s: unexpected error; tried again later", app)

    def resume(self, app: str) -> None:
        """Look at the app as after a start, until that was possible once; the caller has its lock."""
        if resume_app(self.ports, app, anew=app not in self._looked):
            self._looked.add(app)

    def busy(self) -> bool:
        """Whether any app is being worked on."""
        with self._mutex:
            return any(thread.is_alive() for thread in self._threads.values())

    def take_spool(self) -> None:
        """Turn spooled messages into intents, oldest first; what cannot be done now stays, what never can be is put aside."""
        for path, message in spool.waiting(self.here.spool):
            try:
                app = intake(self.ports, message)
            except errors.Temporary as error:
                log.warning("event %s waits: %s", message.id, error)
                return
            except Exception:
                log.exception("event %s cannot be taken, and is put aside: %s", message.id, spool.put_aside(path))
                continue
            with suppress(OSError):  # when it stays, it is taken once more, which changes nothing
                path.unlink(missing_ok=True)
            if app:
                self.wake(app)

    def look(self, *, told: bool) -> None:
        """When ``told`` that an intent changed: say that we are there, and wake the apps whose intent did.
        From time to time: wake all that have an intent, or a record, since one without an intent may not have been started yet.
        """
        self._told |= told
        everything = time.monotonic() - self._swept > SWEEP
        if not (self._told or everything):
            return
        announce(self.ports, self.here)
        intents = {entry.key.removeprefix("intent/"): entry.index for entry in self.ports.store.tree("intent/")}
        changed = {app for app, index in intents.items() if self._intents.get(app) != index}
        for app in sorted(intents.keys() | below(self.ports, "app/") if everything else changed):
            self.wake(app)
        self._intents, self._told = intents, False  # only now: what failed is looked at again
        self._swept = time.monotonic() if everything else self._swept


def main(_arguments: Sequence[str]) -> int:
    """Run until SIGTERM; operations under way then get the time that Docker gives us."""
    here = start()
    keep_name(here)
    worker = Worker(here, wire(here))
    stop = threading.Event()

    def end(*_: object) -> None:
        stop.set()
        spool.poke(here.wake, "stop")

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)
    listener = spool.listen(here.wake, LOOK)
    log.info("worker of %s", here.node)
    threading.Thread(target=_let_proxies_begin, args=(worker.ports, stop), name="proxies", daemon=True).start()
    threading.Thread(target=flush_on_commit, args=(worker.ports,), name="disk", daemon=True).start()
    _until_consul_answers(worker, stop)
    storage = CaddyStorage(here.caddy_dir)
    threading.Thread(target=certificates.keep, args=(worker.ports.store, storage, stop), name="certificates", daemon=True).start()
    copier = Copier(here, worker.ports, stop)
    copier.start()
    words = set[str]()
    while not stop.is_set():
        worker.take_spool()
        _lift_late_holds(worker.ports)
        _look_around(worker, told="intents" in words)
        words = spool.heard(listener)
        copier.hear(words)
    copier.close()
    while worker.busy():
        log.info("waiting for operations under way")
        threading.Event().wait(2.0)
    return 0


def flush_on_commit(ports: Ports) -> None:
    """Have what arrives survive a power loss. No app is kept from its node because of its disk's options: who cannot have them is told."""
    try:
        ports.volumes.flush_on_commit()
    except Exception as error:  # noqa: BLE001 whatever it is, a person has to mend it
        log.error("a copy that arrives here just before a power loss will be damaged: %s. Mount the disk with flushoncommit", error)  # noqa: TRY400


def _look_around(worker: Worker, *, told: bool) -> None:
    try:
        worker.look(told=told)
    except errors.Temporary:
        pass  # Consul: looked again with the next word, or soon
    except Exception:
        log.exception("intents: unexpected error; looked again later")


def _lift_late_holds(ports: Ports) -> None:
    """consul-template starts nothing when nothing changes, so that what has to happen after a time happens here."""
    try:
        ports.proxies.tick()
    except Exception:
        log.exception("proxies: what is due by time could not be done; tried again")


def _let_proxies_begin(ports: Ports, stop: threading.Event) -> None:
    """At a boot dockerd answers nobody before it is done with starting what ran before; see the proxies' ``entrypoint``."""
    while not stop.is_set():
        try:
            ports.compose.containers(PROJECT)
            ports.proxies.begin()
        except Exception as error:  # noqa: BLE001 whatever it is, they wait for this
            log.warning("the proxies wait, if this is a boot: %s", error)
            stop.wait(1.0)
        else:
            return


def _until_consul_answers(worker: Worker, stop: threading.Event) -> None:
    """What a crash or a power loss left behind comes first; nothing is decided before Consul says who the masters are."""
    make_safe(worker.here, worker.ports, committing=False)
    while not stop.is_set():
        try:
            announce(worker.ports, worker.here)
            resume_all(worker.here, worker.ports, worker.resume)
        except errors.Temporary as error:
            log.warning("waiting for Consul: %s", error)
            make_safe(worker.here, worker.ports, committing=True)
            stop.wait(2.0)
        else:
            return
