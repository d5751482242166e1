"""``haproxy.cfg``: checked, swapped, reloaded without losing a connection. Changes with the nodes, with ``HAPROXY``
values, and with the first and the last key under ``swarm/``.

consul-template writes a header and, for each app or swarm service, a section with one line ``#@haproxy <JSON>``; the lines of the
configuration are rendered here, by the same function that checks an app's part before it is deployed.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from handler import spool
from handler.core import haproxy, sections
from handler.core.haproxy_render import SWARM, Place, rules
from handler.core.haproxy_render import sections as rendered
from handler.core.sections import Sections
from handler.proxies import isolate, maps, quarantine
from handler.proxies.paths import Paths, check, read, talk, write

log = logging.getLogger(__name__)

_VALUE = "#@haproxy "
_NODE = re.compile(r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}\Z")
_ADDRESS = re.compile(r"^[0-9a-fA-F.:]{2,45}\Z")
_NOISE = re.compile(r"^\[\w+\]\s+\(\d+\)\s+: (config : )?(parsing \[[^\]]*\]\s*: )?")
"""Process id and line of a temporary file say nothing, and would make the same complaint look new each time."""
_EMPTY = """global
defaults
    timeout connect 5s
    timeout client 5s
    timeout server 5s
    default-server init-addr last,libc,none
resolvers dns
    nameserver dns 127.0.0.11:53
frontend http-in
    mode http
    bind 127.0.0.1:80
#@http-in
frontend https-in
    mode tcp
    bind 127.0.0.1:443
#@https-in
"""
"""What an app's part is checked on before it is deployed."""


def apply(paths: Paths) -> None:
    """Bring in the staged file, without the parts that HAProxy refuses."""
    live_path = paths.haproxy / "haproxy.cfg"
    staged, live = sections.split(read(paths.staging / "haproxy.cfg")), sections.split(read(live_path))
    if not staged.header or maps.emptied(paths, staged):
        return
    live = Sections(live.header, {app: _line(part) for app, part in live.parts.items() if not _broken(app, part)}, live.words)
    staged = sections.present(staged, live)
    for name in ("domains.map", "hold.map"):
        if not (paths.haproxy / name).exists():
            write(paths.haproxy / name, "")
    bad = {app: why for app, part in staged.parts.items() if (why := _broken(app, part))}
    bad |= _clashes({app: part for app, part in staged.parts.items() if app not in bad}, bad.keys(), live)
    before = read(live_path)
    wanted, bad = isolate.accepted(
        staged, live, bad, lambda candidate: "" if assembled(candidate) == before else _refused(paths.staging, candidate)
    )
    if wanted is None:
        log.error("proxies: haproxy.cfg is refused, going on with the last good one: %s", bad[""])
        return
    quarantine.report(paths, "haproxy", bad, staged.parts, live.parts)
    text = assembled(wanted)
    if text != before:
        write(live_path, text)
        if _reload(paths):
            spool.poke(paths.run / "worker.sock", "ports")  # it opens them on the node
        elif before:
            write(live_path, before)


def ports(paths: Paths) -> tuple[int, ...]:
    """The ports that apps' own frontends listen on now."""
    parts = sections.split(read(paths.haproxy / "haproxy.cfg")).parts
    return tuple(sorted({port for app, part in parts.items() if not _broken(app, part) for port in haproxy.ports(_parsed(app, part)[0])}))


def check_part(folder: Path, app: str, value: Mapping[str, Any]) -> str:
    """What the real HAProxy says to one app's part alone; an empty string when it is content. Called while a deploy is prepared."""
    part = _VALUE + json.dumps({"haproxy": dict(value), "master": "here", "here": True})
    return _refused(folder, Sections(_EMPTY, {app: part}))


def assembled(wanted: Sections) -> str:
    """The file that HAProxy reads; each section keeps its value, so that it can be rendered again."""
    added: dict[str, list[str]] = {name: [] for name in haproxy.HTTP}
    parts = {}
    for app, part in wanted.parts.items():
        value, place = _parsed(app, part)
        for name, lines in rules(value, place).items():
            added[name] += lines
        parts[app] = f"{_line(part)}\n{rendered(value, place)}".rstrip()
    header = wanted.header
    for name, lines in added.items():
        header = header.replace(f"#@{name}\n", "".join(f"    {line}\n" for line in lines) + f"#@{name}\n")
    return sections.join(Sections(header, parts, wanted.words))


def _line(part: str) -> str:
    return next((line for line in part.split("\n") if line.startswith(_VALUE)), _VALUE + "{}")


def _parsed(app: str, part: str) -> tuple[dict[str, Any], Place]:
    known = json.loads(_line(part).removeprefix(_VALUE))
    place = Place(str(known.get("master", "")), str(known.get("ip", "")), bool(known.get("here")), swarm=app.startswith(SWARM))
    if known and not place.swarm and not (_NODE.match(place.master) and (place.here or _ADDRESS.match(place.ip))):
        raise ValueError(f"master {place.master!r} and ip {place.ip!r} have to be a node's name and address")
    return haproxy.check(known.get("haproxy") or {}), place


def _broken(app: str, part: str) -> str:
    try:
        _parsed(app, part)
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        return str(error)
    return ""


def _clashes(parts: Mapping[str, str], kept: Collection[str], live: Sections) -> dict[str, str]:
    """Ports that two want, which HAProxy itself would share out between them; who has a port keeps it."""
    owners = {port: app for app, part in live.parts.items() if app in kept for port in haproxy.ports(_parsed(app, part)[0])}
    bad: dict[str, str] = {}
    for app in sorted(parts, key=lambda app: (live.parts.get(app) != _line(parts[app]), app not in live.parts, app)):
        wanted = haproxy.ports(_parsed(app, parts[app])[0])
        other = next((f"port {port} belongs to {owners[port]}" for port in wanted if port in owners), "")
        if other:
            bad[app] = other
        else:
            owners |= dict.fromkeys(wanted, app)
    if bad:  # they go on with the ports that they have, which others may have been given
        bad |= _clashes({app: part for app, part in parts.items() if app not in bad}, {*kept, *bad}, live)
    return bad


def _refused(folder: Path, wanted: Sections) -> str:
    """Names of containers are known to HAProxy's container only; here, looking them up would wait for the node's DNS server."""
    candidate = folder / ".haproxy.candidate"
    write(candidate, assembled(wanted).replace("init-addr last,libc,none", "init-addr none"))
    words = check(["haproxy", "-c", "-f", str(candidate)])
    candidate.unlink(missing_ok=True)
    alerts = [line for line in words.splitlines() if "ALERT" in line]
    return _NOISE.sub("", (alerts or words.splitlines() or [""])[0])


def catch_up(paths: Paths) -> None:
    """HAProxy may have read its file just before it was written, and answer only now."""
    if paths.missed("haproxy").exists() and (paths.run / "haproxy" / "master.sock").exists():
        _reload(paths)


def _reload(paths: Paths) -> bool:
    try:
        answer = talk(paths.run / "haproxy" / "master.sock", "reload", 30.0)
    except OSError:
        log.info("proxies: HAProxy does not run; it reads haproxy.cfg when it starts")
        paths.miss("haproxy")
        return True
    paths.missed("haproxy").unlink(missing_ok=True)
    if "Success=0" in answer:
        log.error("proxies: HAProxy did not reload, its old worker goes on: %s", answer)
        return False
    log.info("proxies: haproxy.cfg reloaded")
    return True
