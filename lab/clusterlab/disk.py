"""Disks of the lab: image files with btrfs, loop-mounted. One for the nodes' Docker directories, one of its own for each node's data."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from clusterlab.run import CACHE, run

MOUNTS = CACHE / "mnt"


@dataclass(frozen=True)
class Image:
    """An image file and where it is mounted."""

    file: Path
    mountpoint: Path
    size: str

    def mount(self) -> None:
        """Make the file system when it is missing; mount it when it is not."""
        if mounted(self.mountpoint):
            return
        if not self.file.exists():
            self.file.parent.mkdir(parents=True, exist_ok=True)
            run(["truncate", "-s", self.size, self.file])
            run(["mkfs.btrfs", "-q", "-f", "-m", "single", self.file])
        self.mountpoint.mkdir(parents=True, exist_ok=True)
        run(["mount", "-o", "loop,noatime", self.file, self.mountpoint])

    def unmount(self) -> None:
        """Give mount and loop device back; the file stays."""
        if mounted(self.mountpoint):
            run(["umount", self.mountpoint])


def mounted(path: Path) -> bool:
    """Whether something is mounted there."""
    return any(line.split()[1] == str(path) for line in Path("/proc/mounts").read_text().splitlines())


def node_data(node: str) -> Image:
    """The disk below a node's /var/lib/buttervolume."""
    return Image(CACHE / "state" / f"{node}.btrfs", MOUNTS / node, "20G")


class Disk:
    """The disk of Docker directories: a template, and one snapshot of it for each node."""

    def __init__(self) -> None:
        self.image = Image(CACHE / "docker.btrfs", MOUNTS / "docker", "40G")
        self.template = self.image.mountpoint / "template"

    def mount(self) -> None:
        """See :meth:`Image.mount`."""
        self.image.mount()
        if not self.template.exists():
            run(["btrfs", "subvolume", "create", self.template])

    def fresh_template(self, *, keep: bool) -> None:
        """An unmarked template: the present content, or an empty one."""
        if not keep:
            delete(self.template)
            run(["btrfs", "subvolume", "create", self.template])
        (self.template / "cluster-lab").unlink(missing_ok=True)

    def node(self, name: str) -> Path:
        """A new Docker directory for a node."""
        path = self.image.mountpoint / name
        delete(path)
        run(["btrfs", "subvolume", "snapshot", self.template, path])
        return path

    def drop(self, name: str) -> None:
        """A node's Docker directory away."""
        delete(self.image.mountpoint / name)


def delete(path: Path) -> None:
    """Delete a subvolume; Docker's overlay2 makes none inside."""
    if path.exists():
        run(["btrfs", "subvolume", "delete", path])
