"""How the file system below a folder is mounted; used by :mod:`handler.adapters.buttervolume`."""

from __future__ import annotations

from pathlib import Path

from handler.adapters.process import run

_SECONDS = 60.0
_FLUSH = "flushoncommit"


def flush_on_commit(folder: Path) -> None:
    """Have each commit of the btrfs below ``folder`` bring to the disk all that was written before it, as btrfs(5) says of the option.

    ``folder`` is a mount of that file system. Remounting syncs it first, and keeps its other options. Raises ``CommandFailed``.
    """
    if _FLUSH not in run(["findmnt", "-n", "-o", "FS-OPTIONS", "-T", str(folder)], seconds=_SECONDS).strip().split(","):
        run(["mount", "-o", f"remount,{_FLUSH}", str(folder)], seconds=_SECONDS)
