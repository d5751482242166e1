"""This node's proxies, as the worker sees them. Implements ``Proxies``."""

from __future__ import annotations

import contextlib
import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from handler.adapters.process import run
from handler.errors import BadInput, CommandFailed

_CHECK = 60.0
_GLOBAL = "{\n\tadmin off\n\tskip_install_trust\n}\n"


class NodeProxies:
    """Implements ``Proxies``; ``applied`` is written by ``handler proxies``."""

    def __init__(self, applied: Path) -> None:
        self._applied = applied

    def check(self, app: str, caddyfile: str, haproxy: Mapping[str, Any]) -> None:
        del haproxy  # not rendered yet, see the known limits in README
        if not caddyfile:
            return
        with tempfile.TemporaryDirectory() as folder:
            candidate = Path(folder) / "Caddyfile"
            candidate.write_text(_GLOBAL + caddyfile)
            try:
                run(["caddy", "validate", "--adapter", "caddyfile", "--config", str(candidate)], seconds=_CHECK,
                    environment={"XDG_DATA_HOME": folder, "XDG_CONFIG_HOME": folder})
            except CommandFailed as error:
                raise BadInput(f"Caddy refuses the CADDYFILE of {app}: {_reason(error.tail)}") from error

    def holds(self, app: str) -> bool:
        with contextlib.suppress(OSError, ValueError):
            return app in json.loads(self._applied.read_text()).get("hold", [])
        return False

    def busy(self, app: str) -> int:
        del app  # neither proxy counts requests of one app; stopping gives them the containers' own time
        return 0


def _reason(tail: str) -> str:
    last = tail.strip().splitlines()[-1] if tail.strip() else "no reason given"
    return last.removeprefix("Error: ")
