"""Caddy 1's ``rewrite``. Pure. Facts: https://caddyserver.com/v1/docs/rewrite and rewrite/rewrite.go, to.go.

The first rule that matches counts, those with a longer base path before others. Of several destinations the first one counts that is
a file, and the last one without being looked for.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from handler.core.caddyfile.matchers import IF_WORDS, below, conditions, named
from handler.core.caddyfile.syntax import CaddyfileError, Directive, Translated, need, new

_CAPTURE = re.compile(r"\{(\d+)\}")


def rewrites(found: Sequence[Directive]) -> Translated:
    """All ``rewrite`` of a site; in Caddy 2, too, only the first one that matches is done."""
    rules = [_simple(directive) if len(directive.args) > 1 else _complex(directive) for directive in found]
    return tuple(line for _, lines in sorted(rules, key=lambda rule: -len(rule[0])) for line in lines)


def _simple(directive: Directive) -> tuple[str, Translated]:
    """``rewrite [not] <regexp> <to>...``."""
    args = list(directive.args)
    negated = args[0] == "not"
    if negated:
        args = args[1:]
    need(directive, len(args) >= 2, "rewrite [not] <from> <to>...")
    match = new("path_regexp", _name(directive), args[0])
    when = (new("not", body=(match,)),) if negated else (match,)
    return "/", _destinations(directive, when, args[1:])


def _complex(directive: Directive) -> tuple[str, Translated]:
    """``rewrite [base] { regexp, ext, if, if_op, to }``."""
    base = directive.args[0] if directive.args else "/"
    pattern, to = "", []
    include: list[str] = []
    excluded: list[str] = []
    for inner in directive.body or ():
        if inner.name in ("r", "regexp") and len(inner.args) == 1:
            pattern = inner.args[0]
        elif inner.name == "to":
            to = list(inner.args)
        elif inner.name == "ext" and all(ext.lstrip("!").startswith(".") for ext in inner.args):
            include += [f"*{ext}" for ext in inner.args if not ext.startswith("!")]
            excluded += [f"*{ext[1:]}" for ext in inner.args if ext.startswith("!")]
        elif inner.name not in IF_WORDS:
            raise CaddyfileError(inner.line, f"rewrite: {inner.name} {' '.join(inner.args)} has no equivalent here")
    need(directive, bool(to), "to <destination>...")
    when: list[Directive] = list(conditions(directive.body or ()))
    if base != "/" and not pattern and not include:
        when.append(new("path", below(base)))
    elif base != "/" or pattern:
        when.append(new("path_regexp", _name(directive), _based(base, pattern)))
    if include:
        when.append(new("path", *include))
    if excluded:
        when.append(new("not", "path", *excluded))
    return base, _destinations(directive, tuple(when), to)


def _based(base: str, pattern: str) -> str:
    """A pattern is for what comes after the base path, with its slash."""
    start = re.escape(base.rstrip("/"))
    if not start:
        return pattern
    return f"^{start}{pattern[1:]}" if pattern.startswith("^") else f"^{start}.*?{pattern}"


def _destinations(directive: Directive, when: Translated, to: Sequence[str]) -> Translated:
    *files, last = [_CAPTURE.sub(rf"{{re.{_name(directive)}.\1}}", one) for one in to]
    need(directive, not any("?" in file for file in files), "a query in the last destination only")
    name = f"@{_name(directive)}"
    lines: list[Directive] = []
    if files:
        lines += [named(f"{name}file", *when, new("file", *files)), new("rewrite", f"{name}file", "{file_match.relative}")]
    if when:
        lines += [named(name, *when), new("rewrite", name, last)]
    else:
        lines.append(new("rewrite", "*", last))
    return tuple(lines)


def _name(directive: Directive) -> str:
    return f"rewrite{directive.line}"
