"""Volumes, snapshots and schedules: Buttervolume's plugin, asked over its unix socket; btrfs itself for what it does not tell.

Traps of Buttervolume 3.13 that this module keeps away from everybody else:

* it puts names into shell commands, so every name and host is checked here;
* ``restore`` of a name without time restores "the latest" or silently nothing, one over a plain folder puts the volume inside it, and each
  keeps what was live, a failed trial's data too, under the newest name: so volumes are restored by btrfs itself;
* a broken receive leaves a *writable* subvolume under the final name, so :meth:`Buttervolume.complete` looks at the flag;
* the parent of an incremental send is found by a marker ``SNAPSHOT@HOST``, which only the sender makes: :meth:`Buttervolume.adopt`
  makes one for what was received, so that the way back is incremental too;
* its ``snapshot`` takes a quarter of a second for each volume and gives each a time of its own, so snapshots are made by btrfs itself;
* its scheduler works volume by volume, tells nobody what failed, and its purge deletes markers and parents: see :mod:`.schedules`;
* a marker whose snapshot is gone is taken for the parent all the same, so that every send to that host fails;
* when the parent of an incremental send is gone on the other side, its second attempt, which is meant to be in full, names the same parent;
* sending the same snapshot twice fails, deletes the copy and sends in full: a marker means that it was sent.
"""

from __future__ import annotations

import fcntl
import http.client
import json
import os
import re
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO, Any
from urllib.parse import quote

from handler.adapters.docker import Docker
from handler.adapters.files import add_lines, read_lines, sync_directory
from handler.adapters.process import run
from handler.adapters.schedules import VOLUME, Schedules, checked
from handler.adapters.unix import UnixConnection
from handler.core.copies import Held
from handler.core.names import TIME_FORMAT
from handler.errors import CommandFailed, Overtaken, Permanent, Temporary
from handler.ports import Guard

_SNAPSHOT = re.compile(r"^[A-Za-z0-9][A-Za-z0-9_.-]+@[0-9T:.-]+$")
_HOST = re.compile(r"^[A-Za-z0-9][A-Za-z0-9.:-]*$")
_SUBVOLUME = 256
"""Inode of the root of every btrfs subvolume."""
_MOMENT = timedelta(seconds=1)
"""A clock that goes back by more than this was set, and its times are taken as they are."""
_QUICK = 30.0
_SEND = 6 * 3600.0
_BTRFS = 120.0
_LOOK_AGAIN = 0.2
_LISTED = re.compile(r"^ID \d+ gen \d+ cgen (?P<born>\d+) top level \d+ received_uuid (?P<received>\S+)\s+path (?P<path>.+)$")
"""A line of ``btrfs subvolume list -c -R``."""
_NO_PARENT = "cannot find parent"
_NOTHING_SENT = "empty stream"
"""What the receiver says when the sender has ended at once: its parent was another migrate's, which dropped it in this very moment."""


