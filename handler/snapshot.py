"""One point of a whole app: its own dump, its containers frozen, all its volumes snapshotted, its containers go on.

Used by the first copy of an operation (:mod:`handler.actions.after`), by the rounds after it (:mod:`handler.copies`) and by migrate.
The caller has the app's lock on this node, or, as a migrate into another app, has not. So one at a time is let in: of two, one would
erase the journal of what the other has frozen, and that would stay so.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from handler import errors
from handler.core import composefile, limits, names
from handler.ports import Ports

log = logging.getLogger(__name__)
_MUTEX = threading.Lock()

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
    """A snapshot of each volume, while nothing of the app writes."""
    clock = ports.clock
    if not volumes:
        return {}
    running = _running(ports, app)
    ports.journal.mark(app, JOURNAL, PAUSED + " ".join(running))
    began = clock.monotonic()
    try:
        _freeze(ports, app, running, volumes)
        return ports.volumes.snapshot(volumes)
    finally:
        _thaw(ports, app)
        log.info("%s: paused for %.3f s", app, clock.monotonic() - began)


def _running(ports: Ports, app: str) -> list[str]:
    return [one.name for one in ports.compose.containers(names.project_name(app)) if one.state == "running"]


def _freeze(ports: Ports, app: str, running: Sequence[str], volumes: Sequence[str]) -> None:
    """A container that ended in this moment cannot be frozen, and need not be. One volume alone is of one moment anyway: a snapshot of
    btrfs is one step.
    """
    try:
        ports.compose.pause(running)
    except errors.ClusterError as error:
        writing = ", ".join(_running(ports, app))
        if writing and len(volumes) > 1:
            raise errors.Permanent(f"{writing} cannot be frozen, and {', '.join(volumes)} would not be of one moment: {error}") from error
        if writing:
            log.warning("%s: %s cannot be frozen, so its volume is snapshotted while it writes: %s", app, writing, error)


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
