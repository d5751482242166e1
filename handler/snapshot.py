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
_MUTEX, _TRIES = threading.Lock(), 3

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
    """A snapshot of each volume, all of one moment: nothing of the app runs meanwhile. One alone is so anyway: btrfs takes it at once."""
    clock = ports.clock
    if not volumes:
        return {}
    began = clock.monotonic()
    try:
        why = _freeze(ports, app)
        if why and len(volumes) > 1:
            raise errors.Permanent(f"{', '.join(volumes)} would not be of one moment: {why}")
        if why:
            log.warning("%s: its volume is snapshotted while it writes: %s", app, why)
        taken = ports.volumes.snapshot(volumes)
        if len(volumes) > 1 and (started := ports.compose.running(names.project_name(app))):
            discard(ports, taken.values())
            raise errors.Temporary(f"{', '.join(started)} was started while {', '.join(volumes)} were snapshotted")
        return taken
    finally:
        _thaw(ports, app)
        log.info("%s: paused for %.3f s", app, clock.monotonic() - began)


def _freeze(ports: Ports, app: str) -> str:
    """Until nothing runs; returns why that cannot be. One that ends in this moment cannot be frozen, and may be started again."""
    project, why = names.project_name(app), ""
    for _ in range(_TRIES):
        running = ports.compose.running(project)
        if not running:
            return ""
        ports.journal.mark(app, JOURNAL, PAUSED + " ".join(running))
        try:
            ports.compose.pause(running)
        except errors.ClusterError as error:
            why = str(error)
    running = ports.compose.running(project)
    return f"{', '.join(running)} cannot be frozen: {why}" if running else ""


def discard(ports: Ports, snapshots: Collection[str]) -> None:
    """Delete what is no point. It is put aside first: who dies in between leaves nothing that counts as a copy."""
    ports.volumes.put_aside(snapshots)
    for name in snapshots:
        ports.volumes.drop(name)


def _thaw(ports: Ports, app: str) -> None:
    """At once, and again at once when Docker does not answer."""
    deadline = ports.clock.monotonic() + limits.THAW
    while True:
        try:
            return _go_on(ports, app)
        except errors.Temporary:
            if ports.clock.monotonic() > deadline:
                raise
            ports.clock.sleep(0.2)


def under_way(ports: Ports, app: str) -> bool:
    """Whether the app is frozen for a snapshot, of this process or of another."""
    return any(entry.startswith(PAUSED) for entry in ports.journal.done(app, JOURNAL))


def recover(ports: Ports, app: str) -> None:
    """Let containers go on that a crash has left frozen. At a start, and from time to time; what is being snapshotted is left alone."""
    if app not in ports.freezing:
        _go_on(ports, app)


def _go_on(ports: Ports, app: str) -> None:
    frozen = [entry.removeprefix(PAUSED).split() for entry in ports.journal.done(app, JOURNAL) if entry.startswith(PAUSED)]
    if frozen:
        ports.compose.unpause(sorted({container for containers in frozen for container in containers}))
        ports.journal.erase(app, JOURNAL)
