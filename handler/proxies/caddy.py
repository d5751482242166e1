"""``Caddyfile``: checked, swapped, reloaded. An app's part that Caddy refuses is left out alone, its last good one kept."""

from __future__ import annotations

import contextlib
import http.client
import logging
import re
import time

from handler.adapters.unix import UnixConnection
from handler.core import caddyfile, sections
from handler.core.caddyfile import common
from handler.core.sections import Sections
from handler.proxies import isolate, maps, quarantine
from handler.proxies.paths import Paths, check, read, write

log = logging.getLogger(__name__)

_NOISE = re.compile(r"^Error: |\S*Caddyfile\S*:\d+:? ?|, at \S*Caddyfile\S*:\d+")
"""Line numbers of a temporary file say nothing, and would make the same complaint look new each time."""
_LOAD = 60.0
"""Seconds that Caddy may take for a configuration."""


def override(paths: Paths, app: str, part: str) -> None:
    """Let an app's part be ``part``, whatever is rendered, until :func:`settle`. Called by the worker during an operation."""
    with paths.locked():
        write(paths.overrides / app, part)
        apply(paths)


def settle(paths: Paths, app: str, seconds: float) -> None:
    """End :func:`override`; for ``seconds`` at most, wait until what is rendered says the same, so that nothing flaps."""
    path = paths.overrides / app
    if not path.exists():
        return
    deadline, part = time.monotonic() + seconds, read(path).strip("\n")
    while sections.split(read(paths.staging / "Caddyfile")).parts.get(app) != part and time.monotonic() < deadline:
        time.sleep(0.05)
    with paths.locked():
        path.unlink(missing_ok=True)
        apply(paths)


def _staged(paths: Paths) -> Sections:
    """What is rendered, with the overrides of operations under way, and the maintenance pages."""
    staged = sections.split(read(paths.staging / "Caddyfile"))
    if not staged.header:
        return staged
    overrides = paths.overrides.iterdir() if paths.overrides.is_dir() else ()
    parts = {path.name: read(path).strip("\n") for path in overrides if not path.name.startswith(".")}
    words = {app: word for app, word in staged.words.items() if app not in parts}
    with_pages = {app: f"{part}\n{_page_sites(part)}".strip("\n") for app, part in {**staged.parts, **parts}.items()}
    return Sections(f"{staged.header}\n{common.ROUTES}".rstrip("\n"), with_pages, words)


def _page_sites(part: str) -> str:
    """Whether a part that a person edited makes sense, Caddy says. Most have no page of their own, and there may be a thousand."""
    if part.count("handle_errors") == part.count(common.MAINTENANCE):
        return ""
    with contextlib.suppress(caddyfile.CaddyfileError):
        return caddyfile.page_sites(part)
    return ""


def apply(paths: Paths) -> None:
    """Bring in the staged file, without the parts that Caddy refuses.

    A part that was refused is left out at first, so that it does not delay the others, and then tried again: it may only have
    clashed with another one that is gone now.
    """
    staged, live = _staged(paths), _live(paths)
    if not staged.header or maps.emptied(paths, staged):
        return
    staged = sections.present(staged, live)
    bad = quarantine.refused(paths, "caddyfile", staged.parts)
    why = _bring_in(paths, sections.with_last_good(staged, live, bad))
    if why or bad:
        wanted, bad = isolate.accepted(staged, _live(paths), {}, lambda candidate: _refused(paths, candidate))
        why = bad.get("", "") if wanted is None else _bring_in(paths, wanted)
    if why:
        log.error("proxies: Caddyfile is refused, going on with the last good one: %s", why)
        return
    quarantine.report(paths, "caddyfile", bad, staged.parts, live.parts)


def _live(paths: Paths) -> Sections:
    return sections.split(read(paths.caddy / "Caddyfile"))


def catch_up(paths: Paths) -> None:
    """Caddy may have read its file just before it was written, and answer only now."""
    missed = paths.missed("caddy")
    if missed.exists() and (paths.run / "caddy" / "admin.sock").exists():
        with contextlib.suppress(OSError):
            _load(paths, read(paths.caddy / "Caddyfile"))
            missed.unlink()


def _bring_in(paths: Paths, wanted: Sections) -> str:
    """Have Caddy run with these sections, unless it does already; returns its words when it refuses."""
    live_path, text = paths.caddy / "Caddyfile", sections.join(wanted)
    if text == read(live_path):
        return ""
    began = time.monotonic()
    try:
        with maps.paused(paths):
            paused = time.monotonic()
            why = _load(paths, text)
        took = (time.monotonic() - began, time.monotonic() - paused)
        log.info("proxies: Caddyfile %s in %.2f s, %.2f s of it by Caddy", "refused" if why else "loaded", *took)
    except OSError:
        why = _refused(paths, wanted)
        log.info("proxies: Caddy does not run; it reads its Caddyfile when it starts")
        paths.miss("caddy")
    if not why:
        write(live_path, text)
    return why


def _load(paths: Paths, text: str) -> str:
    """By the admin API, which goes on with the old configuration when it refuses the new: https://caddyserver.com/docs/api#post-load."""
    connection = UnixConnection(str(paths.run / "caddy" / "admin.sock"), _LOAD)
    try:
        connection.request("POST", "/load", text.encode(), {"Content-Type": "text/caddyfile"})
        answer = connection.getresponse()
        said = answer.read().decode(errors="replace").strip()
    except http.client.HTTPException as error:
        raise OSError(str(error)) from error
    finally:
        connection.close()
    return "" if answer.status < http.client.BAD_REQUEST else said or f"status {answer.status}"


def _refused(paths: Paths, wanted: Sections) -> str:
    candidate = paths.staging / ".Caddyfile.candidate"
    write(candidate, sections.join(wanted))
    words = check(["caddy", "validate", "--adapter", "caddyfile", "--config", str(candidate)])
    candidate.unlink(missing_ok=True)
    return _NOISE.sub("", words.strip().splitlines()[-1]) if words else ""
