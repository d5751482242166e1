"""``haproxy.cfg``: checked, swapped, reloaded without losing a connection. Changes with the nodes, not with moves of apps."""

from __future__ import annotations

import logging

from handler.proxies.paths import Paths, check, read, talk, write

log = logging.getLogger(__name__)


def apply(paths: Paths) -> None:
    """Bring in the staged file if HAProxy accepts it."""
    staged, live = paths.staging / "haproxy.cfg", paths.haproxy / "haproxy.cfg"
    text = read(staged)
    if not text or text == read(live):
        return
    for name in ("domains.map", "hold.map"):
        if not (paths.haproxy / name).exists():
            write(paths.haproxy / name, "")
    why = check(["haproxy", "-c", "-f", str(staged)])
    if why:
        log.error("proxies: haproxy.cfg is refused, going on with the last good one: %s", why)
        return
    write(live, text)
    try:
        answer = talk(paths.run / "haproxy" / "master.sock", "reload", 30.0)
    except OSError:
        log.info("proxies: HAProxy does not run; it reads haproxy.cfg when it starts")
        return
    if "Success=1" in answer:
        log.info("proxies: haproxy.cfg reloaded")
    else:
        log.error("proxies: HAProxy did not reload, its old worker goes on: %s", answer)
