"""Traps of Buttervolume: schedules that are lost when two are written at once; copies that the other side has forgotten."""

import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, tzinfo
from pathlib import Path
from typing import Any

import pytest

from handler.adapters import buttervolume
from handler.adapters.buttervolume import Buttervolume
from handler.errors import CommandFailed, Permanent, Temporary

WANTED = {"replicate:10.0.0.2": 60, "purge:1h:1d:1w:4w:1y": 1440}


class Unlocked(Buttervolume):
    """Reads, thinks, and writes back what it read, as the plugin does. ``forgets`` counts writes of somebody else's that undo ours."""

    def __init__(self, forgets: int = 0) -> None:
        super().__init__(None, ["btrfs"], Path("/nowhere"), Path("/nowhere"), str)  # type: ignore[arg-type]
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
        plugin._schedules._set(name, "snapshot", "30")
    plugin.pause_schedules({"ours"})
    assert plugin.rows == {("ours", "snapshot"): ("30", "False"), ("theirs", "snapshot"): ("30", "True")}


def test_one_that_never_stays_is_an_error() -> None:
    with pytest.raises(Temporary, match="change faster"):
        Unlocked(forgets=1000).schedule("volume", WANTED)


def test_two_calls_never_name_the_same_time_although_the_clock_stands_still(monkeypatch: pytest.MonkeyPatch) -> None:
    """One time is one point of all that has it in its name."""

    class Standing(datetime):
        @classmethod
        def now(cls, zone: tzinfo | None = None) -> datetime:
            return datetime(2026, 1, 1, tzinfo=zone)

    monkeypatch.setattr(buttervolume, "datetime", Standing)
    monkeypatch.setattr(buttervolume, "run", lambda *_words, **_more: "")
    plugin = Unlocked()
    first, second = plugin.snapshot(["app_data", "app_dump"]), plugin.snapshot(["app_data", "app_dump"])
    assert len({name.partition("@")[2] for name in first.values()}) == 1
    assert not set(first.values()) & set(second.values())
    assert set(plugin.snapshot(["app_data"]).values()) != set(plugin.snapshot(["app_data"]).values())


class Sender(Buttervolume):
    """Sends as the plugin does: with the parent that a marker names, twice. ``there`` is what the other side has. ``killed_after`` as many
    deletions, nothing more is done.
    """

    killed_after = 1000

    def __init__(self, root: Path, error: str = "ERROR: snapshot: cannot find parent subvolume d76bedd0") -> None:
        super().__init__(None, "btrfs", root, root / "locks", str)  # type: ignore[arg-type]
        self.root, self.error, self.there = root / "snapshots", error, set[str]()
        self.root.mkdir()

    def _ask(self, verb: str, path: str, body: Mapping[str, Any] | None, seconds: float = 0) -> dict[str, Any]:
        assert body is not None
        if path.endswith("Remove"):
            self.killed_after -= 1
            if self.killed_after < 0:
                raise KeyboardInterrupt
            (self.root / body["Name"]).rmdir()
            return {}
        parents = sorted(p.name for p in self.root.iterdir() if p.name.endswith("@" + body["Host"]) and p.name.startswith("data@"))
        if parents and not (self.root / parents[-1].rpartition("@")[0]).exists():
            raise Permanent(f"ERROR: cannot resolve realpath of {parents[-1]}: No such file or directory")
        if parents and parents[-1].rpartition("@")[0] not in self.there:
            raise Permanent(self.error)
        self.there.add(body["Name"])
        (self.root / f"{body['Name']}@{body['Host']}").mkdir()
        return {}


def test_copies_that_the_other_side_has_forgotten_are_no_reason_not_to_send(tmp_path: Path) -> None:
    plugin = Sender(tmp_path)
    data, database = "data@2026-01-01T00:00:00", "database@2026-01-01T00:00:00"
    for name in (data, f"{data}@10.0.0.2", f"{data}@10.0.0.3", f"{database}@10.0.0.2"):
        (plugin.root / name).mkdir()
    plugin.send("data@2026-01-02T00:00:00", "10.0.0.2", lambda: None)
    assert plugin.there == {"data@2026-01-02T00:00:00"}
    kept = {path.name for path in plugin.root.iterdir()}
    assert kept == {data, f"{data}@10.0.0.3", f"{database}@10.0.0.2", "data@2026-01-02T00:00:00@10.0.0.2"}


