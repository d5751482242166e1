"""From Caddy 1's directives to Caddy 2's: one table, one function for each directive. Pure.

A function gets all directives of that name in a site, with their placeholders already translated, since some only have a meaning
together. ``docs/caddyfile.rst`` has the table for users. Facts: https://caddyserver.com/v1/docs and Caddy 1.0.5's source.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from handler.core.caddyfile import files, placeholders, proxy
from handler.core.caddyfile.matchers import IF_WORDS, conditions, named, on, path_lines
from handler.core.caddyfile.rewrite import rewrites
from handler.core.caddyfile.syntax import CaddyfileError, Directive, Translated, need, new

Function = Callable[[Sequence[Directive]], Translated]


def _each(function: Callable[[Directive], Translated]) -> Function:
    return lambda found: tuple(line for directive in found for line in function(directive))


def _drop(_found: Sequence[Directive]) -> Translated:
    return ()


# --- redir ---------------------------------------------------------------------------------------------------------

_CODES = {"300", "301", "302", "303", "304", "305", "307", "308"}


def _redir(directive: Directive) -> Translated:
    """``redir to``, ``redir from to [code]``, and a block of these after an optional code; 301 when none is said, unlike Caddy 2."""
    body = directive.body or ()
    when = conditions(body)
    rows = [inner for inner in body if inner.name not in IF_WORDS]
    default = directive.args[0] if rows and directive.args else "301"
    need(directive, not rows or len(directive.args) <= 1, "redir [code] { <from> <to> [code] }")
    lines: list[Directive] = []
    for number, row in enumerate(rows or [directive]):
        words = [row.name, *row.args] if rows else list(row.args)
        need(row, 1 <= len(words) <= 3, "redir [from] <to> [code]")
        start, to, code = ["/", *words, default] if len(words) == 1 else [*words, default][:3]
        lines += _one_redir(row, f"@redir{row.line}x{number}", when, start, to, code)
    return tuple(lines)


def _one_redir(row: Directive, name: str, when: Translated, start: str, to: str, code: str) -> Translated:
    need(row, code == "meta" or code in _CODES, f"code {' | '.join(sorted(_CODES))} | meta")
    status = "html" if code == "meta" else code
    path = () if start == "/" else (new("path", start),)
    if when:
        return (named(name, *path, *when), new("redir", name, to, status))
    return (new("redir", *([start] if path else ["*"]), to, status),)


# --- headers, limits, answers --------------------------------------------------------------------------------------


def _header(directive: Directive) -> Translated:
    """Set with ``>``: in Caddy 2 after the application has answered, so that ours is the one that counts."""
    need(directive, bool(directive.args), "header <path> <name> <value>")
    path, *rest = directive.args
    pairs = [tuple(rest)] if rest else [(inner.name, *inner.args) for inner in directive.body or ()]
    lines = []
    for name, *values in pairs:
        need(directive, len(values) == 1 or name.startswith("-"), "header <path> <name> <value>")
        lines.append(new("header", *(on(path) or ("*",)), name if name[0] in "+-" else f">{name}", *values[:1]))
    return tuple(lines)


def _gzip(directive: Directive) -> Translated:
    path: list[str] = []
    excluded: list[str] = []
    algorithm, inside = ["gzip"], []
    for inner in directive.body or ():
        if inner.name == "level" and len(inner.args) == 1:
            algorithm = ["gzip", inner.args[0]]
        elif inner.name == "min_length" and len(inner.args) == 1:
            inside.append(new("minimum_length", inner.args[0]))
        elif inner.name == "not":
            excluded += inner.args
        elif inner.name == "ext" and all(ext.startswith(".") or ext == "*" for ext in inner.args):
            path += [] if "*" in inner.args else [f"*{ext}" for ext in inner.args]
        else:
            raise CaddyfileError(inner.line, f"gzip: {inner.name} {' '.join(inner.args)} has no equivalent here")
    lines = (*((new("path", *path),) if path else ()), *path_lines("/", excluded))
    encode = new("encode", *([f"@gzip{directive.line}"] if lines else []), body=(*inside, new(*algorithm), new("zstd")))
    return (*((named(f"@gzip{directive.line}", *lines),) if lines else ()), encode)


_SIZE = re.compile(r"^(\d+)([KMG]?)B?$")


def _size(directive: Directive, text: str) -> str:
    """Caddy 1's units are binary."""
    found = _SIZE.match(text.upper())
    if not found:
        raise CaddyfileError(directive.line, f"limits: {text!r} is no size like 10MB")
    return f"{found[1]}{found[2] + 'i' if found[2] else ''}B"


