"""Leaving out what a proxy refuses, alone: the same for HAProxy and Caddy."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from handler.core import sections
from handler.core.sections import Sections

Refused = Callable[[Sections], str]
"""Asks the proxy about a whole file; returns its words when it refuses, else an empty string."""


def accepted(staged: Sections, live: Sections, bad: Mapping[str, str], refused: Refused) -> tuple[Sections | None, dict[str, str]]:
    """The sections to go on with, where apps in ``bad`` (with reason) and those that the proxy refuses have their last good part.

    Returns None for the sections when even that is refused: then it is not the apps' fault.
    """
    found = dict(bad)
    wanted = sections.with_last_good(staged, live, found)
    if refused(wanted):
        found |= _find_bad(wanted, refused)
        wanted = sections.with_last_good(staged, live, found)
        if why := refused(wanted):
            return None, {"": why}
    return wanted, found


def _find_bad(wanted: Sections, refused: Refused) -> dict[str, str]:
    """Which parts are refused: each alone first, then each on top of those that are fine (two may only clash with each other)."""
    bad: dict[str, str] = {}
    for app, part in wanted.parts.items():
        if why := refused(Sections(wanted.header, {app: part})):
            bad[app] = why
    good: dict[str, str] = {}
    for app in sorted(wanted.parts.keys() - bad.keys()):
        if why := refused(Sections(wanted.header, {**good, app: wanted.parts[app]})):
            bad[app] = why
        else:
            good[app] = wanted.parts[app]
    return bad
