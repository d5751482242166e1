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
* sending the same snapshot twice fails, deletes the copy and sends in full: a marker means that it was sent;
* it syncs the sender's file system only, and ``btrfs receive`` none: for half a minute and more what arrived is complete by all that btrfs
  says, and after a power loss it still is, with empty files. :mod:`.mounts` has the option that ends this.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

from handler.adapters.beside import work_beside
from handler.adapters.docker import Docker
from handler.adapters.files import add_lines, read_lines
from handler.adapters.mounts import flush_on_commit
from handler.adapters.process import run
from handler.adapters.schedules import VOLUME, Schedules, checked
from handler.adapters.sends import SNAPSHOT, Sends
from handler.adapters.unix import UnixConnection
from handler.core.copies import Held
from handler.core.names import TIME_FORMAT
from handler.errors import CommandFailed, Permanent, Temporary
from handler.ports import Guard

_SUBVOLUME = 256
"""Inode of the root of every btrfs subvolume."""
_MOMENT = timedelta(seconds=1)
"""A clock that goes back by more than this was set, and its times are taken as they are."""
_QUICK = 30.0
_BTRFS = 120.0
_LISTED = re.compile(r"^ID \d+ gen \d+ cgen (?P<born>\d+) top level \d+ received_uuid (?P<received>\S+)\s+path (?P<path>.+)$")
"""A line of ``btrfs subvolume list -c -R``."""


class Buttervolume:
    """Implements ``Volumes``. ``drivers`` are the plugin's names, first the one here; ``root`` has ``volumes/``, ``snapshots/`` and the
    names of those that are put aside; ``locks`` is a folder on this node; ``find_socket`` says where the plugin listens now.
    """

    def __init__(self, docker: Docker, drivers: Sequence[str], root: Path, locks: Path, find_socket: Callable[[], str]) -> None:
        self._docker, self._driver, self._ours = docker, drivers[0], frozenset(map(_untagged, drivers))
        self._root, self._volumes, self._snapshots, self._aside = root, root / "volumes", root / "snapshots", root / "cluster-aside"
        self._find_socket = find_socket
        self._schedules, self._naming = Schedules(self._ask), threading.Lock()
        self._sends = Sends(self._snapshots, locks, self._ask, lambda: {name: born for born, name, _ in self._listed()})
        self._named = datetime.fromtimestamp(0, UTC)

    def flush_on_commit(self) -> None:
        flush_on_commit(self._root)

    def exists(self, volume: str) -> bool:
        return (self._volumes / checked(VOLUME, volume)).is_dir()

    def unfit(self, volume: str) -> str:
        if driver := self._foreign(volume):
            return f"is of driver {driver}, and compose would use it: save what is in it and remove it by `docker volume rm {volume}`"
        return self._incomplete(volume) if _is_subvolume(self._volumes / volume) else ""

    def _incomplete(self, volume: str) -> str:
        """A snapshot has empty folders for the subvolumes in a subvolume: btrfs-subvolume(8)."""
        listed = run(["btrfs", "subvolume", "list", "-o", str(self._volumes / volume)], seconds=_QUICK).splitlines()
        return f"has subvolumes of its own, which no snapshot has: make folders of them ({listed[0].split()[-1]})" if listed else ""

    def _foreign(self, volume: str) -> str:
        """The driver of the volume that Docker knows by this name, when it is none of ours; a name is one volume's, whatever the driver."""
        driver = self._docker.volume_driver(checked(VOLUME, volume))
        return "" if _untagged(driver) in self._ours else driver

    def live(self, project: str) -> tuple[str, ...]:
        if not self._volumes.is_dir():
            return ()
        prefix = checked(VOLUME, project) + "_"
        return tuple(sorted(path.name for path in self._volumes.iterdir() if path.name.startswith(prefix) and path.is_dir()))

    def create(self, volume: str, labels: Mapping[str, str]) -> None:
        self._docker.create_volume(checked(VOLUME, volume), self._driver, labels)

    def remove(self, volume: str) -> None:
        known = not self._foreign(volume) and self._docker.remove_volume(volume)
        if not known and self.exists(volume):
            self._ask("POST", "/VolumeDriver.Remove", {"Name": volume})

    def snapshot(self, volumes: Sequence[str], *, aside: bool = False) -> dict[str, str]:
        now = self._time()
        taken = {volume: f"{checked(VOLUME, volume)}@{now:{TIME_FORMAT}}" for volume in volumes}
        for volume in taken:
            _check_subvolume(self._volumes / volume)
            if why := self._incomplete(volume):
                raise Permanent(f"{volume} {why}")
        if aside:
            try:
                self.put_aside(list(taken.values()))
            except OSError as error:  # as btrfs says it: what waits for room must not keep a purge from making it
                raise CommandFailed(f"{', '.join(taken.values())} cannot be put aside", str(error)) from error
        try:
            for volume, name in taken.items():
                run(["btrfs", "subvolume", "snapshot", "-r", str(self._volumes / volume), str(self._snapshots / name)], seconds=_BTRFS)
        except CommandFailed:
            # What takes too long for us is not over in the kernel: it comes when the app goes on, and would pass for a point with the rest.
            with contextlib.suppress(OSError):
                self.put_aside(list(taken.values()))
            raise
        return taken

    def sync(self) -> None:
        with contextlib.suppress(CommandFailed):
            self._sync()

    def _sync(self) -> None:
        run(["btrfs", "filesystem", "sync", str(self._volumes)], seconds=_BTRFS)

    def unchanged(self, volume: str, snapshot: str) -> bool:
        if not self.complete(snapshot):
            return False
        self._sync()  # what is not written yet has no generation
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

    def send(self, snapshot: str, host: str, guard: Guard, *, in_order: bool = True, meanwhile: Guard | None = None) -> None:
        if meanwhile is None:
            self._sends.send(snapshot, host, guard, in_order=in_order)
        else:
            work_beside(lambda sure: self._sends.send(snapshot, host, sure, in_order=in_order), guard, meanwhile)

    def sending(self, volumes: Collection[str]) -> Collection[tuple[str, str]]:
        return self._sends.under_way(volumes)

    def complete(self, snapshot: str) -> bool:
        path = self._snapshots / checked(SNAPSHOT, snapshot)
        return path.is_dir() and "ro=true" in run(["btrfs", "property", "get", "-ts", str(path), "ro"], seconds=_BTRFS)

    def adopt(self, snapshot: str, host: str) -> None:
        if host and not (marker := self._sends.marker(snapshot, host)).exists():
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
        prefix = checked(SNAPSHOT, snapshot) + "@"
        markers = [name for name in self.listed() if name.startswith(prefix)]
        for name in (*markers, snapshot):  # in this order: a crash must leave no marker alone
            if (self._snapshots / name).exists():
                self._sends.remove(name)

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
            text = run(["du", "-sx", "--block-size=1", str(self._snapshots / checked(SNAPSHOT, snapshot))], seconds=seconds)
        except CommandFailed:
            return None
        return int(text.split()[0])

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


def _is_subvolume(path: Path) -> bool:
    return path.exists() and path.stat().st_ino == _SUBVOLUME


def _check_subvolume(path: Path) -> None:
    if path.exists() and not _is_subvolume(path):
        raise Permanent(f"{path} is no subvolume, something else is in its place: remove it")


def _untagged(driver: str) -> str:
    """Docker adds the tag to a plugin's name that has none."""
    return driver.removesuffix(":latest")
