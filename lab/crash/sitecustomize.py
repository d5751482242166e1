"""For tests only, on PYTHONPATH of a worker: its thread for an app stops at the entry of the journal that a test names.

Python imports a module of this name at its start; the shipped handler knows nothing of it. A test then kills the whole worker, so that
the crash is exactly there, or makes something else fail and lets the thread go on. Files below ``/crash``, which the host sees too
(:mod:`clusterlab.crash`):

``arm/<app>``      the entry, with ``DEPLOY`` for ids of deploys and ``TIME`` for snapshots' times; consumed before it stops, so that
                   it happens once
``reached/<app>``  the thread stands there, until the file is removed
``log``            every entry of every journal: app, event, entry, separated by tabs

A step's ``begun`` entry is on disk when the thread stops, its ``done`` entry is not: a crash before the step leaves nothing but the word
that it was begun, one after the step leaves all that it did, but not the word.
"""

import os
import re
import time
from pathlib import Path

from handler.adapters.files import FileJournal

CRASH = Path("/crash")
_NAMES = ((re.compile(r"\b\d{14}-\w{4}\b"), "DEPLOY"), (re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+"), "TIME"), (re.compile(r", \d+ min old"), ""))
_mark = FileJournal.mark


def _stop_where_asked(app: str, entry: str) -> None:
    arm = CRASH / "arm" / app
    try:
        if arm.read_text() != entry:
            return
    except FileNotFoundError:
        return
    reached = CRASH / "reached" / app
    arm.rename(reached)
    while reached.exists():
        time.sleep(0.05)


def _mark_and_stop(self: FileJournal, app: str, event: str, entry: str) -> None:
    known = entry
    for pattern, name in _NAMES:
        known = pattern.sub(name, known)
    if " done " in entry:
        _stop_where_asked(app, known)
    _mark(self, app, event, entry)
    descriptor = os.open(CRASH / "log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    try:
        os.write(descriptor, f"{app}\t{event}\t{known}\n".encode())
    finally:
        os.close(descriptor)
    if " begun " in entry:
        _stop_where_asked(app, known)


FileJournal.mark = _mark_and_stop  # type: ignore[method-assign]