def test_a_send_whose_parent_is_dropped_in_that_moment_is_done_with_another_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two migrates of one app to one node; the one that is over drops its snapshot."""
    plugin = Sender(tmp_path)
    data, dropped = "data@2026-01-01T00:00:00", "data@2026-01-02T00:00:00"
    plugin.there = {data, dropped}
    for name in (data, f"{data}@10.0.0.2", dropped, f"{dropped}@10.0.0.2"):
        (plugin.root / name).mkdir()
    ask, asked = plugin._ask, []

    def racing(verb: str, path: str, body: Mapping[str, Any] | None, seconds: float = 0) -> dict[str, Any]:
        asked.append(path)
        if len(asked) == 1:
            for name in (f"{dropped}@10.0.0.2", dropped):
                (plugin.root / name).rmdir()
            raise Permanent("Buttervolume: ERROR: empty stream is not considered valid")
        return ask(verb, path, body, seconds)

    monkeypatch.setattr(plugin, "_ask", racing)
    plugin.send("data@2026-01-03T00:00:00", "10.0.0.2", lambda: None)
    assert "data@2026-01-03T00:00:00" in plugin.there
    assert f"{data}@10.0.0.2" in {path.name for path in plugin.root.iterdir()}, "the parent that is left is used"


def test_a_send_that_fails_for_another_reason_keeps_the_parents(tmp_path: Path) -> None:
    plugin = Sender(tmp_path, "ssh: connect to host 10.0.0.2 port 1122: Connection refused")
    for name in ("data@2026-01-01T00:00:00", "data@2026-01-01T00:00:00@10.0.0.2"):
        (plugin.root / name).mkdir()
    with pytest.raises(CommandFailed, match="cannot be sent"):
        plugin.send("data@2026-01-02T00:00:00", "10.0.0.2", lambda: None)
    assert {path.name for path in plugin.root.iterdir()} == {"data@2026-01-01T00:00:00", "data@2026-01-01T00:00:00@10.0.0.2"}


def test_a_marker_without_its_snapshot_is_no_parent(tmp_path: Path) -> None:
    plugin = Sender(tmp_path)
    here, gone = "data@2026-01-01T00:00:00", "data@2026-01-02T00:00:00"
    for name in (here, f"{here}@10.0.0.2", f"{gone}@10.0.0.2", f"{gone}@10.0.0.3"):
        (plugin.root / name).mkdir()
    plugin.there = {here, gone}
    plugin.send("data@2026-01-03T00:00:00", "10.0.0.2", lambda: None)
    kept = {path.name for path in plugin.root.iterdir()}
    assert kept == {here, f"{here}@10.0.0.2", f"{gone}@10.0.0.3", "data@2026-01-03T00:00:00@10.0.0.2"}


@pytest.mark.parametrize("deletions", range(3))
def test_no_marker_outlives_its_snapshot_whenever_the_handler_is_killed(tmp_path: Path, deletions: int) -> None:
    plugin, name = Sender(tmp_path), "data@2026-01-01T00:00:00"
    for one in (name, f"{name}@10.0.0.2", f"{name}@10.0.0.3"):
        (plugin.root / one).mkdir()
    plugin.killed_after = deletions
    with pytest.raises(KeyboardInterrupt):
        plugin.drop(name)
    assert (plugin.root / name).exists()
    plugin.killed_after = 3
    plugin.drop(name)
    assert not list(plugin.root.iterdir())


def test_a_snapshot_that_comes_too_late_makes_no_point_with_those_in_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The app goes on meanwhile. The name that was given up is known before the snapshot is there."""
    for folder in ("volumes/app_a", "volumes/app_b", "snapshots"):
        (tmp_path / folder).mkdir(parents=True)

    def run(argv: list[str], *, seconds: float) -> str:
        if "snapshot" in argv and argv[-1].partition("@")[0].endswith("/app_b"):
            raise CommandFailed(f"btrfs did not end in {seconds} s")
        if "snapshot" in argv:
            Path(argv[-1]).mkdir()
        return ""

    monkeypatch.setattr(buttervolume, "run", run)
    monkeypatch.setattr(buttervolume, "_check_subvolume", lambda path: None)
    plugin = Buttervolume(None, ["btrfs"], tmp_path, tmp_path, str)  # type: ignore[arg-type]
    with pytest.raises(CommandFailed):
        plugin.snapshot(["app_a", "app_b"])
    (taken,) = (tmp_path / "snapshots").iterdir()
    time_of_both = taken.name.partition("@")[2]
    assert set((tmp_path / "cluster-aside").read_text().split()) == {f"app_{volume}@{time_of_both}" for volume in "ab"}
