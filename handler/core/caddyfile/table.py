"""From Caddy 1 directives to Caddy 2: one table, one function for each directive, one list of placeholders. Pure.

Facts: Caddy 1's documentation and https://caddyserver.com/docs/v2-upgrade. What has no equivalent is refused by name and line.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from handler.core.caddyfile.syntax import CaddyfileError, Directive

Translated = tuple[Directive, ...]

PLACEHOLDERS = {
    "{hostonly}": "{host}",
    "{host}": "{hostport}",
    "{remote}": "{remote_host}",
    "{scheme}": "{scheme}",
    "{uri}": "{uri}",
    "{path}": "{path}",
    "{query}": "{query}",
    "{method}": "{method}",
    "{dir}": "{dir}",
    "{file}": "{file}",
}
_PLACEHOLDER = re.compile(r"\{([>?~]?)([A-Za-z_][\w-]*)\}")
_KINDS = {">": "{{header.{}}}", "?": "{{query.{}}}", "~": "{{cookie.{}}}"}
_ENVIRONMENT = re.compile(r"\{\$\w+\}|\{%\w+%\}")


def placeholders(text: str, line: int) -> str:
    """Caddy 1's placeholders in Caddy 2's words; unknown and environment ones are refused."""
    if _ENVIRONMENT.search(text):
        raise CaddyfileError(line, f"{text}: environment placeholders would read the environment of Caddy, not of the app")

    def one(match: re.Match[str]) -> str:
        if match[1]:
            return _KINDS[match[1]].format(match[2])
        if match[0] not in PLACEHOLDERS:
            raise CaddyfileError(line, f"placeholder {match[0]} has no equivalent in Caddy 2")
        return PLACEHOLDERS[match[0]]

    return _PLACEHOLDER.sub(one, text)


def translate(directive: Directive) -> Translated:
    """What becomes of one Caddy 1 directive; an empty tuple when Caddy 2 does the same by default."""
    function = TABLE.get(directive.name)
    if function is None:
        raise CaddyfileError(directive.line, f"{directive.name} has no equivalent here; write the site in Caddy 2's form instead")
    return function(_with_placeholders(directive))


def _with_placeholders(directive: Directive) -> Directive:
    args = tuple(placeholders(arg, directive.line) for arg in directive.args)
    body = None if directive.body is None else tuple(_with_placeholders(inner) for inner in directive.body)
    return Directive(placeholders(directive.name, directive.line), args, body, directive.line)


def _new(name: str, *args: str, body: Translated | None = None, line: int = 0) -> Directive:
    return Directive(name, args, body, line)


def _need(directive: Directive, ok: bool, usage: str) -> None:
    if not ok:
        raise CaddyfileError(directive.line, f"{directive.name}: expected {usage}")


# --- proxy ---------------------------------------------------------------------------------------------------------


def _proxy(directive: Directive) -> Translated:
    _need(directive, len(directive.args) >= 2, "proxy <path> <to>...")
    path, *upstreams = directive.args
    lines: list[Directive] = []
    skipped: list[str] = []
    wrap_strip: list[Directive] = []
    for inner in directive.body or ():
        if inner.name == "upstream":
            upstreams += inner.args
        elif inner.name == "except":
            skipped += inner.args
        elif inner.name == "without":
            wrap_strip += [_new("uri", "strip_prefix", *inner.args)]
        elif inner.name in _PROXY:
            lines += _PROXY[inner.name](inner)
        else:
            raise CaddyfileError(inner.line, f"proxy: {inner.name} has no equivalent in Caddy 2")
    to = tuple(upstream.removeprefix("http://").rstrip("/") for upstream in upstreams)
    reverse = _new("reverse_proxy", *to, body=tuple(lines) or None, line=directive.line)
    inside = (*wrap_strip, reverse)
    if skipped:
        name = f"@proxy{directive.line}"
        below = tuple(f"{item.rstrip('/')}*" for item in skipped)
        matcher = _new(name, body=(_new("path", _below(path)), _new("not", "path", *below)))
        return (matcher, _new("handle", name, body=inside))
    return (_new("handle", *(() if path == "/" else (_below(path),)), body=inside),)


def _below(path: str) -> str:
    """Caddy 1 matches by prefix, Caddy 2 exactly."""
    return path if path.endswith("*") else path + "*"


def _drop(_directive: Directive) -> Translated:
    return ()


def _rename(name: str, *prefix: str) -> Callable[[Directive], Translated]:
    return lambda directive: (_new(name, *prefix, *directive.args),)


_TRANSPORT_INSECURE = _new("transport", "http", body=(_new("tls_insecure_skip_verify"),))
_POLICIES = {
    "random": "random",
    "least_conn": "least_conn",
    "round_robin": "round_robin",
    "first": "first",
    "ip_hash": "ip_hash",
    "uri_hash": "uri_hash",
    "header": "header",
}


def _policy(directive: Directive) -> Translated:
    name, *rest = directive.args or ("",)
    _need(directive, name in _POLICIES, f"policy {' | '.join(_POLICIES)}")
    return (_new("lb_policy", _POLICIES[name], *rest),)


def _transparent(_directive: Directive) -> Translated:
    """Caddy 2 passes Host and X-Forwarded-* by itself; Caddy 1 also set this one."""
    return (_new("header_up", "X-Real-IP", "{remote_host}"),)


_PROXY: dict[str, Callable[[Directive], Translated]] = {
    "transparent": _transparent,
    "websocket": _drop,
    "header_upstream": _rename("header_up"),
    "header_downstream": _rename("header_down"),
    "policy": _policy,
    "insecure_skip_verify": lambda _directive: (_TRANSPORT_INSECURE,),
    "max_fails": _rename("max_fails"),
    "fail_timeout": _rename("fail_duration"),
    "max_conns": _rename("unhealthy_request_count"),
    "try_duration": _rename("lb_try_duration"),
    "try_interval": _rename("lb_try_interval"),
    "health_check": _rename("health_uri"),
    "health_check_interval": _rename("health_interval"),
    "health_check_timeout": _rename("health_timeout"),
    "keepalive": _drop,
}


# --- the others ----------------------------------------------------------------------------------------------------

_CODES = re.compile(r"^30[0-9]$|^meta$")


def _redir(directive: Directive) -> Translated:
    """``redir to [code]``, ``redir from to [code]``, ``redir [code] { from to [code] }``; 301 when no code is said, unlike Caddy 2."""
    args, code = list(directive.args), "301"
    if args and _CODES.match(args[-1]):
        code = args.pop()
    _need(directive, code != "meta", "a 3xx code; Caddy 2 has no meta redirects")
    if directive.body is None:
        _need(directive, len(args) in (1, 2), "redir [from] <to> [code]")
        return (_one_redir(args, code),)
    _need(directive, not args, "redir [code] { <from> <to> [code] }")
    found = []
    for inner in directive.body:
        if inner.name in ("if", "if_op"):
            raise CaddyfileError(inner.line, "redir: if has no equivalent here; use a matcher in Caddy 2's form")
        words, own = [inner.name, *inner.args], code
        if len(words) > 1 and _CODES.match(words[-1]):
            own = words.pop()
        _need(inner, len(words) in (1, 2), "<from> <to> [code]")
        found.append(_one_redir(words, own))
    return tuple(found)


def _one_redir(words: list[str], code: str) -> Directive:
    *path, to = words
    return _new("redir", *([] if path in ([], ["/"]) else path), to, code)


def _gzip(_directive: Directive) -> Translated:
    return (_new("encode", "gzip", "zstd"),)


def _tls(directive: Directive) -> Translated:
    """``self_signed`` is ``internal``; ``off`` belongs to the addresses, see :mod:`handler.core.caddyfile`."""
    if directive.args == ("self_signed",):
        return (_new("tls", "internal"),)
    if directive.args == ("off",):
        return ()
    _need(
        directive,
        len(directive.args) == 1 and "@" in directive.args[0] and not directive.body,
        "tls self_signed, tls off or tls <e-mail>: certificate files of the node are not reachable for an app",
    )
    return (directive,)


def _header(directive: Directive) -> Translated:
    _need(directive, bool(directive.args), "header <path> <name> <value>")
    path, *rest = directive.args
    matcher = () if path == "/" else (_below(path),)
    pairs = [tuple(rest)] if rest else [(inner.name, *inner.args) for inner in directive.body or ()]
    return tuple(_new("header", *matcher, *pair) for pair in pairs)


def _status(directive: Directive) -> Translated:
    _need(directive, len(directive.args) == 2, "status <code> <path>")
    code, path = directive.args
    return (_new("respond", _below(path), code),)


def _internal(directive: Directive) -> Translated:
    _need(directive, len(directive.args) == 1, "internal <path>")
    return (_new("respond", _below(directive.args[0]), "404"),)


def _limits(directive: Directive) -> Translated:
    args = directive.args or next((d.args for d in directive.body or () if d.name == "body"), ())
    _need(directive, bool(args), "limits <size>")
    return (_new("request_body", body=(_new("max_size", args[-1]),)),)


TABLE: dict[str, Callable[[Directive], Translated]] = {
    "proxy": _proxy,
    "redir": _redir,
    "gzip": _gzip,
    "tls": _tls,
    "header": _header,
    "status": _status,
    "internal": _internal,
    "limits": _limits,
    "log": _drop,  # the access log of the cluster has all of it
    "errors": _drop,  # Caddy 2 logs errors by itself; error pages are refused by their block below
    "timeouts": _drop,  # set for the whole server
}
"""Caddy 1 directive -> what becomes of it."""

ONLY_CADDY1 = frozenset(
    {
        "proxy",
        "gzip",
        "timeouts",
        "errors",
        "fastcgi",
        "limits",
        "status",
        "internal",
        "websocket",
        "ext",
        "browse",
        "mime",
        "basicauth",
        "on",
        "pprof",
        "expvar",
        "index",
        "markdown",
        "push",
    }
)
ONLY_CADDY2 = frozenset(
    {
        "reverse_proxy",
        "encode",
        "file_server",
        "handle",
        "handle_path",
        "route",
        "respond",
        "php_fastcgi",
        "uri",
        "try_files",
        "basic_auth",
        "handle_errors",
        "request_body",
        "request_header",
        "vars",
        "map",
        "method",
        "abort",
        "error",
        "forward_auth",
        "bind",
        "metrics",
        "templates",
        "acme_server",
        "tracing",
    }
)
REFUSED = {
    "import": "files of the node are not reachable for an app",
    "bind": "addresses are the cluster's business",
    "acme_server": "an app cannot hand out certificates",
    "metrics": "these would be every app's",
}
"""Directives that no app may use, in either form."""
