"""This node's proxies, as the worker sees them. Implements ``Proxies``."""

from __future__ import annotations

import contextlib
import http.client
import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from handler.adapters.process import run
from handler.adapters.unix import UnixConnection
from handler.core import caddyfile
from handler.core.caddyfile import common
from handler.errors import BadInput, CommandFailed
from handler.proxies import caddy, maps, quarantine
from handler.proxies import haproxy as haproxy_part
from handler.proxies.paths import Paths

_CHECK = 60.0
_ASK = 2.0
_RENDER = 10.0
"""Seconds for consul-template to render a new record."""

_GLOBAL = "{\n\tadmin off\n\tskip_install_trust\n\torder invoke first\n}\n" + common.ROUTES


class NodeProxies:
    """Implements ``Proxies``, by the files of ``handler proxies``; ``publish`` opens the ports of apps' own frontends on the node."""

    def __init__(self, paths: Paths, publish: Callable[[Sequence[int]], None]) -> None:
        self._paths = paths
        self._publish = publish

    def begin(self) -> None:
        for signal in self._paths.begin:
            signal.parent.mkdir(parents=True, exist_ok=True)
            signal.touch()

    def check(self, app: str, site: str, haproxy: Mapping[str, Any]) -> None:
        with tempfile.TemporaryDirectory() as folder:
            if haproxy and (why := haproxy_part.check_part(Path(folder), app, haproxy)):
                raise BadInput(f"HAProxy refuses the HAPROXY of {app}: {why}")
            if not site:
                return
            candidate = Path(folder) / "Caddyfile"
            candidate.write_text(_GLOBAL + site + caddyfile.page_sites(site))
            try:
                run(
                    ["caddy", "validate", "--adapter", "caddyfile", "--config", str(candidate)],
                    seconds=_CHECK,
                    environment={"XDG_DATA_HOME": folder, "XDG_CONFIG_HOME": folder},
                )
            except CommandFailed as error:
                raise BadInput(f"Caddy refuses the CADDYFILE of {app}: {_reason(error.tail)}") from error

    def hash_password(self, password: str) -> str:
        return hash_password(password)

    def prepare(self, app: str, site: str) -> None:
        caddy.override(self._paths, app, site)

    def settle(self, app: str, *, committed: bool) -> None:
        caddy.settle(self._paths, app, seconds=_RENDER if committed else 0.0)

    def hold(self, app: str, event: str) -> None:
        with self._paths.locked():
            maps.hold_now(self._paths, app, event)

    def release(self, app: str) -> None:
        if "unseen" not in self._held().get(app, {}):
            return  # seldom anything to do, and a proxy that is slow to check its file has the lock for long
        with self._paths.locked():
            maps.release(self._paths, app)

    def tick(self) -> None:
        with self._paths.locked():
            maps.apply(self._paths)
            quarantine.tell(self._paths)
            haproxy_part.catch_up(self._paths)
            caddy.catch_up(self._paths)
        self._publish(haproxy_part.ports(self._paths))

    def holds(self, app: str) -> bool:
        return app in self._held()

    def _held(self) -> Mapping[str, Any]:
        with contextlib.suppress(OSError, ValueError):
            return dict(json.loads(self._paths.applied.read_text()).get("hold", {}))
        return {}

    def busy(self, upstreams: Sequence[tuple[str, int]]) -> int:
        """By Caddy's admin API: https://caddyserver.com/docs/api#get-reverse-proxyupstreams."""
        wanted = {f"{name}:{port}" for name, port in upstreams}
        connection = UnixConnection(str(self._paths.run / "caddy" / "admin.sock"), _ASK)
        try:
            connection.request("GET", "/reverse_proxy/upstreams")
            found = json.loads(connection.getresponse().read())
        except (OSError, ValueError, http.client.HTTPException):
            return 0
        finally:
            connection.close()
        return sum(int(item.get("num_requests", 0)) for item in found or () if item.get("address") in wanted)


def hash_password(password: str) -> str:
    """Its bcrypt hash, by Caddy's own command, as ``basic_auth`` wants it.

    The cost is PHP's. Caddy's default, 14, is a second of CPU for each password that is tried, and a request whose password is being
    compared is not yet in flight for :meth:`NodeProxies.busy`.
    """
    argv = ["caddy", "hash-password", "--algorithm", "bcrypt", "--bcrypt-cost", "10"]
    return run(argv, seconds=_CHECK, stdin=f"{password}\n").strip().splitlines()[-1]


def _reason(tail: str) -> str:
    last = tail.strip().splitlines()[-1] if tail.strip() else "no reason given"
    return last.removeprefix("Error: ")
