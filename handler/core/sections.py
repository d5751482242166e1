"""Rendered proxy files: a header and one section for each app, between marker lines. Pure; used by :mod:`handler.proxies`.

A marker is ``# app: <name> [<word>]``; the word ``broken`` says that the record could not be read, ``elsewhere`` that the app has nothing
in this file, which is not the same as no such app. Sections make it possible to leave
one app's part out, or keep its last good one, without touching the others.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

_MARK = re.compile(r"^# app: (?P<app>[^ ]+)(?: (?P<word>[^ ]+))?$")
"""Spaces in names are replaced by the templates, other blanks are not: a key under ``swarm/`` may have a tab."""
BROKEN = "broken"
ELSEWHERE = "elsewhere"


@dataclass(frozen=True)
class Sections:
    """``parts`` has the text of each app without its marker, ``words`` the marker's word."""

    header: str
    parts: Mapping[str, str] = field(default_factory=dict)
    words: Mapping[str, str] = field(default_factory=dict)


def split(text: str) -> Sections:
    """The sections of a rendered file."""
    header: list[str] = []
    parts: dict[str, list[str]] = {}
    words: dict[str, str] = {}
    into = header
    for line in text.split("\n"):  # nothing else ends a line for HAProxy and Caddy
        mark = _MARK.match(line)
        if mark:
            into = parts[mark["app"]] = []
            words[mark["app"]] = mark["word"] or ""
        else:
            into.append(line)
    return Sections("\n".join(header).strip("\n"), {app: "\n".join(p).strip("\n") for app, p in parts.items()}, words)


def join(sections: Sections) -> str:
    """The file's text again, apps sorted by name."""
    texts = [sections.header] if sections.header else []
    for app in sorted(sections.parts):
        word = sections.words.get(app, "")
        texts.append(f"# app: {app}{' ' + word if word else ''}\n{sections.parts[app]}".rstrip("\n"))
    return "\n".join(texts) + "\n"


def with_last_good(staged: Sections, live: Sections, bad: Mapping[str, str]) -> Sections:
    """``staged``, where the apps in ``bad`` have the part they had in ``live``, or none."""
    parts = {app: text for app, text in staged.parts.items() if app not in bad}
    parts |= {app: live.parts[app] for app in bad if app in live.parts}
    return Sections(staged.header, parts, {app: word for app, word in staged.words.items() if app in parts and app not in bad})


def present(staged: Sections, live: Sections) -> Sections:
    """``staged`` without the apps that have nothing in this file, and with the last good part of those whose record is broken."""
    found = with_last_good(staged, live, {app: word for app, word in staged.words.items() if word == BROKEN})
    kept = [app for app in found.parts if found.words.get(app) != ELSEWHERE]
    return Sections(found.header, {app: found.parts[app] for app in kept}, {app: found.words.get(app, "") for app in kept})


def map_lines(text: str) -> dict[str, str]:
    """Key -> value of a HAProxy map file; of two equal keys the first one counts, as in HAProxy."""
    found: dict[str, str] = {}
    for line in text.split("\n"):
        key, _, value = line.strip().partition(" ")
        if key and not key.startswith("#"):
            found.setdefault(key, value.strip())
    return found


def map_commands(path: str, old: Mapping[str, str], new: Mapping[str, str]) -> list[str]:
    """Commands of HAProxy's runtime API that turn map ``old`` into ``new``."""
    commands = [f"del map {path} {key}" for key in old if key not in new]
    commands += [f"{'set' if key in old else 'add'} map {path} {key} {value}" for key, value in new.items() if old.get(key) != value]
    return commands
