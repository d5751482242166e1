"""The files of this node: deploy directories, owner tokens, journal. Implements ``Deploys`` and ``Journal``."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path

from handler.adapters.process import run
from handler.core.names import is_file_name
from handler.errors import Permanent
from handler.ports import Guard

_MAX_READ = 1 << 20


def write_durable(path: Path, text: str, mode: int = 0o644) -> None:
    """Replace a file at once; on disk, with its name, when this returns."""
    temporary = path.with_name(f".{path.name}.new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.rename(path)
    sync_directory(path.parent)


def sync_directory(directory: Path) -> None:
    """Make names in a directory durable: fsync(2) of a file says nothing about its name."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _safe(name: str) -> str:
    if not is_file_name(name):
        raise Permanent(f"{name!r} cannot be a file's name")
    return name


class DeployDirectories:
    """Implements ``Deploys`` below ``root`` (``/deploy``) with owner tokens below ``tokens`` (volatile)."""

    def __init__(self, root: Path, tokens: Path) -> None:
        self._root, self._tokens = root, tokens

    def path(self, app: str, deploy_id: str) -> str:
        return str(self._root / f"{_safe(app)}-{_safe(deploy_id)}")

    def list(self, app: str) -> tuple[str, ...]:
        prefix = _safe(app) + "-"
        if not self._root.is_dir():
            return ()
        return tuple(sorted(p.name.removeprefix(prefix) for p in self._root.iterdir() if p.name.startswith(prefix)))

    def read(self, app: str, deploy_id: str, name: str) -> str | None:
        directory = Path(self.path(app, deploy_id))
        path = directory / name
        if not path.is_file():
            return None
        if not path.resolve().is_relative_to(directory.resolve()):
            raise Permanent(f"{name} of {app} points out of its repository")
        with path.open(errors="replace") as file:
            text = file.read(_MAX_READ + 1)
        if len(text) > _MAX_READ:
            raise Permanent(f"{name} of {app} is larger than {_MAX_READ} bytes")
        return text

    def write(self, app: str, deploy_id: str, name: str, text: str) -> None:
        write_durable(Path(self.path(app, deploy_id)) / name, text)

    def remove(self, app: str, deploy_id: str) -> None:
        shutil.rmtree(self.path(app, deploy_id), ignore_errors=True)

    def run(self, app: str, deploy_id: str, words: Sequence[str], seconds: int, guard: Guard) -> None:
        directory = self.path(app, deploy_id)
        script, *arguments = words
        path = Path(directory) / _safe(script)
        # the seed called its scripts by `sh`, so that many of them are not executable
        command = [str(path)] if os.access(path, os.X_OK) else ["sh", str(path)]
        run([*command, *arguments], cwd=directory, seconds=seconds, guard=guard)

    def token(self, app: str) -> str:
        return str(self._tokens / _safe(app))

    def own(self, app: str, deploy_id: str) -> None:
        self._tokens.mkdir(parents=True, exist_ok=True)
        write_durable(Path(self.token(app)), deploy_id + "\n")

    def disown(self, app: str) -> None:
        Path(self.token(app)).unlink(missing_ok=True)

    def owned(self, app: str) -> str | None:
        with contextlib.suppress(FileNotFoundError):
            return Path(self.token(app)).read_text().strip()
        return None


def add_lines(path: Path, entries: Iterable[str]) -> None:
    """Add lines to a file, which may have to be made; on disk when this returns. Several threads may do so.

    What a full disk or a power loss has left of the last line is dropped: the next one would be swallowed by it. A newline would not do, as
    a part may be an entry of its own: ``absent volume x_data`` of ``absent volume x_database``.
    """
    new = not path.exists()
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        text = file.read()
        if text and not text.endswith(b"\n"):
            file.truncate(text.rfind(b"\n") + 1)
        file.write("".join(entry.replace("\n", " ") + "\n" for entry in entries).encode())
        file.flush()
        os.fsync(file.fileno())
    if new:
        sync_directory(path.parent)


def read_lines(path: Path) -> frozenset[str]:
    """The whole lines of a file; none when it is not there."""
    with contextlib.suppress(FileNotFoundError):
        return frozenset(path.read_text(errors="replace").split("\n")[:-1])
    return frozenset()


class FileJournal:
    """Implements ``Journal``: one file for each operation, one line for each entry; a torn last line does not count."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def _file(self, app: str, event: str) -> Path:
        return self._root / _safe(app) / _safe(event)

    def events(self, app: str) -> tuple[str, ...]:
        directory = self._root / _safe(app)
        return tuple(sorted(path.name for path in directory.iterdir())) if directory.is_dir() else ()

    def done(self, app: str, event: str) -> frozenset[str]:
        return read_lines(self._file(app, event))

    def mark(self, app: str, event: str, entry: str) -> None:
        add_lines(self._file(app, event), [entry])

    def erase(self, app: str, event: str) -> None:
        path = self._file(app, event)
        if path.exists():
            path.unlink()
            sync_directory(path.parent)

    def forget(self, app: str, keep: Sequence[str]) -> None:
        directory = self._root / _safe(app)
        for path in directory.iterdir() if directory.is_dir() else ():
            if path.name not in keep:
                path.unlink(missing_ok=True)
