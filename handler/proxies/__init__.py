"""Bring rendered files into the proxies: ``handler proxies maps|haproxy|caddy``, started by consul-template after each render.

Staged files are checked; a part that a proxy refuses is left out alone, with its last good version kept, and named in
``quarantine/`` and in the log. Always exits 0: consul-template ends itself when its command fails.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Sequence
from importlib import import_module

from handler.proxies.paths import Paths

log = logging.getLogger(__name__)

_PARTS = ("maps", "haproxy", "caddy")
"""Modules, imported only when they are asked for: users wait for the map of a move."""


def main(arguments: Sequence[str]) -> int:
    """Bring in the parts named in ``arguments``; all of them when there are none."""
    logging.basicConfig(level=os.environ.get("LOG_LEVEL", "INFO"), stream=sys.stderr, format="%(levelname)s %(message)s")
    paths = Paths.from_environment(os.environ)
    for name in [name for name in _PARTS if name in arguments] or _PARTS:
        try:
            with paths.locked():
                import_module(f"handler.proxies.{name}").apply(paths)
        except Exception:
            log.exception("proxies: %s could not be brought in; the proxy goes on with what it has", name)
    return 0
