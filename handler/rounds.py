"""A round of copies of an app that lives on this node: snapshot, send, and wait for the slave's word.

:mod:`handler.copies` says when one is due. The last one of each app is in ``node/<name>``, and counts on after a start.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Collection, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import Any

from handler import errors, lost, snapshot
from handler.core import copies, limits, names, record
from handler.core.copies import Round
from handler.core.model import Role
from handler.locks import Try
from handler.ports import Ports
from handler.residence import Residence, operations, residence
from handler.unfinished import operation_open

log = logging.getLogger(__name__)


class Rounds:
    """One node's. ``attempt`` tries for an app's lock; ``slots`` are for what keeps disk and network busy.

    Safe for threads, at most one for each app.
    """

    def __init__(self, ports: Ports, attempt: Try, slots: AbstractContextManager[Any] | None = None) -> None:
        self._ports, self._attempt, self._slots = ports, attempt, slots or nullcontext()
        self._last: dict[str, Round] = {}
        self._deferred: dict[str, float] = {}
        self._loaded = False
        self._mutex = threading.Lock()

    def load(self, said: Any) -> None:
        """After a start: what this node said before of its rounds counts on."""
        if not self._loaded and isinstance(said, dict):
            self._last = {app: copies.read_round(value) for app, value in said.items()}
        self._loaded = True

    def last(self, app: str) -> Round:
        """The last round of an app; tried later than it was made when another one had to be put off since."""
        with self._mutex:
            made = self._last.get(app, Round())
            return replace(made, tried=max(made.tried, self._deferred.get(app, 0.0)))

    def told(self, apps: Collection[str]) -> dict[str, Any]:
        """What this node says of the rounds of ``apps``; those of others are forgotten."""
        with self._mutex:
            self._last = {app: made for app, made in self._last.items() if app in apps}
            return {app: copies.round_value(made) for app, made in self._last.items()}

    def make(self, app: str) -> bool:
        """Make a round of copies of an app, if it lives here; False when it has to be made later: something else is being done with the
        app, or what a migrate gives has overtaken it.
        """
        clock = self._ports.clock
        made, began = Round(tried=clock.now()), clock.monotonic()
        try:
            with self._slots:
                lives, point = self._take(app)
                made = replace(made, time=point.time)
                self._send(app, lives, point.snapshots)
            made = replace(made, seconds=clock.monotonic() - began)
            self._verify(app, lives, point.snapshots)
        except (_Busy, errors.Overtaken) as error:
            log.info("%s: no copy now: %s", app, error)
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
            ops = operations(self._ports.store, app) if ours else None
            if ops is None or operation_open(self._ports, ops):
                raise _Busy(f"something else is being done with {app}")
            lives = residence(self._ports.store, app, ops) or Residence()
            if lives.placement.role(self._ports.members.me()) is not Role.MASTER:
                raise _Elsewhere(app)
            if why := lost.complaint(self._ports, app, lives):
                raise errors.Permanent(why)
            if self._is_sending(lives):
                raise _Busy("what was sent before has not arrived yet")
            try:
                return lives, snapshot.take(self._ports, app, lives.deploy_id, lives.volumes)
            except snapshot.Busy as error:
                raise _Busy(str(error)) from error

    def _is_sending(self, lives: Residence) -> bool:
        """Then a round would only wait, for hours maybe, in a slot that others need."""
        slave = self._ports.members.nodes().get(lives.placement.slave)
        return slave is not None and any(host == slave.address for _, host in self._ports.volumes.sending(lives.volumes))

    def _send(self, app: str, lives: Residence, snapshots: Mapping[str, str]) -> None:
        slave = lives.placement.slave
        if not slave:
            return
        node = self._ports.members.nodes().get(slave)
        if not node or not node.alive:
            raise _SlaveDown(f"{slave} is down")

        def guard() -> None:
            ops = operations(self._ports.store, app)
            if residence(self._ports.store, app, ops) != lives:
                raise _Elsewhere(app)
            if operation_open(self._ports, ops):  # after which it may be too late for this copy, which nobody then can stop
                raise _Busy(f"an operation of {app} has begun")

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
            before = self._last.get(app, Round())
            failures = before.failures + 1 if error else 0
            self._last[app] = replace(made, failures=failures, error=error)
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
