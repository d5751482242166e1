"""A node that receives a copy loses its power: what is complete on its disk then has all its files, as the next copies build on it."""

import shutil
from pathlib import Path

import pytest
from disks import btrfs, disk

from handler.adapters.buttervolume import Buttervolume

pytestmark = pytest.mark.component
FILES = {"small": b"row\n", "large": bytes(range(256)) * 1200}


def node(root: Path) -> Buttervolume:
    plugin = Buttervolume(None, ["btrfs"], root, root / "locks", str)  # type: ignore[arg-type]
    plugin.flush_on_commit()
    return plugin


def test_a_copy_that_has_just_arrived_is_whole_after_a_power_loss(tmp_path: Path) -> None:
    stream = tmp_path / "stream"
    with disk(tmp_path, "master") as here, disk(tmp_path, "slave") as there:
        master, slave = node(here), node(there)
        btrfs("subvolume", "create", here / "volumes" / "app_data")
        for name, content in FILES.items():
            (here / "volumes" / "app_data" / name).write_bytes(content)
        copy = master.snapshot(["app_data"])["app_data"]
        btrfs("send", "-q", "-f", stream, here / "snapshots" / copy)
        btrfs("receive", "-q", "-f", stream, there / "snapshots")
        assert slave.complete(copy)
        shutil.copyfile(tmp_path / "slave.img", tmp_path / "later.img")  # all that has reached the disk by now, and nothing else
    with disk(tmp_path, "later") as there:
        assert node(there).complete(copy)
        assert {path.name: path.read_bytes() for path in (there / "snapshots" / copy).iterdir()} == FILES
