"""Leaving out what a proxy refuses, alone: the same for HAProxy and Caddy."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

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
        found |= _find_bad(wanted, live, refused)
        wanted = sections.with_last_good(staged, live, found)
        if why := refused(wanted):
            return None, {"": why}
    return wanted, found


def _find_bad(wanted: Sections, live: Sections, refused: Refused) -> dict[str, str]:
    """Which parts are refused, with reason. Of two that only clash with each other it is the newer one, or the one later by name.

    What has changed is tried on top of what has not, by halves: with a thousand apps, one bad change is found by some ten questions.
    """
    good = {app: part for app, part in wanted.parts.items() if live.parts.get(app) == part}
    if refused(Sections(wanted.header, good)):
        good = {}
    bad: dict[str, str] = {}

    def sort_out(apps: Sequence[str]) -> None:
        why = refused(Sections(wanted.header, {**good, **{app: wanted.parts[app] for app in apps}}))
        if not why:
            good.update({app: wanted.parts[app] for app in apps})
        elif len(apps) == 1:
            bad[apps[0]] = why
        else:
            middle = len(apps) // 2
            sort_out(apps[:middle])
            sort_out(apps[middle:])

    if changed := sorted(wanted.parts.keys() - good.keys(), key=lambda app: (app not in live.parts, app)):
        sort_out(changed)
    return bad
