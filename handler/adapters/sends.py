"""Sends of snapshots to other nodes by Buttervolume, one of a volume to a host at a time and in their order; the markers of what was sent.

Used by :class:`handler.adapters.buttervolume.Buttervolume`, whose docstring tells the traps.
"""

from __future__ import annotations

import fcntl
import os
import re
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from handler.adapters.files import sync_directory
from handler.adapters.schedules import checked
from handler.errors import CommandFailed, Overtaken, Permanent, Temporary
from handler.ports import Guard

SNAPSHOT = re.compile(r"^[A-Za-z0-9][A-Za-z0-9_.-]+@[0-9T:.-]+$")
_HOST = re.compile(r"^[A-Za-z0-9][A-Za-z0-9.:-]*$")
_SEND = 6 * 3600.0
_LINE = "send-"
"""Begins the name of the file that one send of a volume to a host locks at a time."""
_LOOK_AGAIN = 0.2
_NO_PARENT = "cannot find parent"
_NOTHING_SENT = "empty stream"
"""What the receiver says when the sender has ended at once: its parent was another migrate's, which dropped it in this very moment."""


class Sends:
    """One node's. ``ask`` is the plugin; ``born`` are the generations in which the snapshots in the folder ``snapshots`` were made."""

    def __init__(self, snapshots: Path, locks: Path, ask: Callable[..., dict[str, Any]], born: Callable[[], Mapping[str, int]]) -> None:
        self._snapshots, self._locks, self._ask, self._born = snapshots, locks, ask, born

    def marker(self, snapshot: str, host: str) -> Path:
        """Where the marker is that says that a host has a snapshot. Raises ``Permanent`` for what is no name of one."""
        return self._snapshots / f"{checked(SNAPSHOT, snapshot)}@{checked(_HOST, host)}"

    def _listed(self) -> set[str]:
        return {path.name for path in self._snapshots.iterdir()} if self._snapshots.is_dir() else set()

    def send(self, snapshot: str, host: str, guard: Guard, *, in_order: bool) -> None:
        """See :meth:`handler.ports.Volumes.send`."""
        guard()
        marker, volume = self.marker(snapshot, host), snapshot.partition("@")[0]
        with self._alone(f"{volume}@{host}", guard) as note:
            guard()  # it may have waited for hours
            if marker.exists():
                return
            if in_order:
                self._keep_order(snapshot, host, note)
            try:
                self._send(snapshot, volume, host, guard)
            except Permanent as error:
                raise CommandFailed(f"snapshot {snapshot} cannot be sent to {host}", str(error)) from error
        guard()

    def under_way(self, volumes: Collection[str]) -> list[tuple[str, str]]:
        """See :meth:`handler.ports.Volumes.sending`."""
        found = []
        for path in sorted(self._locks.glob(f"{_LINE}*@*")):
            volume, _, host = path.name.removeprefix(_LINE).partition("@")
            with path.open() as file:
                if volume in volumes and not _locked(file, fcntl.LOCK_SH):
                    found.append((volume, host))
        return found

    def _send(self, snapshot: str, volume: str, host: str, guard: Guard) -> None:
        body = {"Name": snapshot, "Host": host}
        self._forget_sent(volume, host, lambda marker: not (self._snapshots / marker.rpartition("@")[0]).exists())
        try:
            self._ask("POST", "/VolumeDriver.Snapshot.Send", body, _SEND)
        except Permanent as error:
            if _NO_PARENT in str(error):
                self._forget_sent(volume, host, lambda _marker: True)  # so that the next send is in full
            elif _NOTHING_SENT not in str(error):
                raise
            guard()
            self._ask("POST", "/VolumeDriver.Snapshot.Send", body, _SEND)

    def _forget_sent(self, volume: str, host: str, useless: Callable[[str], bool]) -> None:
        """Delete the markers of what that host was sent which are ``useless`` as parents."""
        for name in self._listed():
            if name.startswith(volume + "@") and name.endswith("@" + host) and useless(name):
                self.remove(name)

    def remove(self, name: str) -> None:
        """Delete a snapshot or a marker; somebody else may be faster, as one more migrate of the same app."""
        try:
            self._ask("POST", "/VolumeDriver.Snapshot.Remove", {"Name": name})
        except Permanent:
            if (self._snapshots / name).exists():
                raise

    @contextmanager
    def _alone(self, what: str, guard: Guard) -> Iterator[IO[str]]:
        """Two sends of one volume to one host at the same time would delete each other's markers, and the parents with them. The file that
        is locked is what :meth:`_keep_order` takes for its note.
        """
        self._locks.mkdir(parents=True, exist_ok=True)
        path = self._locks / f"{_LINE}{what}"
        path.touch()
        with path.open("r+") as file:
            deadline = time.monotonic() + _SEND
            while not _locked(file):
                guard()
                if time.monotonic() > deadline:
                    raise Temporary(f"another send of {what} does not end")
                time.sleep(_LOOK_AGAIN)
            yield file

    def _keep_order(self, snapshot: str, host: str, note: IO[str]) -> None:
        """``note`` names the one whose send was begun last: it may have arrived without a marker, if somebody died just then."""
        last, here = note.read(), self._listed()
        if snapshot not in here:
            return  # Buttervolume says so
        if last != snapshot and last in here:
            born = self._born()
            if born.get(last, 0) > born.get(snapshot, 0):
                raise Overtaken(f"snapshot {snapshot} is not sent to {host}: the send of {last}, which is newer, was begun before")
        try:
            note.seek(0)
            note.write(snapshot)  # over the one before, whose name is as long: there is no moment without one
            note.truncate()
            os.fsync(note.fileno())
            if not last:
                sync_directory(self._locks)
        except OSError as error:
            raise CommandFailed(f"snapshot {snapshot} is not sent to {host}: that cannot be noted", str(error)) from error


def _locked(file: IO[str], kind: int = fcntl.LOCK_EX) -> bool:
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
