"""One point of a whole app: its own dump, its containers frozen, all its volumes snapshotted, its containers go on.

Used by the first copy of an operation (:mod:`handler.actions.after`), by the rounds after it (:mod:`handler.rounds`) and by migrate.
The caller has the app's lock on this node, or, as a migrate into another app, has not. So one at a time is let in: of two, one would
erase the journal of what the other has frozen, and that would stay so.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from handler import errors
from handler.core import composefile, limits, names
from handler.ports import Ports

log = logging.getLogger(__name__)
_MUTEX = threading.Lock()
_AGAIN = 0.2
"""Seconds until Docker is asked once more."""

JOURNAL, PAUSED = "copy", "paused: "
"""The journal that names, while containers are frozen, those that we froze: a crash must not leave them so."""


class Busy(errors.Temporary):
    """Another snapshot of the app is being taken."""


@dataclass(frozen=True)
class Point:
    """``snapshots`` are volume -> name, all of one time; ``problem`` is why the app's own dump is not in them, or is an old one."""

    snapshots: Mapping[str, str]
    problem: str = ""

    @property
    def time(self) -> str:
        """The one time in the names; empty when there are no volumes."""
        return next(iter(self.snapshots.values()), "@").partition("@")[2]


def take(ports: Ports, app: str, deploy_id: str, volumes: Sequence[str]) -> Point:
    """Snapshot those of ``volumes`` that are there. What the app's own command does wrong is told, and no reason to have no copy.

    Raises ``Busy``, ``Temporary`` when Docker does not answer, and ``Permanent`` when several volumes would not be of one moment.
    """
    with _alone(ports, app):
        problem = _dump(ports, app, deploy_id)
        present = [volume for volume in volumes if ports.volumes.exists(volume)]
        return Point(_frozen(ports, app, present), problem)


@contextmanager
def _alone(ports: Ports, app: str) -> Iterator[None]:
    with _MUTEX:
        if app in ports.freezing:
            raise Busy(f"{app} is being copied at this moment")
        ports.freezing.add(app)
    try:
        yield
    finally:
        ports.freezing.discard(app)


def _dump(ports: Ports, app: str, deploy_id: str) -> str:
    """Run the ``pre-snapshot`` commands; returns what went wrong."""
    clock, project = ports.clock, names.project_name(app)
    deadline = clock.monotonic() + limits.HOOKS
    wrong = []
    try:
        hooks = composefile.hooks(ports.compose.config(ports.deploys.path(app, deploy_id)))
    except (errors.ClusterError, composefile.ComposeError) as error:
        return f"the pre-snapshot commands cannot be read: {error}"
    for hook in hooks:
        seconds = min(hook.seconds, deadline - clock.monotonic())
        try:
            if seconds <= 0:
                raise errors.Permanent(f"no time is left of the {limits.HOOKS} s for all of them")
            ports.compose.execute(project, hook.service, hook.command, seconds)
        except errors.ClusterError as error:
            wrong.append(f"pre-snapshot of {hook.service}: {error}")
    for line in wrong:
        log.error("%s: %s", app, line)
    return "; ".join(wrong)


def _frozen(ports: Ports, app: str, volumes: Sequence[str]) -> Mapping[str, str]:
    """A snapshot of each volume, all of one moment: nothing of the app runs meanwhile. A volume alone needs no freezing for that, as btrfs
    snapshots it at once.
    """
    if not volumes:
        return {}
    clock, frozen, doubt = ports.clock, set[str](), ""
    ports.volumes.sync()
    began = clock.monotonic()
    try:
        why = _freeze(ports, app, frozen)
        if why and len(volumes) > 1:
            raise errors.Permanent(f"{', '.join(volumes)} would not be of one moment: {why}")
        if why:
            log.warning("%s: its volume is snapshotted while it writes: %s", app, why)
        taken = ports.volumes.snapshot(volumes)
        if len(volumes) > 1:
            doubt = _started(ports, app)
    finally:
        _thaw(ports, app, frozen)
        log.info("%s: paused for %.3f s", app, clock.monotonic() - began)
    if doubt:
        discard(ports, taken.values())
        raise errors.Temporary(f"the snapshots of {', '.join(volumes)} may not be of one moment: {doubt}")
    return taken


def _freeze(ports: Ports, app: str, frozen: set[str]) -> str:
    """Freeze all that runs, and add it to ``frozen``; returns why something still runs, or "".

    What is just ending cannot be frozen, and Docker may start it again: so it is tried for a while.
    """
    clock, project, why = ports.clock, names.project_name(app), ""
    deadline = clock.monotonic() + limits.FREEZE
    while running := ports.compose.running(project):
        if clock.monotonic() > deadline:
            return f"{', '.join(running)} still runs: {why or 'it is started again and again'}"
        ports.journal.mark(app, JOURNAL, PAUSED + " ".join(running))
        frozen.update(running)
        try:
            ports.compose.pause(running)
        except errors.ClusterError as error:
            why = str(error)
            clock.sleep(_AGAIN)
    return ""


def _started(ports: Ports, app: str) -> str:
    """What runs although all was frozen, or why that cannot be known; "" when nothing does."""
    try:
        running = ports.compose.running(names.project_name(app))
    except errors.ClusterError as error:
        return str(error)
    return f"{', '.join(running)} was started meanwhile" if running else ""


def discard(ports: Ports, snapshots: Collection[str]) -> None:
    """Delete snapshots that must not count as a point. They are put aside first, for the case that we die in between."""
    try:
        ports.volumes.put_aside(snapshots)
    except OSError as error:
        log.warning("%s: not put aside before they are deleted: %s", ", ".join(snapshots), error)
    for name in snapshots:
        ports.volumes.drop(name)


def _thaw(ports: Ports, app: str, frozen: Collection[str]) -> None:
    """At once, and again at once when Docker does not answer. ``frozen`` is known also when somebody has erased the journal meanwhile."""
    deadline = ports.clock.monotonic() + limits.THAW
    while True:
        try:
            return _go_on(ports, app, frozen)
        except errors.Temporary:
            if ports.clock.monotonic() > deadline:
                raise
            ports.clock.sleep(_AGAIN)


def under_way(ports: Ports, app: str) -> bool:
    """Whether the app is frozen for a snapshot, of this process or of another."""
    return any(entry.startswith(PAUSED) for entry in ports.journal.done(app, JOURNAL))


def recover(ports: Ports, app: str) -> None:
    """Let containers go on that a crash has left frozen. At a start, and from time to time; what is being snapshotted is left alone."""
    if app not in ports.freezing:
        _go_on(ports, app)


def _go_on(ports: Ports, app: str, frozen: Collection[str] = ()) -> None:
    entries = [entry.removeprefix(PAUSED).split() for entry in ports.journal.done(app, JOURNAL) if entry.startswith(PAUSED)]
    if containers := sorted({*frozen, *(container for entry in entries for container in entry)}):
        ports.compose.unpause(containers)
    if entries:
        ports.journal.erase(app, JOURNAL)
