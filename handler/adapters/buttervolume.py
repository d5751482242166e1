"""Volumes, snapshots and schedules: Buttervolume's plugin, asked over its unix socket; btrfs itself for what it does not tell.

Traps of Buttervolume 3.13 that this module keeps away from everybody else:

* it puts names into shell commands, so every name and host is checked here;
* ``restore`` of a name without time restores "the latest" or silently nothing, so only full names are passed on;
* a broken receive leaves a *writable* subvolume under the final name, so :meth:`Buttervolume.complete` looks at the flag;
* the parent of an incremental send is found by a marker ``SNAPSHOT@HOST``, which only the sender makes: :meth:`Buttervolume.adopt`
  makes one for what was received, so that the way back is incremental too;
* sending the same snapshot twice fails, deletes the copy and sends in full: a marker means that it was sent;
* when the parent of an incremental send is gone on the other side, its second attempt, which is meant to be in full, names the same parent;
* it reads and rewrites its file of schedules without a lock, so that of two changes at the same time one is lost: here they are made
  one after the other, and read back.
"""

from __future__ import annotations

import http.client
import json
import re
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from handler.adapters.docker import Docker
from handler.adapters.process import run
from handler.adapters.unix import UnixConnection
from handler.errors import CommandFailed, Permanent, Temporary
from handler.ports import Guard

_VOLUME = re.compile(r"^[A-Za-z0-9][A-Za-z0-9_.-]+$")
_SNAPSHOT = re.compile(r"^[A-Za-z0-9][A-Za-z0-9_.-]+@[0-9T:.-]+$")
_HOST = re.compile(r"^[A-Za-z0-9][A-Za-z0-9.:-]*$")
_ACTION = re.compile(r"^(snapshot|replicate:[A-Za-z0-9.:-]+|purge:[0-9a-z:]+)$")
_SUBVOLUME = 256
"""Inode of the root of every btrfs subvolume."""
_QUICK = 30.0
_SEND = 6 * 3600.0
_BTRFS = 120.0
_SCHEDULE_TRIES = 5
_NO_PARENT = "cannot find parent"


class Buttervolume:
    """Implements ``Volumes``. ``root`` has ``volumes/`` and ``snapshots/``; ``find_socket`` says where the plugin listens now."""

    def __init__(self, docker: Docker, driver: str, root: Path, find_socket: Callable[[], str]) -> None:
        self._docker, self._driver = docker, driver
        self._volumes, self._snapshots = root / "volumes", root / "snapshots"
        self._find_socket = find_socket
        self._schedules = threading.Lock()

    def exists(self, volume: str) -> bool:
        return (self._volumes / _checked(_VOLUME, volume)).is_dir()

    def create(self, volume: str, labels: Mapping[str, str]) -> None:
        self._docker.create_volume(_checked(_VOLUME, volume), self._driver, labels)

    def remove(self, volume: str) -> None:
        if not self._docker.remove_volume(_checked(_VOLUME, volume)) and self.exists(volume):
            self._ask("POST", "/VolumeDriver.Remove", {"Name": volume})

    def snapshot(self, volume: str) -> str:
        return str(self._ask("POST", "/VolumeDriver.Snapshot", {"Name": _checked(_VOLUME, volume)})["Snapshot"])

    def send(self, snapshot: str, host: str, guard: Guard) -> None:
        guard()
        if self._marker(snapshot, host).exists():
            return
        body = {"Name": snapshot, "Host": host}
        try:
            try:
                self._ask("POST", "/VolumeDriver.Snapshot.Send", body, _SEND)
            except Permanent as error:
                if _NO_PARENT not in str(error):
                    raise
                guard()
                self._forget_sent(snapshot.partition("@")[0], host)
                self._ask("POST", "/VolumeDriver.Snapshot.Send", body, _SEND)
        except Permanent as error:
            raise CommandFailed(f"snapshot {snapshot} cannot be sent to {host}", str(error)) from error
        guard()

    def _forget_sent(self, volume: str, host: str) -> None:
        """The host has no copy any more that a marker speaks of, so that the next send is in full."""
        for path in self._snapshots.iterdir():
            if path.name.startswith(volume + "@") and path.name.endswith("@" + host):
                self._ask("POST", "/VolumeDriver.Snapshot.Remove", {"Name": path.name})

    def copies(self, volume: str) -> tuple[str, ...]:
        if not self._snapshots.is_dir():
            return ()
        prefix = _checked(_VOLUME, volume) + "@"
        return tuple(sorted(p.name for p in self._snapshots.iterdir() if p.name.startswith(prefix) and p.name.count("@") == 1))

    def complete(self, snapshot: str) -> bool:
        path = self._snapshots / _checked(_SNAPSHOT, snapshot)
        return path.is_dir() and "ro=true" in run(["btrfs", "property", "get", "-ts", str(path), "ro"], seconds=_BTRFS)

    def adopt(self, snapshot: str, host: str) -> None:
        marker = self._marker(snapshot, host)
        if host and not marker.exists():
            source = self._snapshots / snapshot
            run(["btrfs", "subvolume", "snapshot", "-r", str(source), str(marker)], seconds=_BTRFS)

    def restore(self, snapshot: str, volume: str) -> None:
        if not self.complete(snapshot):
            raise Permanent(f"snapshot {snapshot} is not complete on this node: nothing is restored from it")
        name = _checked(_VOLUME, volume)
        self._ask("POST", "/VolumeDriver.Snapshot.Restore", {"Name": snapshot, "Target": name})
        # a plain folder of that name would swallow the snapshot, and Buttervolume would call that a success
        if (self._volumes / name).stat().st_ino != _SUBVOLUME:
            raise Permanent(f"the restore of {snapshot} did not make {name} a subvolume: something else is in its place")

    def drop(self, snapshot: str) -> None:
        names = [_checked(_SNAPSHOT, snapshot)]
        if self._snapshots.is_dir():
            names += [path.name for path in self._snapshots.iterdir() if path.name.startswith(snapshot + "@")]
        for name in names:
            if (self._snapshots / name).exists():
                self._ask("POST", "/VolumeDriver.Snapshot.Remove", {"Name": name})

    def schedule(self, volume: str, actions: Mapping[str, int]) -> None:
        wanted = {_checked(_ACTION, action): int(minutes) for action, minutes in actions.items()}
        with self._schedules:
            for _ in range(_SCHEDULE_TRIES):
                current = self.scheduled(_checked(_VOLUME, volume))
                if current == wanted:
                    return
                for action in current.keys() | wanted.keys():
                    if current.get(action) != wanted.get(action):
                        timer = str(wanted.get(action, 0))
                        self._ask("POST", "/VolumeDriver.Schedule", {"Name": volume, "Action": action, "Timer": timer})
        raise Temporary(f"the schedules of {volume} change faster than they can be written")

    def scheduled(self, volume: str) -> Mapping[str, int]:
        listed = self._ask("GET", "/VolumeDriver.Schedule.List", None).get("Schedule") or []
        return {line["Action"]: int(line["Timer"]) for line in listed if line["Name"] == volume}

    def _marker(self, snapshot: str, host: str) -> Path:
        return self._snapshots / f"{_checked(_SNAPSHOT, snapshot)}@{_checked(_HOST, host)}"

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


def _checked(pattern: re.Pattern[str], name: str) -> str:
    if not pattern.match(name):
        raise Permanent(f"{name!r} is not a name that Buttervolume may be given")
    return name
