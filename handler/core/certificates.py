"""Certificates that Caddy got from an ACME server, shared by all nodes, so that a move does not ask for new ones. Pure.

Each node has them in its Caddy's storage (https://caddyserver.com/docs/conventions#data-directory), and all have them in Consul as
``certificates/<domain>``. The newer one counts. Those of Caddy's own authority stay where they are: each node has one of its own.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

KINDS = ("key", "crt", "json")
"""The files of a certificate. In this order, so that Caddy, which looks for all three, never finds a certificate without its key."""

_ISSUER = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]{0,200}$")
_DOMAIN = re.compile(r"^(\*\.)?[a-z0-9_]([a-z0-9._-]{0,251}[a-z0-9])?$")
_OWN = "local"
"""The issuer of Caddy's own authority, ``tls internal``."""
_MAX = 64 * 1024


@dataclass(frozen=True)
class Certificate:
    """``files`` by kind; ``at`` is when it was written, seconds since the epoch."""

    domain: str
    issuer: str
    at: float
    files: Mapping[str, str]


def key(domain: str) -> str:
    """Where Consul has it."""
    return f"certificates/{domain}"


def folder(domain: str) -> str:
    """Caddy's name for the folder and the files."""
    return domain.replace("*", "wildcard_")


def domain_of(name: str) -> str:
    """The inverse of :func:`folder`."""
    return name.replace("wildcard_", "*", 1) if name.startswith("wildcard_.") else name


def shared(issuer: str) -> bool:
    """Whether certificates of this issuer are for all nodes."""
    return issuer != _OWN and bool(_ISSUER.match(issuer))


def dump(found: Certificate) -> dict[str, Any]:
    """The value in Consul."""
    return {"issuer": found.issuer, "at": found.at, "files": dict(found.files)}


def load(domain: str, value: Mapping[str, Any]) -> Certificate | None:
    """From Consul; None when it is not what a node would have written."""
    issuer, at, files = value.get("issuer"), value.get("at"), value.get("files")
    if not (
        isinstance(issuer, str) and shared(issuer) and isinstance(at, int | float) and isinstance(files, dict) and _DOMAIN.match(domain)
    ):
        return None
    texts = {kind: files.get(kind) for kind in KINDS}
    if ".." in domain or not _DOMAIN.match(domain) or not all(isinstance(text, str) and 0 < len(text) <= _MAX for text in texts.values()):
        return None
    return Certificate(domain, issuer, float(at), {kind: str(text) for kind, text in texts.items()})


def newer(have: Mapping[str, float], than: Mapping[str, float]) -> tuple[str, ...]:
    """The domains that ``have`` has newer than ``than``, or that only it has; both domain -> time, with whole seconds of difference."""
    return tuple(domain for domain, at in sorted(have.items()) if domain not in than or at > than[domain] + 1)
