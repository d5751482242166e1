"""Marks for Caddy: one file for each app whose requests it leads away, see :data:`handler.core.caddyfile.common.AWAY`."""

from __future__ import annotations

from collections.abc import Iterable

from handler.core import sections
from handler.proxies.paths import Paths, read


def unmark(paths: Paths, held: Iterable[str]) -> None:
    """Remove the marks of apps that are not held any more, and live here. Before HAProxy lets their requests pass."""
    wanted = _wanted(paths, held)
    for mark in _marks(paths):
        if mark not in wanted:
            (paths.away / mark).unlink(missing_ok=True)


def mark(paths: Paths, held: Iterable[str]) -> None:
    """Mark the apps that are held, and those that have left and are in this node's Caddyfile still. After HAProxy holds their requests."""
    for app in _wanted(paths, held) - _marks(paths):
        paths.away.mkdir(parents=True, exist_ok=True)
        (paths.away / app).touch()


def _wanted(paths: Paths, held: Iterable[str]) -> set[str]:
    nodes = {app: set(sections.map_lines(part).values()) for app, part in sections.split(read(paths.haproxy / "domains.map")).parts.items()}
    mine = sections.split(read(paths.caddy / "Caddyfile")).parts
    return {*held, *(app for app in mine if nodes.get(app) and paths.node not in nodes[app])}


def _marks(paths: Paths) -> set[str]:
    return {file.name for file in paths.away.iterdir()} if paths.away.is_dir() else set()
