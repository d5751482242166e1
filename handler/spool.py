"""The spool: events wait on disk for the worker, so that the program which ``consul watch`` starts can return at once.

One file for each message, named by its id: the same event arriving again is the same file. This module imports little, since it
is all that :mod:`handler.receive` needs.
"""

from __future__ import annotations

import json
import os
import socket
from contextlib import suppress
from pathlib import Path

from handler.core.events import Message

BAD = ".bad"


def put(directory: Path, message: Message) -> None:
    """Write a message; on disk (file and directory) when this returns."""
    directory.mkdir(parents=True, exist_ok=True)
    final = directory / f"{message.id}.json"
    temporary = directory / f".{message.id}.{os.getpid()}"
    with temporary.open("w") as file:
        json.dump({"id": message.id, "name": message.name, "payload": message.payload}, file)
        file.flush()
        os.fsync(file.fileno())
    temporary.rename(final)
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def waiting(directory: Path) -> list[tuple[Path, Message]]:
    """The spooled messages, oldest first; a file that cannot be read is put aside under the suffix ``.bad``."""
    found: list[tuple[Path, Message]] = []
    paths = sorted(directory.glob("*.json"), key=lambda path: (path.stat().st_mtime_ns, path.name)) if directory.is_dir() else []
    for path in paths:
        try:
            found.append((path, _read(path.read_text())))
        except (OSError, ValueError, TypeError):
            put_aside(path)
    return found


def _read(text: str) -> Message:
    message = Message(**json.loads(text))
    if not all(isinstance(part, str) for part in (message.id, message.name, message.payload)):
        raise TypeError("no message")
    return message


def put_aside(path: Path) -> Path:
    """Keep a message that nobody can take for a person to look at, where it is not tried again; returns its new name.

    When the disk does not even allow that, it is tried again.
    """
    bad = path.with_suffix(BAD)
    with suppress(OSError):
        path.rename(bad)
    return bad


def poke(path: Path, word: str) -> bool:
    """Wake the worker; False when nobody listens (it looks at the spool when it starts)."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.setblocking(False)
        try:
            sock.sendto(word.encode(), str(path))
        except OSError:
            return False
    return True


def listen(path: Path, seconds: float) -> socket.socket:
    """The worker's end of what :func:`poke` writes to; ``seconds`` until :func:`heard` returns without a word."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    listener.bind(str(path))
    listener.settimeout(seconds)
    return listener


def heard(listener: socket.socket) -> set[str]:
    """Wait for a word, then take all that are there."""
    seconds, words = listener.gettimeout(), set[str]()
    try:
        words.add(listener.recv(512).decode(errors="replace"))
        listener.setblocking(False)
        while True:
            words.add(listener.recv(512).decode(errors="replace"))
    except (TimeoutError, BlockingIOError):
        return words
    finally:
        listener.settimeout(seconds)
