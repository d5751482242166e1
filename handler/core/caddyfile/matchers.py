"""From Caddy 1's paths and ``if`` conditions to Caddy 2's matchers. Pure.

Caddy 1 matches a path by prefix, whatever its case (httpserver/path.go); Caddy 2's ``path`` ignores the case too, and needs the ``*``.
Facts on ``if``: https://caddyserver.com/v1/docs/redir, httpserver/condition.go.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from handler.core.caddyfile.syntax import CaddyfileError, Directive

_OPERATORS = {
    "is": "{a} == {b}",
    "not": "{a} != {b}",
    "has": "{a}.contains({b})",
    "starts_with": "{a}.startsWith({b})",
    "ends_with": "{a}.endsWith({b})",
    "match": "{a}.matches({b})",
}
_SPLIT = re.compile(r"(\{[A-Za-z%?][\w.%?-]*\})")
IF_WORDS = ("if", "if_op")


def below(path: str) -> str:
    """The path and all that begins with it."""
    return path if path.endswith("*") else path + "*"


def on(path: str) -> tuple[str, ...]:
    """The matcher for a path as an argument; none where all is meant."""
    return () if path in ("/", "") else (below(path),)


def named(name: str, *lines: Directive) -> Directive:
    """The definition ``@name``; requests have to match all lines."""
    return Directive(name, (), lines)


def path_lines(include: str, excluded: Iterable[str] = ()) -> tuple[Directive, ...]:
    """Lines of a named matcher: below ``include``, but not below any of ``excluded``."""
    without = tuple(below(path) for path in excluded)
    lines = (Directive("path", (below(include),)),) if include not in ("/", "") else ()
    return (*lines, *((Directive("not", ("path", *without)),) if without else ()))


def conditions(body: Sequence[Directive]) -> tuple[Directive, ...]:
    """The line for all ``if`` of a block, placeholders already translated; nothing when there are none."""
    ifs = [inner for inner in body if inner.name == "if"]
    operators = [inner for inner in body if inner.name == "if_op"]
    for inner in operators:
        if inner.args not in (("and",), ("or",)):
            raise CaddyfileError(inner.line, "if_op: expected and | or")
    if not ifs:
        return ()
    joined = " || " if operators and operators[-1].args == ("or",) else " && "
    return (Directive("expression", (joined.join(_condition(inner) for inner in ifs),)),)


def _condition(inner: Directive) -> str:
    if len(inner.args) != 3:
        raise CaddyfileError(inner.line, "if: expected if <a> <condition> <b>")
    a, operator, b = inner.args
    negated = operator.startswith("not_")
    pattern = _OPERATORS.get(operator.removeprefix("not_"))
    if pattern is None:
        raise CaddyfileError(inner.line, f"if: {operator} is no condition: {', '.join(_OPERATORS)}, or one of these after not_")
    text = pattern.format(a=_value(a), b=_string(b) if operator.endswith("match") else _value(b))
    return f"!({text})" if negated else f"({text})"


def _value(word: str) -> str:
    """A word with placeholders as a CEL expression."""
    parts = [part if _SPLIT.fullmatch(part) else _string(part) for part in _SPLIT.split(word) if part] or [_string("")]
    return parts[0] if len(parts) == 1 else f"({' + '.join(parts)})"


def _string(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
