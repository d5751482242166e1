"""``CADDYFILE`` of an app: accepted in Caddy 1's or Caddy 2's form, given out in Caddy 2's. Pure.

Which of the two a text is: it is Caddy 2 when it has a directive that only Caddy 2 knows, or a named matcher; else Caddy 1, the form
of the seed. A text with directives of both is refused.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal
from urllib.parse import urlsplit

from handler.core.caddyfile import common, files, placeholders, safety, table
from handler.core.caddyfile.syntax import Block, CaddyfileError, Directive, Translated, dump, new, parse

__all__ = ["CaddyfileError", "Site", "hashed", "page_sites", "translate"]

Dialect = Literal["caddy1", "caddy2"]

MAX_PAGE = 64 * 1024
"""Bytes of an app's own maintenance page; the record in Consul holds it, and 512 KiB at most."""

_HOST = re.compile(r"^(?=.{1,253}$)(\*\.)?([a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9])?\.)*[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9])?$")
_CONTAINER = re.compile(r"\$(CONTAINER\b|\{CONTAINER\})")
_PORTS = {"http": (None, 80), "https": (None, 443), "": (None, 80, 443)}
_HANDLERS = ("handle", "handle_path", "route", "handle_errors")
_STREAMS = "1h"
"""As long as HAProxy keeps a silent one."""
_DOWN = ("502", "503", "504")
"""What Caddy says when it does not reach an app's container."""


@dataclass(frozen=True)
class Site:
    """``caddyfile`` is Caddy 2 text; ``domains`` host names; ``urls`` what to ask to see whether it works; ``why`` decided ``dialect``."""

    caddyfile: str
    domains: tuple[str, ...]
    urls: tuple[str, ...]
    dialect: Dialect
    why: str


@lru_cache(maxsize=64)  # each step of an operation reads its app anew
def translate(text: str, container: str, app: str, page: str = "") -> Site:
    """The sites in ``text`` of ``app``, with ``$CONTAINER`` replaced; raises :class:`CaddyfileError` naming directive and line.

    ``page`` is the app's own maintenance page, HTML. Passwords in the result have to be hashed, see :func:`hashed`.
    """
    blocks = parse(_CONTAINER.sub(container, text))
    if not blocks:
        raise CaddyfileError(1, "there is no site in it")
    dialect, why = _dialect(blocks)
    sites = tuple(_site(block, dialect, app, page) for block in blocks)
    addresses = [address for block in sites for address in block.addresses]
    twice = sorted({address for address in addresses if addresses.count(address) > 1})
    if twice:
        raise CaddyfileError(blocks[0].line, f"{twice[0]} is there twice")
    urls = [_url(address) for old, block in zip(blocks, sites, strict=True) if _answers(old) for address in block.addresses]
    return Site(dump(sites), tuple(dict.fromkeys(_host(a) for a in addresses)), tuple(dict.fromkeys(urls)), dialect, why)


def hashed(caddyfile: str, function: Callable[[str], str]) -> str:
    """A translated text, its passwords replaced by what ``function`` makes of them."""

    def user(directive: Directive) -> Directive:
        word, *rest = directive.args or ("",)
        known = word.startswith(table.PASSWORD)
        return replace(directive, args=(function(word.removeprefix(table.PASSWORD)), *rest)) if known else directive

    def one(directive: Directive) -> Directive:
        if directive.body is None:
            return directive
        inside = user if directive.name == "basic_auth" else one
        return replace(directive, body=tuple(inside(inner) for inner in directive.body))

    return dump(replace(block, directives=tuple(map(one, block.directives))) for block in parse(caddyfile)) if caddyfile else ""


def page_sites(caddyfile: str) -> str:
    """Sites with nothing but the maintenance page, for those sites of a translated text that have a page of their own."""
    found = []
    for block in parse(caddyfile):
        own = [d for d in block.directives if d.name == "handle_errors" and (not d.args or "503" in d.args) and d != _on_errors("")]
        if own:
            kept = tuple(d for d in block.directives if d.name in ("tls", "log"))
            addresses = tuple(address for old in block.addresses for address in _page_addresses(old))
            found.append(Block(addresses, (*kept, *own, new("error", "*", "503"))))
    return dump(found) if found else ""


def _page_addresses(address: str) -> tuple[str, ...]:
    scheme, _, host = address.rpartition("://")
    return tuple(f"{one}://{host}:{port}" for one, port in common.PAGE_PORTS.items() if scheme in ("", one))


