"""``domains.map``: which node a domain lives on, one section for each app or swarm service. Pure; used by :mod:`handler.proxies.maps`.

Records may have been edited by people, so that every line is looked at before HAProxy gets it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from handler.core import sections
from handler.core.sections import Sections

_LINE = re.compile(r"^(?P<host>[a-z0-9_*][a-z0-9_.*-]{0,252}) (?P<node>[A-Za-z0-9][A-Za-z0-9_.-]{0,62})$")


def refused(staged: Sections, live: Sections) -> dict[str, str]:
    """App -> why its routes cannot be used. Who has a domain in ``live`` keeps it, else the first by name."""
    bad = {app: "the record is no JSON object with a list of domains" for app, word in staged.words.items() if word == sections.BROKEN}
    for app, part in staged.parts.items():
        if part == live.parts.get(app):
            continue
        wrong = next((line for line in part.split("\n") if line and not _LINE.match(line)), None)
        if wrong is not None and app not in bad:
            bad[app] = f"{wrong!r} is not a domain in lower case and a node's name"
    hosts = {app: sections.map_lines(part) for app, part in staged.parts.items() if app not in bad}
    return bad | _clashes(hosts, bad, live)


def _clashes(hosts: Mapping[str, Mapping[str, str]], kept: Iterable[str], live: Sections) -> dict[str, str]:
    had = {line.partition(" ")[0]: app for app, part in live.parts.items() for line in part.split("\n")}
    owners = {host: app for host, app in had.items() if app in kept or host in hosts.get(app, ())}
    bad = {}
    for app, listed in sorted(hosts.items()):
        other = next((f"{host} belongs to {owners[host]}" for host in listed if owners.get(host, app) != app), "")
        if other:
            bad[app] = other
        else:
            owners |= dict.fromkeys(listed, app)
    return bad
