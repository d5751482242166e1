"""Snapshots on a real btrfs: taken together, listed in the order of their arrival, parts told from whole ones; sends in a queue."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from disks import btrfs, disk

from handler.adapters.buttervolume import Buttervolume
from handler.core.copies import Held
from handler.errors import Aborted, CommandFailed, LeaseLost, Overtaken, Permanent

pytestmark = pytest.mark.component


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A node's /var/lib/buttervolume, with two volumes."""
    with disk(tmp_path_factory.mktemp("btrfs"), "mnt") as mounted:
        for name in ("app_data", "app_dump"):
            btrfs("subvolume", "create", mounted / "volumes" / name)
        yield mounted


def copies(plugin: Buttervolume) -> list[str]:
    """The snapshots of app_data, by name."""
    return sorted(name for name in plugin.listed() if name.startswith("app_data@") and name.count("@") == 1)


class Plugin(Buttervolume):
    """Sends take as long as a test wants; what it did is noted."""

    def __init__(self, root: Path) -> None:
        super().__init__(None, ["btrfs"], root, root / "locks", str)  # type: ignore[arg-type]
        self.sends: list[str] = []
        self.begun, self.end = threading.Event(), threading.Event()

    def _ask(self, verb: str, path: str, body: Any, seconds: float = 0) -> dict[str, Any]:
        self.sends.append(f"begin {body['Name']}")
        self.begun.set()
        assert self.end.wait(20)
        self.sends.append(f"end {body['Name']}")
        return {}


