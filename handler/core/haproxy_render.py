"""From a checked ``HAPROXY`` value to lines of ``haproxy.cfg``. Pure; used when a part is prepared and whenever it is brought in.

The form is the seed's: ``frontend front-<name>`` and ``backend backend-<name>``; for services of a swarm both begin with ``swarm-``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from handler.core.haproxy import HTTP

SWARM = "swarm/"
"""How sections of swarm services begin, where those of apps have the app's name."""


@dataclass(frozen=True)
class Place:
    """Where the service lives: on ``master`` at address ``ip``; ``here`` is true on that node itself."""

    master: str = ""
    ip: str = ""
    here: bool = True
    swarm: bool = False


LOOP_GUARD = "tcp-request connection reject if { fe_conn gt 2000 }"
"""Two nodes that, after a move, know different masters would send a connection back and forth. The one that is refused ends them all."""


def sections(value: Mapping[str, Any], place: Place) -> str:
    """Frontends and backends of one app."""
    return "\n".join(line for name, entry in sorted(value.items()) for line in _section(name, entry, place))


def rules(value: Mapping[str, Any], place: Place) -> dict[str, list[str]]:
    """What the app adds to the frontends that every node has: frontend -> lines."""
    return {name: [_use(backend, place) for backend in value[name]["backends"]] for name in HTTP if name in value}


def _section(name: str, entry: Mapping[str, Any], place: Place) -> Iterator[str]:
    mode = {"http-in": "http", "https-in": "tcp"}.get(name) or entry["frontend"]["mode"]
    if name not in HTTP:
        frontend = entry["frontend"]
        yield f"frontend {_prefix(place)}front-{name}"
        yield f"    mode {mode}"
        yield from (f"    {option}" for option in frontend["options"])
        yield from (f"    bind {bind}" for bind in frontend["bind"])
        if not (place.here or place.swarm):
            yield f"    {LOOP_GUARD}"
        yield from (f"    {_use(backend, place)}" for backend in entry["backends"])
        yield ""
    for backend in entry["backends"]:
        yield f"backend {_prefix(place)}backend-{backend['name']}"
        yield f"    mode {mode}"
        yield from (f"    {option}" for option in backend["options"])
        yield f"    server {_server(backend, place)}"
        yield ""


def _prefix(place: Place) -> str:
    return "swarm-" if place.swarm else ""


def _use(backend: Mapping[str, Any], place: Place) -> str:
    return f"use_backend {_prefix(place)}backend-{backend['name']} {backend['use_backend_option']}".rstrip()


def _server(backend: Mapping[str, Any], place: Place) -> str:
    if place.swarm:
        where = f"swarm_service {backend['ct']}:{backend['port']}"
    elif place.here:
        where = f"{place.master} {backend['ct']}:{backend['port']}"
    else:
        where = f"{place.master} {place.ip}:{backend['peer_port']}"
    return f"{where} {backend['server_option']}".rstrip()
