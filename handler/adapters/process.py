"""The only place where a program is started. Argument lists only, never a shell; every program has a deadline."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence

from handler.core.events import hide_secret
from handler.errors import ClusterError, CommandFailed
from handler.ports import Guard

log = logging.getLogger(__name__)

_TAIL = 4000
_POLL = 0.02
_MAX_POLL = 0.2


def run(
    argv: Sequence[str],
    *,
    seconds: float,
    cwd: str | None = None,
    environment: Mapping[str, str] | None = None,
    guard: Guard | None = None,
    stdin: str = "",
    name: str = "",
) -> str:
    """Run a program to its end; returns its stdout. ``stdin`` is for what must not be seen in the list of processes. ``name`` is what
    errors call the program; its first words, if empty.

    ``guard`` is asked a few times a second: what it raises ends the program and goes on to the caller. Raises ``CommandFailed`` with
    the last lines of stderr (or stdout) on another exit code than 0, when the program is missing, or after ``seconds``. Passwords in
    urls are hidden in it: it goes to the log and to the history.
    """
    log.debug("run %s", hide_secret(" ".join(argv)))
    shown = name or hide_secret(" ".join(argv[:4]))
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err, tempfile.TemporaryFile() as told:
        told.write(stdin.encode())
        told.seek(0)
        try:
            process = subprocess.Popen(
                list(argv),
                cwd=cwd,
                env={**os.environ, **(environment or {})},
                stdin=told,
                stdout=out,
                stderr=err,
                start_new_session=True,
            )
        except OSError as error:
            raise CommandFailed(f"{shown} cannot be started", str(error)) from error
        try:
            _wait(process, shown, seconds, guard)
        except ClusterError as error:
            if isinstance(error, CommandFailed):
                error.tail = _tail(err, out)
            raise
        finally:
            _end(process)
        if process.returncode:
            raise CommandFailed(f"{shown} ended with {process.returncode}", _tail(err, out))
        return _read(out)


def _wait(process: subprocess.Popen[bytes], shown: str, seconds: float, guard: Guard | None) -> None:
    deadline, pause = time.monotonic() + seconds, _POLL
    while True:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(pause)
            return
        pause = min(pause * 2, _MAX_POLL)
        if guard:
            guard()
        if time.monotonic() > deadline:
            raise CommandFailed(f"{shown} took more than {seconds:.0f} s")


def _end(process: subprocess.Popen[bytes]) -> None:
    """End what is left of the program and its children; it has a process group of its own."""
    if process.poll() is not None:
        return
    for number in (signal.SIGTERM, signal.SIGKILL):  # the second also when the program has ended: its children may not have heard the first
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(5.0)


def _tail(err: object, out: object) -> str:
    """A script may write what it was called with; hidden before it is cut, so that no half of a password is left."""
    return hide_secret(_read(err) or _read(out))[-_TAIL:]


def _read(file: object) -> str:
    file.seek(0)  # type: ignore[attr-defined]
    text: bytes = file.read()  # type: ignore[attr-defined]
    return text.decode(errors="replace")
