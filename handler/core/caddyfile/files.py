"""Caddy 1's directives about files: root, index, ext, mime, browse, errors. Pure. Facts: https://caddyserver.com/v1/docs.

Caddy's container has no files of applications, but the node's ``/srv``, for what has to be there when an application is not.
"""

from __future__ import annotations

import posixpath
from collections.abc import Sequence

from handler.core.caddyfile.matchers import named, on
from handler.core.caddyfile.syntax import Directive, Translated, need, new

SRV = "/srv"


def root(found: Sequence[Directive]) -> Translated:
    """``root <folder>``: below ``/srv``, since all else in Caddy's container is not for users."""
    directive = found[-1]
    need(directive, len(directive.args) == 1 and allowed(directive.args[0]), f"root <folder>, in {SRV}: Caddy reaches no other files")
    return (new("root", "*", directive.args[0]),)


def allowed(folder: str) -> bool:
    """Whether files of that folder may be served."""
    return posixpath.normpath(folder) == SRV or posixpath.normpath(folder).startswith(f"{SRV}/")


def extensions(found: Sequence[Directive]) -> Translated:
    """``ext <extension>...``: a path without extension is that of the first file there is."""
    directive = found[-1]
    need(directive, bool(directive.args) and all(ext.startswith(".") for ext in directive.args), "ext .html ...")
    name = f"@ext{directive.line}"
    matcher = named(name, new("path_regexp", r"^(.*/)?[^./]+$"), new("file", *("{path}" + ext for ext in directive.args)))
    return (matcher, new("rewrite", name, "{file_match.relative}"))


def mime(found: Sequence[Directive]) -> Translated:
    """``mime <extension> <type>``, or a block of these."""
    lines: list[Directive] = []
    for directive in found:
        rows = [directive.args] if directive.args else [(inner.name, *inner.args) for inner in directive.body or ()]
        for row in rows:
            need(directive, len(row) == 2 and row[0].startswith("."), "mime <.extension> <type>")
            name = f"@mime{directive.line}x{len(lines)}"
            lines += [named(name, new("path", f"*{row[0]}")), new("header", name, ">Content-Type", row[1])]
    return tuple(lines)


def index(_found: Sequence[Directive]) -> Translated:
    """Part of the file server."""
    return ()


def server(indexes: Sequence[Directive], *more: Directive) -> Directive:
    """The file server, last of all, as in Caddy 1."""
    names = tuple(name for directive in indexes for name in directive.args)
    body = (*((new("index", *names),) if names else ()), *more)
    return new("file_server", body=body or None)


def browse(found: Sequence[Directive]) -> Translated:
    """``browse [path]``."""
    lines: list[Directive] = []
    for directive in found:
        need(directive, len(directive.args) <= 1, "browse [path]; templates are files of the node")
        path = directive.args[0] if directive.args else "/"
        lines.append(new("file_server", *on(path), "browse"))
    if all(directive.args and directive.args[0] != "/" for directive in found):
        lines.append(server(()))
    return tuple(lines)


def errors(found: Sequence[Directive], roots: Sequence[Directive]) -> Translated:
    """``errors { <code> <file> }``; where they are logged is not an app's business."""
    pages = [(inner.name, inner) for directive in found for inner in directive.body or () if inner.name == "*" or inner.name.isdigit()]
    base = roots[-1].args[0] if roots and roots[-1].args else SRV
    return tuple(_error_page(code, inner, base) for code, inner in sorted(pages, key=lambda page: page[0] == "*"))


def _error_page(code: str, inner: Directive, base: str) -> Directive:
    need(inner, len(inner.args) == 1, "<code> <file>")
    folder, name = posixpath.split(posixpath.join(base, inner.args[0]))
    need(inner, allowed(folder), f"a file in {SRV}")
    codes = () if code == "*" else (code,)
    inside = (new("root", "*", folder), new("rewrite", "*", f"/{name}"), new("file_server"))
    return new("handle_errors", *codes, body=(new("route", body=inside),))
