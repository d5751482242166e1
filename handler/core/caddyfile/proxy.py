"""Caddy 1's ``proxy`` and ``fastcgi``. Pure. Facts: https://caddyserver.com/v1/docs/proxy, https://caddyserver.com/v1/docs/fastcgi."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from handler.core.caddyfile.matchers import named, path_lines
from handler.core.caddyfile.syntax import CaddyfileError, Directive, Translated, need, new

_POLICIES = ("random", "least_conn", "round_robin", "first", "ip_hash", "uri_hash", "header")
_SCHEMES = ("http://", "https://", "")


def proxies(found: Sequence[Directive]) -> Translated:
    """All ``proxy`` of a site; the one with the longest path that matches gets a request, as in Caddy 1 (proxy.go)."""
    ordered = sorted(found, key=lambda directive: -len(directive.args[0]) if directive.args else 0)
    return tuple(line for directive in ordered for line in _proxy(directive))


def _proxy(directive: Directive) -> Translated:
    need(directive, bool(directive.args), "proxy <path> <to>...")
    path, *upstreams = directive.args
    options: list[Directive] = []
    before: list[Directive] = []
    excluded: list[str] = []
    for inner in directive.body or ():
        if inner.name == "upstream":
            upstreams += inner.args
        elif inner.name == "except":
            excluded += [f"{path.rstrip('/')}/{item.lstrip('/')}" for item in inner.args]
        elif inner.name == "without":
            before.append(new("uri", "strip_prefix", *inner.args))
        else:
            options += _option(inner)
    need(directive, bool(upstreams), "proxy <path> <to>...")
    to, base = _upstreams(directive, upstreams)
    if base:
        before.append(new("rewrite", "*", base + "{uri}"))
    return _handle(directive, path, excluded, (*before, new("reverse_proxy", *to, body=_transports_joined(options) or None)))


def _handle(directive: Directive, path: str, excluded: Sequence[str], inside: Translated) -> Translated:
    lines = path_lines(path, excluded)
    if not lines:
        return (new("handle", body=inside),)
    name = f"@{directive.name}{directive.line}"
    return (named(name, *lines), new("handle", name, body=inside))


def _upstreams(directive: Directive, upstreams: Sequence[str]) -> tuple[tuple[str, ...], str]:
    """(addresses, path that all of them have): Caddy 2 takes no path in an address."""
    addresses, paths = [], set()
    for upstream in upstreams:
        scheme = next(s for s in _SCHEMES if upstream.startswith(s))
        host, _, path = upstream[len(scheme) :].partition("/")
        need(
            directive,
            bool(host) and "://" not in host and host != "unix:",
            "upstreams that are host:port, with http:// or https://",
        )
        addresses.append(f"{scheme if scheme == 'https://' else ''}{host}")
        paths.add(path.rstrip("/"))
    need(directive, len(paths) == 1, "the same path in all upstreams")
    base = paths.pop()
    return tuple(addresses), f"/{base}" if base else ""


def _option(inner: Directive) -> Translated:
    if inner.name not in _OPTIONS:
        raise CaddyfileError(inner.line, f"proxy: {inner.name} has no equivalent here")
    return _OPTIONS[inner.name](inner)


def _transports_joined(options: Sequence[Directive]) -> Translated:
    """Caddy 2 takes one ``transport`` block."""
    inside = tuple(line for option in options if option.name == "transport" for line in option.body or ())
    others = tuple(option for option in options if option.name != "transport")
    return (*others, *((new("transport", "http", body=inside),) if inside else ()))


def _transport(name: str) -> Callable[[Directive], Translated]:
    return lambda inner: (new("transport", "http", body=(new(name, *inner.args),)),)


def _drop(_inner: Directive) -> Translated:
    return ()


def _rename(name: str) -> Callable[[Directive], Translated]:
    return lambda inner: (new(name, *inner.args),)


def _policy(inner: Directive) -> Translated:
    need(inner, inner.args[:1] in tuple((policy,) for policy in _POLICIES), f"policy {' | '.join(_POLICIES)}")
    return (new("lb_policy", *inner.args),)


def _transparent(_inner: Directive) -> Translated:
    """Caddy 2 passes Host, X-Forwarded-For, X-Forwarded-Proto by itself; Caddy 1 also set these two."""
    return (new("header_up", "X-Real-IP", "{remote_host}"), new("header_up", "X-Forwarded-Port", "{http.request.local.port}"))


_OPTIONS: dict[str, Callable[[Directive], Translated]] = {
    "transparent": _transparent,
    "websocket": _drop,
    "header_upstream": _rename("header_up"),
    "header_downstream": _rename("header_down"),
    "policy": _policy,
    "fail_timeout": _rename("fail_duration"),
    "max_fails": _rename("max_fails"),
    "max_conns": _rename("unhealthy_request_count"),
    "try_duration": _rename("lb_try_duration"),
    "try_interval": _rename("lb_try_interval"),
    "health_check": _rename("health_uri"),
    "health_check_port": _rename("health_port"),
    "health_check_interval": _rename("health_interval"),
    "health_check_timeout": _rename("health_timeout"),
    "health_check_contains": _rename("health_body"),
    "fallback_delay": _transport("dial_fallback_delay"),
    "keepalive": _transport("keepalive_idle_conns_per_host"),
    "timeout": _transport("dial_timeout"),
    "insecure_skip_verify": _transport("tls_insecure_skip_verify"),
}


# --- fastcgi -------------------------------------------------------------------------------------------------------

_FASTCGI_LINES = {
    "root": "root",
    "env": "env",
    "connect_timeout": "dial_timeout",
    "read_timeout": "read_timeout",
    "send_timeout": "write_timeout",
}


def fastcgi(found: Sequence[Directive]) -> Translated:
    """All ``fastcgi`` of a site: scripts, and directories by their index file. The files are the container's, Caddy does not see them."""
    return tuple(line for directive in found for line in _fastcgi(directive))


