"""Caddy 1's placeholders in Caddy 2's words. Pure.

Facts: https://caddyserver.com/v1/docs/placeholders, https://caddyserver.com/docs/caddyfile/concepts#placeholders. In Caddy 1, ``{path}``,
``{uri}`` and ``{query}`` are those of the request as it came; what a rewrite has made of them is ``{rewrite_path}`` and ``{rewrite_uri}``.
"""

from __future__ import annotations

import re

from handler.core.caddyfile.syntax import CaddyfileError, Directive

PLACEHOLDERS = {
    "dir": "{dir}",
    "file": "{file}",
    "host": "{hostport}",
    "hostonly": "{host}",
    "method": "{method}",
    "path": "{orig_path}",
    "path_escaped": "{%path}",
    "port": "{remote_port}",
    "proto": "{http.request.proto}",
    "query": "{orig_query}",
    "query_escaped": "{%query}",
    "remote": "{remote_host}",
    "request_id": "{uuid}",
    "rewrite_path": "{path}",
    "rewrite_path_escaped": "{%path}",
    "rewrite_uri": "{uri}",
    "rewrite_uri_escaped": "{%uri}",
    "scheme": "{scheme}",
    "server_port": "{http.request.local.port}",
    "tls_cipher": "{tls_cipher}",
    "tls_protocol": "{tls_version}",
    "uri": "{orig_uri}",
    "uri_escaped": "{%uri}",
    "user": "{http.auth.user.id}",
    "when_unix": "{time.now.unix}",
    "when_unix_ms": "{time.now.unix_ms}",
}
KINDS = {">": "{{header.{}}}", "?": "{{http.request.uri.query.{}}}", "~": "{{cookie.{}}}"}
"""First character -> what it becomes: request headers, query parameters, cookies."""

_PLACEHOLDER = re.compile(r"\{([>?~]?)([A-Za-z_][\w-]*)\}")
_READS = re.compile(r"\{\$|\{%\w+%\}|\{env\.|\{file\.[^}]*/|\{system\.")


def translated(directive: Directive) -> Directive:
    """The directive with all of its placeholders, also in its block, in Caddy 2's words."""
    args = tuple(translate(arg, directive.line) for arg in directive.args)
    body = None if directive.body is None else tuple(translated(inner) for inner in directive.body)
    return Directive(translate(directive.name, directive.line), args, body, directive.line)


def translate(text: str, line: int) -> str:
    """One word; raises :class:`CaddyfileError` for a placeholder without equivalent."""

    def one(match: re.Match[str]) -> str:
        if match[1]:
            return KINDS[match[1]].format(match[2])
        if match[2] not in PLACEHOLDERS:
            raise CaddyfileError(line, f"placeholder {match[0]} has no equivalent in Caddy 2")
        return PLACEHOLDERS[match[2]]

    return _PLACEHOLDER.sub(one, text)


def refuse_reading(directive: Directive) -> None:
    """Refuse placeholders, of either form, that would read files and variables of Caddy's container."""
    for word in (directive.name, *directive.args):
        if _READS.search(word):
            raise CaddyfileError(directive.line, f"{word}: such a placeholder would read environment and files of Caddy, not of the app")
    for inner in directive.body or ():
        refuse_reading(inner)
