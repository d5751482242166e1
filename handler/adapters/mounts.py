"""How the file system below a folder is mounted; used by :mod:`handler.adapters.buttervolume`."""

from __future__ import annotations

from pathlib import Path

from handler.adapters.process import run
from handler.errors import CommandFailed

_SECONDS = 600.0
"""A sync of a slow disk takes long; nobody waits for it."""
_FLUSH = "flushoncommit"


def flush_on_commit(folder: Path) -> None:
    """Have each commit of the btrfs below ``folder`` bring to the disk all that was written before it, as btrfs(5) says of the option.

    ``folder`` is a mount of that file system. Remounting syncs it first, and keeps its other options. Raises ``CommandFailed``, also for a
    mount that is read-only, as remounting it would make all of the file system so.
    """
    own, shared = (_options(folder, which) for which in ("VFS-OPTIONS", "FS-OPTIONS"))
    if "ro" in own:
        raise CommandFailed(f"{folder} is mounted read-only")
    if _FLUSH not in shared:
        run(["mount", "-o", f"remount,{_FLUSH}", str(folder)], seconds=_SECONDS)


def _options(folder: Path, which: str) -> list[str]:
    return run(["findmnt", "-n", "-o", which, "-T", str(folder)], seconds=_SECONDS).strip().split(",")
