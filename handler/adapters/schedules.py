"""Buttervolume's schedules: one line for each volume and action. Used by :class:`handler.adapters.buttervolume.Buttervolume`.

Its scheduler reads and rewrites its file without a lock, so that of two changes at the same time one is lost: here they are made one after
the other, and read back. Our lines are paused, and :mod:`handler.copies` does what they say.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Collection, Mapping
from typing import Any

from handler.errors import Permanent, Temporary

VOLUME = re.compile(r"^[A-Za-z0-9][A-Za-z0-9_.-]+$")
_ACTION = re.compile(r"^(snapshot|replicate:[A-Za-z0-9.:-]+|purge:[0-9a-z:]+)$")
_TRIES = 5

Ask = Callable[[str, str, Mapping[str, Any] | None], dict[str, Any]]
"""Ask the plugin: verb, path, body; its answer."""


class Schedules:
    """One node's."""

    def __init__(self, ask: Ask) -> None:
        self._ask, self._mutex = ask, threading.Lock()

    def put(self, volume: str, actions: Mapping[str, int]) -> None:
        """Make these (action -> minutes) the lines of a volume, and pause them. Raises ``Temporary`` when others change them meanwhile."""
        wanted = {checked(_ACTION, action): (int(minutes), False) for action, minutes in actions.items()}
        with self._mutex:
            for _ in range(_TRIES):
                current = self._lines().get(checked(VOLUME, volume), {})
                if current == wanted:
                    return
                for action in current.keys() - wanted.keys():
                    self._set(volume, action, "0")
                for action, line in wanted.items():
                    if current.get(action) != line:
                        self._set(volume, action, str(line[0]))
                        self._set(volume, action, "pause")
        raise Temporary(f"the schedules of {volume} change faster than they can be written")

    def all(self) -> Mapping[str, Mapping[str, int]]:
        """Volume -> action -> minutes."""
        return {volume: {action: minutes for action, (minutes, _) in lines.items()} for volume, lines in self._lines().items()}

    def pause(self, volumes: Collection[str]) -> None:
        """Let Buttervolume's own scheduler do nothing of these volumes' lines."""
        for volume, lines in self._lines().items():
            if volume in volumes and any(active for _, active in lines.values()):
                self.put(volume, {action: minutes for action, (minutes, _) in lines.items()})

    def _lines(self) -> dict[str, dict[str, tuple[int, bool]]]:
        """Volume -> action -> (minutes, whether Buttervolume's own scheduler does it)."""
        found: dict[str, dict[str, tuple[int, bool]]] = {}
        for line in self._listed():
            volume, action, timer, active = (line.get(key) or "" for key in ("Name", "Action", "Timer", "Active"))
            if VOLUME.match(volume) and _ACTION.match(action) and timer.isdigit() and int(timer):  # else a person's, and nothing for us
                found.setdefault(volume, {})[action] = (int(timer), active != "False")
        return found

    def _listed(self) -> list[dict[str, str]]:
        try:
            return self._ask("GET", "/VolumeDriver.Schedule.List", None).get("Schedule") or []
        except Permanent as error:
            if "globally paused" in str(error):  # `buttervolume scheduled pause`: nothing is scheduled as long as that lasts
                return []
            raise

    def _set(self, volume: str, action: str, timer: str) -> None:
        self._ask("POST", "/VolumeDriver.Schedule", {"Name": volume, "Action": action, "Timer": timer})


def checked(pattern: re.Pattern[str], name: str) -> str:
    """The name; ``Permanent`` when it is none, since Buttervolume puts names into shell commands."""
    if not pattern.match(name):
        raise Permanent(f"{name!r} is not a name that Buttervolume may be given")
    return name
