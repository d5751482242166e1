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
    first = sections.with_last_good(staged, live, bad)
    why = refused(first)
    if not why:
        return first, dict(bad)
    last_good = {app: live.parts[app] for app in first.parts if app in live.parts}
    unchanged = {app: part for app, part in last_good.items() if first.parts[app] == part}
    for base in (unchanged, last_good, {}):
        if base and refused(Sections(first.header, base)):
            continue
        found = {**bad, **_find_bad(first, live, base, refused)}
        wanted = sections.with_last_good(staged, live, found)
        why = refused(wanted)
        if not why:
            return wanted, found
    return None, {"": why}


def _find_bad(wanted: Sections, live: Sections, base: Mapping[str, str], refused: Refused) -> dict[str, str]:
    """Which parts are refused, with reason. Of two that only clash with each other it is the newer one, or the one later by name.

    What has changed is tried by halves on top of ``base``: with a thousand apps, one bad change is found by some ten questions. On top of
    what has not changed, two apps can exchange a name. On top of all last good parts, nobody gets the name of an app that keeps its own.
    """
    good = dict(base)
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

    changed = [app for app, part in wanted.parts.items() if good.get(app) != part]
    if changed:
        sort_out(sorted(changed, key=lambda app: (app not in live.parts, app)))
    return bad