class Buttervolume:
    """Implements ``Volumes``. ``root`` has ``volumes/``, ``snapshots/`` and the names of those that are put aside; ``locks`` is a folder on
    this node; ``find_socket`` says where the plugin listens now.
    """

    def __init__(self, docker: Docker, driver: str, root: Path, locks: Path, find_socket: Callable[[], str]) -> None:
        self._docker, self._driver, self._locks = docker, driver, locks
        self._volumes, self._snapshots, self._aside = root / "volumes", root / "snapshots", root / "cluster-aside"
        self._find_socket = find_socket
        self._schedules, self._naming = Schedules(self._ask), threading.Lock()
        self._named = datetime.fromtimestamp(0, UTC)

    def exists(self, volume: str) -> bool:
        return (self._volumes / checked(VOLUME, volume)).is_dir()

    def live(self, project: str) -> tuple[str, ...]:
        if not self._volumes.is_dir():
            return ()
        prefix = checked(VOLUME, project) + "_"
        return tuple(sorted(path.name for path in self._volumes.iterdir() if path.name.startswith(prefix) and path.is_dir()))

    def create(self, volume: str, labels: Mapping[str, str]) -> None:
        self._docker.create_volume(checked(VOLUME, volume), self._driver, labels)

    def remove(self, volume: str) -> None:
        if not self._docker.remove_volume(checked(VOLUME, volume)) and self.exists(volume):
            self._ask("POST", "/VolumeDriver.Remove", {"Name": volume})

    def snapshot(self, volumes: Sequence[str], *, aside: bool = False) -> dict[str, str]:
        now = self._time()
        taken = {volume: f"{checked(VOLUME, volume)}@{now:{TIME_FORMAT}}" for volume in volumes}
        for volume in taken:
            _check_subvolume(self._volumes / volume)
        if aside:
            try:
                self.put_aside(list(taken.values()))
            except OSError as error:  # as btrfs says it: what waits for room must not keep a purge from making it
                raise CommandFailed(f"{', '.join(taken.values())} cannot be put aside", str(error)) from error
        for volume, name in taken.items():
            run(["btrfs", "subvolume", "snapshot", "-r", str(self._volumes / volume), str(self._snapshots / name)], seconds=_BTRFS)
        return taken

    def unchanged(self, volume: str, snapshot: str) -> bool:
        if not self.complete(snapshot):
            return False
        run(["btrfs", "filesystem", "sync", str(self._volumes)], seconds=_BTRFS)  # what is not written yet has no generation
        live, taken = _shown(self._volumes / checked(VOLUME, volume)), _shown(self._snapshots / snapshot)
        return taken["Parent UUID"] == live["UUID"] and int(live["Generation"]) <= int(taken["Gen at creation"])

    def put_aside(self, snapshots: Collection[str]) -> None:
        add_lines(self._aside, snapshots)

    def _time(self) -> datetime:
        """The present, and no time that was given before, although the clock may stand still: one time is one point."""
        with self._naming:
            now = datetime.now(UTC)
            if self._named - _MOMENT < now <= self._named:
                now = self._named + timedelta(microseconds=1)
            self._named = now
            return now

    def send(self, snapshot: str, host: str, guard: Guard, *, in_order: bool = True) -> None:
        guard()
        volume = snapshot.partition("@")[0]
        with self._alone(f"{volume}@{host}", guard) as note:
            guard()  # it may have waited for hours
            if self._marker(snapshot, host).exists():
                return
            if in_order:
                self._keep_order(snapshot, host, note)
            try:
                self._send(snapshot, volume, host, guard)
            except Permanent as error:
                raise CommandFailed(f"snapshot {snapshot} cannot be sent to {host}", str(error)) from error
        guard()

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
        for name in self.listed():
            if name.startswith(volume + "@") and name.endswith("@" + host) and useless(name):
                self._remove(name)

    def _remove(self, name: str) -> None:
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
        path = self._locks / f"send-{what}"
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
        last, here = note.read(), self.listed()
        if snapshot not in here:
            return  # Buttervolume says so
        if last != snapshot and last in here:
            born = {name: generation for generation, name, _ in self._listed()}
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

    def complete(self, snapshot: str) -> bool:
        path = self._snapshots / checked(_SNAPSHOT, snapshot)
        return path.is_dir() and "ro=true" in run(["btrfs", "property", "get", "-ts", str(path), "ro"], seconds=_BTRFS)

    def adopt(self, snapshot: str, host: str) -> None:
        if host and not (marker := self._marker(snapshot, host)).exists():
            source = self._snapshots / snapshot
            run(["btrfs", "subvolume", "snapshot", "-r", str(source), str(marker)], seconds=_BTRFS)

    def restore(self, snapshot: str, volume: str) -> None:
        if not self.complete(snapshot):
            raise Permanent(f"snapshot {snapshot} is not complete on this node: nothing is restored from it")
        target = self._volumes / checked(VOLUME, volume)
        if target.exists():
            _check_subvolume(target)
            run(["btrfs", "subvolume", "delete", str(target)], seconds=_BTRFS)
        run(["btrfs", "subvolume", "snapshot", str(self._snapshots / snapshot), str(target)], seconds=_BTRFS)

    def drop(self, snapshot: str) -> None:
        prefix = checked(_SNAPSHOT, snapshot) + "@"
        markers = [name for name in self.listed() if name.startswith(prefix)]
        for name in (*markers, snapshot):  # in this order: a crash must leave no marker alone
            if (self._snapshots / name).exists():
                self._remove(name)

    def schedule(self, volume: str, actions: Mapping[str, int]) -> None:
        self._schedules.put(volume, actions)

    def schedules(self) -> Mapping[str, Mapping[str, int]]:
        return self._schedules.all()

    def pause_schedules(self, volumes: Collection[str]) -> None:
        self._schedules.pause(volumes)

    def listed(self) -> frozenset[str]:
        return frozenset(path.name for path in self._snapshots.iterdir()) if self._snapshots.is_dir() else frozenset()

    def stock(self) -> Mapping[str, Sequence[Held]]:
        names, aside = self.listed(), read_lines(self._aside)
        hosts: dict[str, list[str]] = {}
        for name in names:
            snapshot, _, host = name.rpartition("@")
            if "@" in snapshot:
                hosts.setdefault(snapshot, []).append(host)
        complete = {name for _, name, _ in self._listed("-r")}  # asked first: what becomes complete meanwhile is so the next time
        found: dict[str, list[Held]] = {}
        for _, name, received in sorted(self._listed()):
            if name in names and name.count("@") == 1:
                held = Held(name, name in complete, received, tuple(sorted(hosts.get(name, ()))), name in aside)
                found.setdefault(name.partition("@")[0], []).append(held)
        return found

    def _listed(self, *options: str) -> list[tuple[int, str, bool]]:
        """(generation of its birth, name, whether it was received) of all snapshots; their folder may be a mount of another name."""
        text = run(["btrfs", "subvolume", "list", "-o", "-c", "-R", *options, str(self._snapshots)], seconds=_BTRFS)
        lines = [match for line in text.splitlines() if (match := _LISTED.match(line))]
        inside = [m for m in lines if Path(m["path"]).parent.name == self._snapshots.name] or lines
        return [(int(m["born"]), Path(m["path"]).name, m["received"] != "-") for m in inside]

    def size(self, snapshot: str, seconds: float) -> int | None:
        try:
            text = run(["du", "-sx", "--block-size=1", str(self._snapshots / checked(_SNAPSHOT, snapshot))], seconds=seconds)
        except CommandFailed:
            return None
        return int(text.split()[0])

    def _marker(self, snapshot: str, host: str) -> Path:
        return self._snapshots / f"{checked(_SNAPSHOT, snapshot)}@{checked(_HOST, host)}"

    def _ask(self, verb: str, path: str, body: Mapping[str, Any] | None, seconds: float = _QUICK) -> dict[str, Any]:
        connection = UnixConnection(self._find_socket(), seconds)
        try:
            connection.request(verb, quote(path), json.dumps(body) if body is not None else None)
            answer = connection.getresponse()
            text = answer.read().decode(errors="replace")
            value = json.loads(text)
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise Temporary(f"Buttervolume does not answer {path}: {error or type(error).__name__}") from error
        finally:
            connection.close()
        if value.get("Err"):
            raise Permanent(f"Buttervolume: {value['Err'].strip()}")
        return dict(value)


def _shown(subvolume: Path) -> dict[str, str]:
    """What ``btrfs subvolume show`` says, by its own words."""
    lines = run(["btrfs", "subvolume", "show", str(subvolume)], seconds=_BTRFS).splitlines()
    return {word.strip(): value.strip() for word, _, value in (line.partition(":") for line in lines)}


def _locked(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _check_subvolume(path: Path) -> None:
    if path.exists() and path.stat().st_ino != _SUBVOLUME:
        raise Permanent(f"{path} is no subvolume, something else is in its place: remove it")
