"""``Caddyfile``: checked, swapped, reloaded. An app's part that Caddy refuses is left out alone, its last good one kept."""

from __future__ import annotations

import contextlib
import logging
import time
from pathlib import Path

from handler.core import caddyfile, sections
from handler.core.sections import Sections
from handler.proxies import isolate, maps, quarantine
from handler.proxies.paths import Paths, check, read, write

log = logging.getLogger(__name__)


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
    return Sections(f"{staged.header}\n{caddyfile.PAGES}".rstrip("\n"), with_pages, words)


def _page_sites(part: str) -> str:
    """Whether a part that a person edited makes sense, Caddy says."""
    with contextlib.suppress(caddyfile.CaddyfileError):
        return caddyfile.page_sites(part) if part else ""
    return ""


def apply(paths: Paths) -> None:
    """Bring in the staged file, without the parts that Caddy refuses."""
    live_path = paths.caddy / "Caddyfile"
    staged, live = _staged(paths), sections.split(read(live_path))
    if not staged.header or maps.emptied(paths, staged):
        return
    wanted, bad = isolate.accepted(sections.present(staged, live), live, {}, lambda candidate: _refused(paths, candidate))
    if wanted is None:
        log.error("proxies: Caddyfile is refused, going on with the last good one: %s", bad[""])
        return
    text = sections.join(wanted)
    if text != read(live_path):
        write(live_path, text)
        _reload(paths, live_path)
    quarantine.report(paths, "caddyfile", bad, live.parts)


def _refused(paths: Paths, wanted: Sections) -> str:
    candidate = paths.staging / ".Caddyfile.candidate"
    write(candidate, sections.join(wanted))
    words = check(["caddy", "validate", "--adapter", "caddyfile", "--config", str(candidate)])
    candidate.unlink(missing_ok=True)
    return words.strip().splitlines()[-1] if words else ""


def _reload(paths: Paths, live_path: Path) -> None:
    sock = paths.run / "caddy" / "admin.sock"
    if not sock.exists():
        log.info("proxies: Caddy does not run; it reads its Caddyfile when it starts")
        return
    why = check(["caddy", "reload", "--adapter", "caddyfile", "--config", str(live_path), "--address", f"unix/{sock}"])
    if why:
        log.error("proxies: Caddy did not reload, it goes on as before: %s", why.splitlines()[-1])
    else:
        log.info("proxies: Caddyfile reloaded")
