"""Buttervolume rewrites its file of schedules without a lock; apps that are deployed at the same time must not lose theirs."""

import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from handler.adapters.buttervolume import Buttervolume
from handler.errors import Temporary

WANTED = {"replicate:10.0.0.2": 60, "purge:1h:1d:1w:4w:1y": 1440}


class Unlocked(Buttervolume):
    """Reads, thinks, and writes back what it read, as the plugin does. ``forgets`` counts writes of somebody else's that undo ours."""

    def __init__(self, forgets: int = 0) -> None:
        super().__init__(None, "btrfs", Path("/nowhere"), Path("/nowhere"), str)  # type: ignore[arg-type]
        self.rows: dict[tuple[str, str], tuple[str, str]] = {}
        self.forgets = forgets

    def _ask(self, verb: str, path: str, body: Mapping[str, Any] | None, seconds: float = 0) -> dict[str, Any]:
        if body is None:
            return {
                "Schedule": [
                    {"Name": name, "Action": action, "Timer": timer, "Active": active}
                    for (name, action), (timer, active) in self.rows.items()
                ]
            }
        read, key, timer = dict(self.rows), (body["Name"], body["Action"]), body["Timer"]
        time.sleep(0.002)
        before = read.pop(key, None)
        if timer == "pause":
            read |= {key: (before[0], "False")} if before else {}
        elif timer != "0":
            read[key] = (timer, "True")
        self.forgets -= 1
        if self.forgets < 0:
            self.rows = read
        return {}


def test_schedules_written_at_the_same_time_are_all_there() -> None:
    plugin = Unlocked()
    names = [f"volume{number}" for number in range(12)]
    with ThreadPoolExecutor(max_workers=12) as pool:
        list(pool.map(lambda name: plugin.schedule(name, WANTED), names))
    assert plugin.schedules() == dict.fromkeys(names, WANTED)
    assert {active for _, active in plugin.rows.values()} == {"False"}, "what they say is done by the worker"


def test_a_schedule_that_another_program_undid_is_written_again() -> None:
    plugin = Unlocked(forgets=3)
    plugin.schedule("volume", WANTED)
    assert plugin.schedules() == {"volume": WANTED}
    plugin.schedule("volume", {})
    assert plugin.schedules() == {}


def test_a_person_s_volume_is_left_alone_and_ours_are_paused_again() -> None:
    plugin = Unlocked()
    for name in ("ours", "theirs"):
        plugin._schedule(name, "snapshot", "30")
    plugin.pause_schedules({"ours"})
    assert plugin.rows == {("ours", "snapshot"): ("30", "False"), ("theirs", "snapshot"): ("30", "True")}


def test_one_that_never_stays_is_an_error() -> None:
    with pytest.raises(Temporary, match="change faster"):
        Unlocked(forgets=1000).schedule("volume", WANTED)
