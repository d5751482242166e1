"""One at a time works on an app on this node: threads of the worker, and ``handler resume`` by hand."""

from __future__ import annotations

import fcntl
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import IO

from handler.core import names
from handler.settings import Settings

_GLANCE = 5.0

Try = Callable[[str], AbstractContextManager[bool]]
"""Like :func:`try_app` of a node: whether the app is ours, for as long as the context lasts."""


@contextmanager
def app_lock(here: Settings, app: str) -> Iterator[None]:
    """Wait until nobody else on this node works on the app."""
    with _file(here, app) as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextmanager
def try_app(here: Settings, app: str) -> Iterator[bool]:
    """False when somebody else works on the app for longer than it takes to see that there is nothing to do."""
    deadline = time.monotonic() + _GLANCE
    with _file(here, app) as file:
        while not (ours := _at_once(file)) and time.monotonic() < deadline:
            time.sleep(0.1)
        yield ours


def _at_once(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _file(here: Settings, app: str) -> IO[str]:
    folder = here.state_dir / "locks"
    folder.mkdir(parents=True, exist_ok=True)
    return (folder / names.project_name(app)).open("w")