def _limits(directive: Directive) -> Translated:
    rows = [("/", directive.args[0])] if len(directive.args) == 1 else []
    for inner in directive.body or ():
        need(inner, inner.name == "body" and len(inner.args) in (1, 2), "body [path] <size>; Caddy 2 limits headers by itself, at 1 MB")
        rows.append(("/" if len(inner.args) == 1 else inner.args[0], inner.args[-1]))
    need(directive, bool(rows), "limits <size>")
    lines: list[Directive] = []
    for path, size in sorted(rows, key=lambda row: -len(row[0])):
        excluded = [other for other, _ in rows if len(other) > len(path) and other.startswith(path)]
        matcher = path_lines(path, excluded)
        name = f"@limit{directive.line}x{len(lines)}"
        limit = new("request_body", *([name] if matcher else []), body=(new("max_size", _size(directive, size)),))
        lines += [*([named(name, *matcher)] if matcher else []), limit]
    return tuple(lines)


def _status(found: Sequence[Directive]) -> Translated:
    """The longest path that matches counts (httpserver.ConfigSelector)."""
    rows = []
    for directive in found:
        paths = directive.args[1:] or tuple(inner.name for inner in directive.body or ())
        need(directive, bool(paths) and directive.args[0].isdigit(), "status <code> <path>")
        rows += [(path, directive.args[0]) for path in paths]
    return tuple(_answer(path, code) for path, code in sorted(rows, key=lambda row: -len(row[0])))


def _answer(path: str, code: str) -> Directive:
    """Errors go through the site's error pages, as in Caddy 1."""
    return new("error" if int(code) >= 400 else "respond", *(on(path) or ("*",)), code)


def _internal(directive: Directive) -> Translated:
    need(directive, len(directive.args) == 1, "internal <path>")
    return (_answer(directive.args[0], "404"),)


# --- basicauth -----------------------------------------------------------------------------------------------------


def _basicauth(found: Sequence[Directive]) -> Translated:
    """Whoever any rule for a path lets in is let in; OPTIONS needs no password (basicauth.go)."""
    users: dict[str, dict[str, str]] = {}
    realms: dict[str, str] = {}
    for directive in found:
        need(directive, len(directive.args) in (2, 3), "basicauth [path] <user> <password>")
        *before, user, password = directive.args
        need(directive, not password.startswith("htpasswd="), "a password: files of the node are not reachable for an app")
        rows = directive.body or ()
        paths = [*before, *(row.name for row in rows if not row.args)]
        need(directive, bool(paths) and all(not row.args or row.name == "realm" for row in rows), "a path to protect")
        for path in paths:
            users.setdefault(path, {})[user] = password
            realms.setdefault(path, next((row.args[0] for row in rows if row.args), "Restricted"))
    lines: list[Directive] = []
    longest_first = sorted(users, key=lambda path: -len(path))
    for number, path in enumerate(longest_first):
        allowed = {user: password for other in users if path.startswith(other) for user, password in users[other].items()}
        name = f"@auth{number}"
        lines.append(named(name, *path_lines(path, longest_first[:number]), new("not", "method", "OPTIONS")))
        lines.append(new("basic_auth", name, "bcrypt", realms[path], body=tuple(new(u, PASSWORD + p) for u, p in allowed.items())))
    return tuple(lines)


PASSWORD = "password:"  # noqa: S105 not one
"""What marks a password that has to be hashed before the text may be used."""


# --- tls -----------------------------------------------------------------------------------------------------------

_TLS_LINES = {"protocols", "alpn"}


