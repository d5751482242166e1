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
        super().__init__(None, "btrfs", Path("/nowhere"), str)  # type: ignore[arg-type]
        self.rows: dict[tuple[str, str], str] = {}
        self.forgets = forgets

    def _ask(self, verb: str, path: str, body: Mapping[str, Any] | None, seconds: float = 0) -> dict[str, Any]:
        if body is None:
            return {"Schedule": [{"Name": name, "Action": action, "Timer": timer} for (name, action), timer in self.rows.items()]}
        read = dict(self.rows)
        time.sleep(0.002)
        read.pop((body["Name"], body["Action"]), None)
        if body["Timer"] != "0":
            read[body["Name"], body["Action"]] = body["Timer"]
        self.forgets -= 1
        if self.forgets < 0:
            self.rows = read
        return {}


def test_schedules_written_at_the_same_time_are_all_there() -> None:
    plugin = Unlocked()
    names = [f"volume{number}" for number in range(12)]
    with ThreadPoolExecutor(max_workers=12) as pool:
        list(pool.map(lambda name: plugin.schedule(name, WANTED), names))
    assert {name: dict(plugin.scheduled(name)) for name in names} == dict.fromkeys(names, WANTED)


def test_a_schedule_that_another_program_undid_is_written_again() -> None:
    plugin = Unlocked(forgets=3)
    plugin.schedule("volume", WANTED)
    assert plugin.scheduled("volume") == WANTED
    plugin.schedule("volume", {})
    assert plugin.scheduled("volume") == {}


def test_one_that_never_stays_is_an_error() -> None:
    with pytest.raises(Temporary, match="change faster"):
        Unlocked(forgets=1000).schedule("volume", WANTED)
