"""Starting programs, saying what is done, and waiting: the small tools of the lab."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

CACHE = Path.home() / ".cache" / "cluster-lab"
PROJECT = Path(__file__).resolve().parents[2]


class LabError(RuntimeError):
    """The lab cannot go on; the message says why and what to do."""


def run(argv: Sequence[str | Path], *, check: bool = True, timeout: float = 600, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run a program to its end and return what it wrote; ``LabError`` with its last lines when it fails."""
    try:
        done = subprocess.run([str(a) for a in argv], check=False, text=True, capture_output=True, timeout=timeout, **options)
    except subprocess.TimeoutExpired as error:
        raise LabError(f"{' '.join(map(str, argv[:4]))} ... took more than {timeout:.0f} s") from error
    if check and done.returncode:
        tail = "\n".join((done.stderr or done.stdout).strip().splitlines()[-15:])
        raise LabError(f"{' '.join(map(str, argv[:6]))} ... ended with {done.returncode}:\n{tail}")
    return done


@contextmanager
def step(text: str) -> Iterator[None]:
    """Say what is being done, and how long it took."""
    began = time.monotonic()
    print(f"  {text} ...", end="", file=sys.stderr, flush=True)
    try:
        yield
    except BaseException:
        print(" failed", file=sys.stderr, flush=True)
        raise
    print(f" {time.monotonic() - began:.1f} s", file=sys.stderr, flush=True)


def wait_until(what: str, condition: Callable[[], Any], seconds: float, pause: float = 0.1) -> Any:
    """The first true value of ``condition``; ``LabError`` naming ``what`` when there is none in time."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise LabError(f"{what}: not within {seconds:.0f} s")
        time.sleep(pause)
