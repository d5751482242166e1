"""Real btrfs disks of their own, in files, for component tests."""

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from programs import need

from clusterlab.disk import Image
from clusterlab.run import LabError


@contextlib.contextmanager
def disk(folder: Path, name: str) -> Iterator[Path]:
    """A node's /var/lib/buttervolume, without volumes; what is on it is in the file ``<name>.img`` of ``folder``, also before and after."""
    need("mkfs.btrfs")
    image = Image(folder / f"{name}.img", folder / name, "256M")
    try:
        image.mount()
    except (LabError, OSError, subprocess.SubprocessError) as error:
        pytest.skip(f"nothing can be mounted here: {error}")
    try:
        for part in ("volumes", "snapshots"):
            (image.mountpoint / part).mkdir(exist_ok=True)
        yield image.mountpoint
    finally:
        image.unmount()


def btrfs(*words: object) -> None:
    subprocess.run(["btrfs", *map(str, words)], check=True, stdout=subprocess.DEVNULL)