def test_a_volume_whose_data_no_snapshot_would_have_is_refused(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As engines of containers make subvolumes in theirs: a move would leave them behind."""
    plugin, before = Plugin(root), Plugin(root).listed()
    btrfs("subvolume", "create", root / "volumes" / "app_dump" / "inner")
    try:
        with pytest.raises(Permanent, match="app_dump has subvolumes of its own.*inner"):
            plugin.snapshot(["app_data", "app_dump"])
        (root / "volumes" / "app_folder").mkdir()
        monkeypatch.setattr(plugin, "_foreign", lambda _volume: "")
        found = {volume: plugin.unfit(f"app_{volume}") for volume in ("data", "dump", "folder", "none")}
        assert "inner" in found.pop("dump")
        assert set(found.values()) == {""}
        assert plugin.listed() == before
    finally:
        btrfs("subvolume", "delete", root / "volumes" / "app_dump" / "inner")
        (root / "volumes" / "app_folder").rmdir()


def test_volumes_are_snapshotted_together_and_found_in_the_order_of_arrival(root: Path) -> None:
    plugin = Plugin(root)
    (root / "volumes" / "app_data" / "file").write_bytes(b"x" * 300_000)
    first = plugin.snapshot(["app_data", "app_dump"])
    assert len({name.partition("@")[2] for name in first.values()}) == 1
    late = "app_data@2020-01-01T00:00:00.000000"  # from a node whose clock is behind
    btrfs("subvolume", "snapshot", "-r", root / "volumes" / "app_data", root / "snapshots" / late)
    part = "app_data@2019-01-01T00:00:00.000000"
    btrfs("subvolume", "create", root / "snapshots" / part)
    plugin.adopt(late, "10.0.0.2")
    assert plugin.stock()["app_data"] == [Held(first["app_data"]), Held(late, hosts=("10.0.0.2",)), Held(part, complete=False)]
    assert plugin.stock()["app_dump"] == [Held(first["app_dump"])]
    assert plugin.complete(first["app_data"])
    assert 300_000 <= plugin.size(first["app_data"], 10) < 400_000
    assert {late, f"{late}@10.0.0.2", part} < plugin.listed()


def test_a_volume_is_restored_from_exactly_the_named_snapshot(root: Path) -> None:
    plugin, live = Plugin(root), root / "volumes" / "app_data" / "file"
    live.write_text("then")
    named = plugin.snapshot(["app_data"])["app_data"]
    live.write_text("now")
    plugin.restore(named, "app_data")
    assert live.read_text() == "then"
    assert copies(plugin)[-1] == named
    (root / "volumes" / "folder_data").mkdir()
    with pytest.raises(Permanent, match="something else is in its place"):
        plugin.restore(named, "folder_data")


def test_what_was_received_is_known_as_such(root: Path, tmp_path: Path) -> None:
    plugin, name, stream = Plugin(root), "other@2026-01-01T00:00:00.000000", tmp_path / "stream"
    btrfs("subvolume", "snapshot", "-r", root / "volumes" / "app_data", root / name)
    btrfs("send", "-q", "-f", stream, root / name)
    btrfs("receive", "-q", "-f", stream, root / "snapshots")
    plugin.adopt(name, "")  # of a node whose address nobody knows any more
    assert plugin.stock()["other"] == [Held(name, received=True)]


def test_sends_of_one_volume_to_one_host_wait_for_each_other(root: Path) -> None:
    plugin = Plugin(root)
    names = [plugin.snapshot(["app_dump"])["app_dump"] for _ in range(2)]
    threads = [threading.Thread(target=plugin.send, args=(name, "10.0.0.2", lambda: None)) for name in names]
    threads[0].start()
    assert plugin.begun.wait(10)
    threads[1].start()

    def lost() -> None:
        if plugin.sends:
            raise LeaseLost("gone")

    with pytest.raises(LeaseLost):  # whoever waits goes on asking
        plugin.send(names[1], "10.0.0.2", lost)
    assert plugin.sends == [f"begin {names[0]}"]
    plugin.end.set()
    for thread in threads:
        thread.join(20)
    assert plugin.sends == [f"begin {names[0]}", f"end {names[0]}", f"begin {names[1]}", f"end {names[1]}"]


def test_an_older_one_is_not_sent_after_a_newer_one_whatever_the_clock_says_and_whoever_died(root: Path) -> None:
    """Each send is another process's; what is not there any more, and cannot be sent, does not count."""

    def send(snapshot: str) -> list[str]:
        plugin = Plugin(root)
        plugin.end.set()
        plugin.send(snapshot, "10.0.0.3", lambda: None)
        return plugin.sends[::2]

    old, new, newest = (Plugin(root).snapshot(["app_dump"])["app_dump"] for _ in range(3))
    late = "app_dump@2020-01-01T00:00:00.000000"  # the clock was set back
    btrfs("subvolume", "snapshot", "-r", root / "volumes" / "app_dump", root / "snapshots" / late)
    assert send(new) == [f"begin {new}"]
    assert send(new) == [f"begin {new}"], "it has no marker: its end is not known"
    send("app_dump@2026-02-02T00:00:00.000000")
    with pytest.raises(Overtaken):
        send(old)
    assert send(newest) == [f"begin {newest}"]
    assert send(late) == [f"begin {late}"]
    with pytest.raises(Overtaken):
        send(newest)


@pytest.mark.parametrize(("snapshot", "host"), [("../x@2026-01-01T00:00:00.000000", "10.0.0.2"), ("x@2026-01-01T00:00:00.000000", "../x")])
def test_what_is_no_name_is_sent_nowhere_and_makes_no_file(root: Path, snapshot: str, host: str) -> None:
    plugin, before = Plugin(root), sorted(root.rglob("*"))
    with pytest.raises(Permanent):
        plugin.send(snapshot, host, lambda: None)
    assert plugin.sends == []
    assert sorted(root.rglob("*")) == before


def test_who_has_waited_asks_again_before_anything_is_sent(root: Path) -> None:
    """What was right when it began to wait may not be right any more."""
    plugin = Plugin(root)
    name = plugin.snapshot(["app_dump"])["app_dump"]
    queue = root / "locks" / "send-app_dump@10.0.0.9"
    queue.parent.mkdir(exist_ok=True)
    asked: list[str] = []

    def guard() -> None:
        asked.append("asked")
        if len(asked) == 1:
            return  # before the queue
        raise LeaseLost("gone")

    with pytest.raises(LeaseLost):
        plugin.send(name, "10.0.0.9", guard)
    assert queue.exists()
    assert plugin.sends == []


def test_a_volume_is_unchanged_since_its_snapshot_until_something_is_written(root: Path) -> None:
    """Also when that is not on the disk yet; and another volume of the same data is not this one."""
    plugin, live = Plugin(root), root / "volumes" / "app_data" / "file"
    first = plugin.snapshot(["app_data"])["app_data"]
    assert plugin.unchanged("app_data", first)
    live.write_text("more")
    assert not plugin.unchanged("app_data", first)
    last = plugin.snapshot(["app_data"])["app_data"]
    assert plugin.unchanged("app_data", last)
    plugin.restore(last, "app_data")
    assert not plugin.unchanged("app_data", last)
    assert not plugin.unchanged("app_data", "app_data@2020-01-01T00:00:00.000000")


def test_a_snapshot_that_cannot_be_put_aside_is_not_made(root: Path) -> None:
    """As on a full disk. What is no volume is not named either."""
    plugin, before = Plugin(root), copies(Plugin(root))
    (root / "volumes" / "folder_data").mkdir(exist_ok=True)
    with pytest.raises(Permanent, match="something else is in its place"):
        plugin.snapshot(["folder_data"], aside=True)
    (root / "cluster-aside").mkdir()
    with pytest.raises(CommandFailed, match="cannot be put aside"):
        plugin.snapshot(["app_data"], aside=True)
    assert copies(plugin) == before


def test_a_marker_that_somebody_else_deletes_in_the_same_moment_is_gone(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two migrates of one app send and drop snapshots of one volume."""
    marker = root / "snapshots" / "app_data@2018-01-01T00:00:00.000000@10.0.0.9"
    asked: list[str] = []

    def others(path: str, name: str) -> dict[str, Any]:
        asked.append(path)
        if path.endswith("Remove"):
            marker.rmdir()
            raise Permanent(f"Buttervolume: No such snapshot {name}")
        return {}

    monkeypatch.setattr(Plugin, "_ask", lambda _self, _verb, path, body, _seconds=0: others(path, body["Name"]))
    plugin = Plugin(root)
    marker.mkdir()
    plugin.send(copies(plugin)[-1], "10.0.0.9", lambda: None)
    assert asked == ["/VolumeDriver.Snapshot.Remove", "/VolumeDriver.Snapshot.Send"]


def test_who_need_not_wait_for_a_send_goes_on_and_those_that_follow_wait_for_it(root: Path) -> None:
    """Nothing can stop it; one that has not begun yet is not begun."""
    plugin = Plugin(root)
    names = [plugin.snapshot(["app_dump"])["app_dump"] for _ in range(3)]

    for name in names[:2]:
        asked = iter(("when it begins",))

        def called_away(asked: Iterator[str] = asked) -> None:
            if not next(asked, ""):
                raise Aborted("something else comes next")

        with pytest.raises(Aborted):
            plugin.send(name, "10.0.0.7", lambda: None, meanwhile=called_away)
    assert plugin.sends == [f"begin {names[0]}"]
    assert plugin.sending(["app_dump"]) == [("app_dump", "10.0.0.7")]
    assert plugin.sending(["app_data"]) == []
    plugin.end.set()
    for thread in threading.enumerate():
        if thread.name.endswith(" beside"):
            thread.join(20)
    assert plugin.sends == [f"begin {names[0]}", f"end {names[0]}"]
    plugin.send(names[2], "10.0.0.7", lambda: None, meanwhile=lambda: None)
    assert plugin.sends == [f"begin {names[0]}", f"end {names[0]}", f"begin {names[2]}", f"end {names[2]}"]
    assert plugin.sending(["app_dump"]) == []


def test_what_fails_beside_fails_for_who_waits(root: Path) -> None:
    plugin = Plugin(root)

    def lost() -> None:
        raise LeaseLost("gone")

    with pytest.raises(LeaseLost):
        plugin.send("app_dump@2026-01-01T00:00:00.000000", "10.0.0.8", lost, meanwhile=lambda: None)
    assert plugin.sends == []
