"""The checks that Consul's agent on the master makes for an app. Pure; used when the service is registered."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import urlsplit

INTERVAL = "60s"
TIMEOUT = "10s"


COPY = ":copy"
"""What the CheckID of the copy's check ends in."""
COPY_TTL = "10m"
"""A worker that says nothing for so long is dead, and then nobody copies."""


def definitions(app: str, urls: Iterable[str], own: Iterable[Mapping[str, Any]] | None, slave: str = "") -> list[dict[str, Any]]:
    """All checks of an app: the question whether it answers, and whether its ``slave``, if any, has its copy."""
    return [*_asked(app, urls, own), *([copy_check(app, slave)] if slave else [])]


def copy_check(app: str, slave: str) -> dict[str, Any]:
    """The check that the worker answers; fine in the beginning, as the first copy is under way."""
    return {"CheckID": f"{app}{COPY}", "Name": f"copy on {slave}", "TTL": COPY_TTL, "Status": "passing"}


def _asked(app: str, urls: Iterable[str], own: Iterable[Mapping[str, Any]] | None) -> list[dict[str, Any]]:
    """Checks in the form of Consul's agent API, from urls, or ``own`` (of ``service.json``) instead of them.

    The question goes to this node's own proxies, with the name in its header, so that it does not depend on DNS.
    """
    if own is not None:
        return [{**check, "CheckID": f"{app}:{number}"} for number, check in enumerate(own, 1)]
    return [
        {"CheckID": f"{app}:{number}", "Name": url, "Interval": INTERVAL, "Timeout": TIMEOUT, **_how(url)}
        for number, url in enumerate(urls, 1)
    ]


def _how(url: str) -> dict[str, Any]:
    parts = urlsplit(url)
    host = parts.hostname or ""
    path = parts.path or "/"
    if parts.scheme == "tcp":
        return {"TCP": parts.netloc}
    if parts.scheme == "https":
        local = {"HTTP": f"https://127.0.0.1:{parts.port or 443}{path}", "TLSServerName": host, "TLSSkipVerify": True}
    else:
        local = {"HTTP": f"http://127.0.0.1:{parts.port or 80}{path}"}
    return {**local, "Method": "GET", "Header": {"Host": [parts.netloc]}}
