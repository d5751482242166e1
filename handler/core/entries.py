"""Entries of a node's journal: what it has begun and done of an operation, in which phase, and that nothing more will be.

Written by :mod:`handler.execute`; :mod:`handler.trial` and :mod:`handler.node` go by them as well. A phase after the outcome bears its
name: ``committed`` or ``aborted``. (:mod:`handler.actions.start` and :mod:`handler.snapshot` note things of their own beside them.)
"""

from __future__ import annotations

from collections.abc import Collection

from handler.core.steps import Step

BEFORE = "before"
"""Phase until the outcome."""
UNDO = "undo"
"""Phase in which a part that failed is taken back."""
OWED, PAID = "the data is to be put back", "the data was put back"
"""What an abort could not put back: nothing starts, and it is tried again, until it was; or until a later commit brings other data."""
CONCLUDED = "concluded"
"""Nothing more will be done on this node for the operation."""


def owed(entries: Collection[str]) -> bool:
    """Whether an abort still has to put the data back, and no later commit has made that needless."""
    return OWED in entries and not {PAID, CONCLUDED} & set(entries)


def begun(phase: str, step: Step) -> str:
    """The entry made before ``step`` changes anything."""
    return f"{phase} begun {step}"


def done(phase: str, step: Step) -> str:
    """The entry made when ``step`` is complete."""
    return f"{phase} done {step}"


_ABSENT = "absent volume "


def absent(volume: str) -> str:
    """The entry made when this volume was not here before a trial, so that an abort removes it; without the entry nothing is removed."""
    return f"{_ABSENT}{volume}"


def all_absent(entries: Collection[str]) -> set[str]:
    """The volumes of :func:`absent`."""
    return {entry.removeprefix(_ABSENT) for entry in entries if entry.startswith(_ABSENT)}


def any_begun(entries: Collection[str], phase: str, kind: type[Step]) -> bool:
    """Whether a step was begun whose line begins as those of ``kind`` do, whatever its arguments."""
    start = f"{phase} begun {kind.sentence.partition('{')[0]}"
    return any(entry.startswith(start) for entry in entries)


def entered(entries: Collection[str], phase: str) -> bool:
    """Whether anything was begun or done in ``phase``: on a full disk either entry may be missing."""
    return any(entry.startswith(f"{phase} ") for entry in entries)
