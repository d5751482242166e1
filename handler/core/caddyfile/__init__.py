"""``CADDYFILE`` of an app: accepted in Caddy 1's or Caddy 2's form, given out in Caddy 2's. Pure.

Which of the two a text is: it is Caddy 2 when it has a directive that only Caddy 2 knows, or a named matcher; else Caddy 1, the form
of the seed. A text with directives of both is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit

from handler.core.caddyfile import table
from handler.core.caddyfile.syntax import Block, CaddyfileError, Directive, dump, parse

__all__ = ["CaddyfileError", "Site", "translate"]

_HOST = re.compile(r"^(?=.{1,253}$)(\*\.)?([a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9])?\.)*[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9])?$")
_CONTAINER = re.compile(r"\$(CONTAINER\b|\{CONTAINER\})")
_PORTS = {"http": (None, 80), "https": (None, 443), "": (None, 80, 443)}


@dataclass(frozen=True)
class Site:
    """``caddyfile`` is Caddy 2 text; ``domains`` host names; ``urls`` what to ask to see whether it works; ``why`` decided ``dialect``."""

    caddyfile: str
    domains: tuple[str, ...]
    urls: tuple[str, ...]
    dialect: Literal["caddy1", "caddy2"]
    why: str


def translate(text: str, container: str) -> Site:
    """The sites in ``text``, with ``$CONTAINER`` replaced; raises :class:`CaddyfileError` naming directive and line."""
    blocks = parse(_CONTAINER.sub(container, text))
    if not blocks:
        raise CaddyfileError(1, "there is no site in it")
    dialect, why = _dialect(blocks)
    sites = tuple(_site(block, dialect) for block in blocks)
    addresses = [address for block in sites for address in block.addresses]
    twice = sorted({address for address in addresses if addresses.count(address) > 1})
    if twice:
        raise CaddyfileError(blocks[0].line, f"{twice[0]} is there twice")
    urls = [_url(address) for block in sites if _answers(block) for address in block.addresses]
    return Site(dump(sites), tuple(dict.fromkeys(_host(a) for a in addresses)), tuple(dict.fromkeys(urls)), dialect, why)


def _dialect(blocks: tuple[Block, ...]) -> tuple[Literal["caddy1", "caddy2"], str]:
    used = [d for block in blocks for d in _walk(block.directives, 0)]
    one = next((d for d in used if d.name in table.ONLY_CADDY1), None)
    two = next((d for d in used if d.name in table.ONLY_CADDY2 or d.name.startswith("@") or d.args[:1] == ("internal",)), None)
    if one and two:
        raise CaddyfileError(max(one.line, two.line), f"{one.name} is Caddy 1 and {two.name} is Caddy 2: use one of the two")
    if two:
        return "caddy2", f"{two.name} in line {two.line} is known by Caddy 2 only"
    return "caddy1", f"{one.name} in line {one.line} is known by Caddy 1 only" if one else "nothing in it is known by Caddy 2 only"


def _walk(directives: tuple[Directive, ...], depth: int) -> Iterator[Directive]:
    """The directives of a site; what is inside a directive's block has names of its own, but for Caddy 2's nested handlers."""
    for directive in directives:
        yield directive
        if directive.name in ("handle", "handle_path", "route", "handle_errors"):
            yield from _walk(directive.body or (), depth + 1)


def _site(block: Block, dialect: str) -> Block:
    plain = any(d.name == "tls" and d.args == ("off",) for d in block.directives)
    addresses = tuple(_address(address, block.line, plain=plain) for address in block.addresses)
    for directive in _walk(block.directives, 0):
        if directive.name in table.REFUSED:
            raise CaddyfileError(directive.line, f"{directive.name} is not allowed: {table.REFUSED[directive.name]}")
    found = block.directives
    if dialect == "caddy1":
        found = tuple(new for directive in block.directives for new in table.translate(directive))
    return Block(addresses, (*_defaults(found), *found), block.line)


def _defaults(directives: tuple[Directive, ...]) -> tuple[Directive, ...]:
    """What every site gets unless it says otherwise. Forwarded headers and timeouts are the server's, see the proxies' template."""
    have = {directive.name for directive in directives}
    found: list[Directive] = []
    if "log" not in have:
        found.append(Directive("log", (), (Directive("output", ("stdout",)),)))
    if "encode" not in have:
        found.append(Directive("encode", ("gzip", "zstd")))
    return tuple(found)


def _address(address: str, line: int, *, plain: bool) -> str:
    parts = urlsplit(address if "://" in address else f"//{address}")
    host = (parts.hostname or "").lower()
    scheme = "http" if plain else parts.scheme
    try:
        port = parts.port
    except ValueError:
        port = -1
    if scheme not in _PORTS or not host or not _HOST.match(host) or parts.path not in ("", "/"):
        raise CaddyfileError(line, f"address {address!r} is refused: it has to be a host's name, with http:// or https:// or nothing")
    if port not in _PORTS[scheme]:
        raise CaddyfileError(line, f"address {address!r} is refused: requests come in by port 80 and 443 only")
    if not scheme and port:
        scheme = "http" if port == 80 else "https"
    return f"{scheme}://{host}" if scheme else host


def _host(address: str) -> str:
    return address.partition("://")[2] or address


def _url(address: str) -> str:
    return address if "://" in address else f"https://{address}"


def _answers(block: Block) -> bool:
    """Sites that only redirect are no sign of the app's health."""
    return any(d.name not in ("redir", "tls", "log", "encode") for d in block.directives) and not block.addresses[0].startswith("*")