def _fastcgi(directive: Directive) -> Translated:
    need(directive, len(directive.args) in (2, 3) and directive.args[2:] in ((), ("php",)), "fastcgi <path> <address> [php]")
    path, *upstreams = directive.args[:2]
    words = {"ext": ".php", "split": ".php", "index": "index.php"} if directive.args[2:] else {"ext": "", "split": "", "index": ""}
    inside: list[Directive] = []
    excluded: list[str] = []
    for inner in directive.body or ():
        need(inner, bool(inner.args), f"fastcgi: {inner.name} <value>")
        if inner.name in words:
            words[inner.name] = inner.args[0]
        elif inner.name == "upstream":
            upstreams += inner.args
        elif inner.name == "except":
            excluded += inner.args
        elif inner.name in _FASTCGI_LINES:
            inside.append(new(_FASTCGI_LINES[inner.name], *inner.args))
        else:
            raise CaddyfileError(inner.line, f"fastcgi: {inner.name} has no equivalent here")
    if words["split"]:
        inside.append(new("split", words["split"]))
    to = tuple(upstream.removeprefix("tcp://").removeprefix("fastcgi://") for upstream in upstreams)
    reverse = new("reverse_proxy", *to, body=(new("transport", "fastcgi", body=tuple(inside) or None),))
    if not words["ext"]:
        return _handle(directive, path, excluded, (reverse,))
    return _scripts(directive, path_lines(path, excluded), words["ext"], words["index"], reverse)


def _scripts(directive: Directive, where: Translated, extension: str, index: str, reverse: Directive) -> Translated:
    folders, scripts = f"@index{directive.line}", f"@scripts{directive.line}"
    prefix = next((line.args[0].rstrip("*") for line in where if line.name == "path"), "/")
    others = tuple(line for line in where if line.name != "path")
    lines: Translated = ()
    if index:
        ends = new("path_regexp", f"(?i)^{re.escape(prefix.rstrip('/'))}(/.*)?/$")
        lines = (named(folders, ends, *others), new("rewrite", folders, "{path}" + index))
    found = new("path_regexp", f"(?i)^{re.escape(prefix)}.*{re.escape(extension)}(/|$)")
    return (*lines, named(scripts, found, *others), new("handle", scripts, body=(reverse,)))
