"""Marks for Caddy: one file for each app whose requests it leads away, see :data:`handler.core.caddyfile.common.AWAY`."""

from __future__ import annotations

from collections.abc import Iterable

from handler.core import names, sections
from handler.proxies.paths import Paths, read


def wanted(paths: Paths, held: Iterable[str]) -> frozenset[str]:
    """The apps to mark: those that are held, and those that have left and are in this node's Caddyfile still.

    Only names that the handler can have given: people write any key below ``maintenance/``.
    """
    nodes = {app: set(sections.map_lines(part).values()) for app, part in sections.split(read(paths.haproxy / "domains.map")).parts.items()}
    mine = sections.split(read(paths.caddy / "Caddyfile")).parts
    left = (app for app in mine if nodes.get(app) and paths.node not in nodes[app])
    return frozenset(app for app in (*held, *left) if names.is_file_name(app))


def unmark(paths: Paths, apps: frozenset[str]) -> None:
    """Remove the marks of all but ``apps``. Before HAProxy lets their requests pass: they would come back to the mark."""
    for app in _marks(paths) - apps:
        (paths.away / app).unlink(missing_ok=True)


def mark(paths: Paths, apps: frozenset[str]) -> None:
    """Mark ``apps``. After HAProxy holds their requests, for the same reason."""
    for app in apps - _marks(paths):
        paths.away.mkdir(parents=True, exist_ok=True)
        (paths.away / app).touch()


def _marks(paths: Paths) -> set[str]:
    return {file.name for file in paths.away.iterdir()} if paths.away.is_dir() else set()
