"""One at a time works on an app on this node: threads of the worker, and ``handler resume`` by hand."""

from __future__ import annotations

import fcntl
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

from handler.core import names
from handler.settings import Settings

Try = Callable[[str], AbstractContextManager[bool]]
"""Like :func:`try_app` of a node: whether the app is ours, for as long as the context lasts."""


@contextmanager
def app_lock(here: Settings, app: str) -> Iterator[None]:
    """Wait until nobody else on this node works on the app."""
    with _locked(here, app, fcntl.LOCK_EX):
        yield


@contextmanager
def try_app(here: Settings, app: str) -> Iterator[bool]:
    """Do not wait: False when somebody else works on it."""
    with _locked(here, app, fcntl.LOCK_EX | fcntl.LOCK_NB) as ours:
        yield ours


@contextmanager
def _locked(here: Settings, app: str, how: int) -> Iterator[bool]:
    folder = here.state_dir / "locks"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / names.project_name(app)).open("w") as file:
        try:
            fcntl.flock(file, how)
        except BlockingIOError:
            yield False
        else:
            yield True