def _dialect(blocks: tuple[Block, ...]) -> tuple[Dialect, str]:
    used = [d for block in blocks for d in _walk(block.directives)]
    one = next((d for d in used if d.name in table.ONLY_CADDY1), None)
    two = next((d for d in used if d.name in table.ONLY_CADDY2 or d.name.startswith("@") or d.args[:1] == ("internal",)), None)
    if one and two:
        raise CaddyfileError(max(one.line, two.line), f"{one.name} is Caddy 1 and {two.name} is Caddy 2: use one of the two")
    if two:
        return "caddy2", f"{two.name} in line {two.line} is known by Caddy 2 only"
    return "caddy1", f"{one.name} in line {one.line} is known by Caddy 1 only" if one else "nothing in it is known by Caddy 2 only"


def _walk(directives: Translated) -> Iterator[Directive]:
    """The directives of a site; what is inside a directive's block has names of its own, but for Caddy 2's nested handlers."""
    for directive in directives:
        yield directive
        if directive.name in _HANDLERS:
            yield from _walk(directive.body or ())


def _site(block: Block, dialect: Dialect, app: str, page: str) -> Block:
    plain = any(d.name == "tls" and d.args == ("off",) for d in block.directives)
    addresses = tuple(_address(address, block.line, plain=plain) for address in block.addresses)
    for directive in _walk(block.directives):
        _refuse(directive, dialect)
    site, route = table.translate(block.directives) if dialect == "caddy1" else (block.directives, ())
    safety.check((*site, *route))
    encrypted = not all(address.startswith("http://") for address in addresses)
    defaults = (*_defaults((*site, *route), page), *(common.away(app) if encrypted else ()))
    return Block(addresses, _patient((*defaults, *site, *((new("route", body=route),) if route else ()))), block.line)


def _refuse(directive: Directive, dialect: Dialect) -> None:
    """What would reach into Caddy's container or concern other apps, in either form."""
    if directive.name in table.REFUSED:
        raise CaddyfileError(directive.line, f"{directive.name} is not allowed: {table.REFUSED[directive.name]}")
    if directive.name not in table.DROPPED or dialect == "caddy2":
        placeholders.refuse_reading(directive)


def _defaults(directives: Translated, page: str) -> Translated:
    """What every site gets unless it says otherwise. Forwarded headers and timeouts are the server's, see the proxies' template."""
    have = {directive.name for directive in directives}
    found: list[Directive] = [] if "root" in have else [new("root", "*", files.SRV)]
    if "log" not in have:
        found.append(new("log"))
    if "encode" not in have:
        found.append(new("encode", "gzip", "zstd"))
    if not any(directive.name == "handle_errors" and not directive.args for directive in directives):
        found.append(_on_errors(page))
    return tuple(found)


def _patient(directives: Translated) -> Translated:
    """Each change of any app loads a new configuration, which would end the WebSockets of all."""
    return tuple(map(_one_patient, directives))


def _one_patient(directive: Directive) -> Directive:
    body = directive.body or ()
    if directive.name in _HANDLERS:
        return replace(directive, body=_patient(body))
    if directive.name == "reverse_proxy" and not any(inner.name == "stream_close_delay" for inner in body):
        return replace(directive, body=(*body, new("stream_close_delay", _STREAMS)))
    return directive


def _on_errors(page: str) -> Directive:
    """The maintenance page when the container is not reached. No codes with the common one: Caddy compiles an expression for each site."""
    if not page:
        return new("handle_errors", body=(new("invoke", common.MAINTENANCE),))
    if len(page.encode()) > MAX_PAGE:
        raise CaddyfileError(0, f"maintenance.html has more than {MAX_PAGE // 1024} KiB")
    answer = new("respond", page, "503")
    placeholders.refuse_reading(answer)
    kind = new("header", "Content-Type", "text/html; charset=utf-8")
    return new("handle_errors", *_DOWN, body=(new("header", "Retry-After", "5"), kind, answer))


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
    """Sites that only redirect, or ask for a password, are no sign of the app's health."""
    names = {directive.name for directive in _walk(block.directives)}
    silent = {"redir", "tls", "log", "timeouts", "gzip", "encode", "header", "errors", "handle_errors"}
    asks = names & {"basicauth", "basic_auth"}
    return bool(names - silent) and not asks and not block.addresses[0].startswith("*")