def _tls(directive: Directive) -> Translated:
    """``off`` belongs to the addresses, see :mod:`handler.core.caddyfile`."""
    for inner in directive.body or ():
        need(inner, inner.name in _TLS_LINES, f"tls: {' or '.join(sorted(_TLS_LINES))}; the rest has no equivalent here")
    if directive.args == ("off",):
        return ()
    if directive.args == ("self_signed",):
        return (new("tls", "internal", body=directive.body),)
    need(
        directive,
        (len(directive.args) == 1 and "@" in directive.args[0]) or (not directive.args and bool(directive.body)),
        "tls self_signed, tls off or tls <e-mail>: certificate files of the node are not reachable for an app",
    )
    return (directive,)


TABLE: dict[str, Function] = {
    "limits": _each(_limits),
    "root": files.root,
    "rewrite": rewrites,
    "ext": files.extensions,
    "gzip": _each(_gzip),
    "header": _each(_header),
    "basicauth": _basicauth,
    "redir": _each(_redir),
    "status": _status,
    "mime": files.mime,
    "internal": _each(_internal),
    "proxy": proxy.proxies,
    "fastcgi": proxy.fastcgi,
    "browse": files.browse,
    "index": files.index,
    "request_id": _drop,
}
"""Caddy 1 directive -> what becomes of it, in the order in which Caddy 1 runs them (httpserver/plugin.go)."""

SITE = ("tls", "errors")
"""Those that are no part of handling a request."""

DROPPED = frozenset({"log", "timeouts"})
"""Done for all sites: the access log; no time limit of ours is shorter than what such values are for."""

REFUSED = {
    "import": "files of the node are not reachable for an app",
    "bind": "addresses are the cluster's business",
    "acme_server": "an app cannot hand out certificates",
    "metrics": "these would be every app's",
    "websocket": "it runs a program on the node; websockets of the app pass `proxy` by themselves",
    "on": "it runs a program on the node",
    "startup": "it runs a program on the node",
    "shutdown": "it runs a program on the node",
    "pprof": "it would show Caddy, not the app",
    "expvar": "it would show Caddy, not the app",
    "invoke": "named routes are for all sites",
    "templates": "it would read files of Caddy's container",
    "fs": "it would read files of Caddy's container",
}
"""Directives that no app may use, in either form; see also :mod:`handler.core.caddyfile.safety`."""

ONLY_CADDY1 = frozenset({*TABLE, *DROPPED, "errors", "markdown", "push", "websocket", "on", "startup", "shutdown", "expvar", "pprof"}) - {
    *("root", "rewrite", "header", "redir", "log", "push")
}
ONLY_CADDY2 = frozenset(
    {
        *("abort", "acme_server", "basic_auth", "bind", "copy_response", "encode", "error", "file_server", "forward_auth", "fs", "handle"),
        *("handle_errors", "handle_path", "intercept", "invoke", "log_append", "log_name", "log_skip", "map", "method", "metrics"),
        *("php_fastcgi", "request_body", "request_header", "respond", "reverse_proxy", "route", "tracing", "try_files", "uri", "vars"),
    }
)


def translate(directives: Sequence[Directive]) -> tuple[Translated, Translated]:
    """(lines of the site, lines of its route) from a site in Caddy 1's form."""
    groups: dict[str, list[Directive]] = {}
    for directive in directives:
        if directive.name in DROPPED:
            continue
        if directive.name not in TABLE and directive.name not in SITE:
            raise CaddyfileError(directive.line, f"{directive.name} has no equivalent here; write the site in Caddy 2's form instead")
        groups.setdefault(directive.name, []).append(placeholders.translated(directive))
    for name in ("browse", "ext", "index"):
        for directive in groups.get(name, ()):
            need(directive, "root" in groups, f"root <folder in {files.SRV}> beside it")
    roots = groups.get("root", ())
    site = (*(line for tls in groups.get("tls", ()) for line in _tls(tls)), *files.errors(groups.get("errors", ()), roots))
    route = tuple(line for name, function in TABLE.items() if name in groups for line in function(groups[name]))
    if "root" in groups and "browse" not in groups:
        route += (files.server(groups.get("index", ())),)
    return site, route
