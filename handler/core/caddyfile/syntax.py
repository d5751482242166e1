"""The Caddyfile's syntax, the same in Caddy 1 and 2: text to tree and back. Pure.

Grammar: https://caddyserver.com/docs/caddyfile/concepts. A tree is a tuple of :class:`Block`; a block has addresses and directives; a
directive has a name, arguments and possibly directives of its own.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache


class CaddyfileError(ValueError):
    """The text is refused; the message names the line, and the directive where there is one."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(f"CADDYFILE line {line}: {message}")
        self.line = line


@dataclass(frozen=True)
class Directive:
    """One line with its block, if any; ``line`` counts from 1 in the source."""

    name: str
    args: tuple[str, ...] = ()
    body: tuple[Directive, ...] | None = None
    line: int = field(default=0, compare=False)


Translated = tuple[Directive, ...]
"""What becomes of a directive."""


def new(name: str, *args: str, body: Translated | None = None) -> Directive:
    """A directive that is not in the source."""
    return Directive(name, args, body)


def need(directive: Directive, ok: bool, usage: str) -> None:
    """Refuse the directive unless ``ok``."""
    if not ok:
        raise CaddyfileError(directive.line, f"{directive.name}: expected {usage}")


@dataclass(frozen=True)
class Block:
    """A site: its addresses and its directives."""

    addresses: tuple[str, ...]
    directives: tuple[Directive, ...]
    line: int = field(default=0, compare=False)


@dataclass(frozen=True)
class _Token:
    text: str
    line: int
    row: int
    """Number of the line without those that only continue another one."""
    quoted: bool = False

    @property
    def opens(self) -> bool:
        return self.text == "{" and not self.quoted

    @property
    def closes(self) -> bool:
        return self.text == "}" and not self.quoted


_MAX_DEPTH = 8
_HEREDOC = re.compile(r"<<(?P<mark>[A-Za-z0-9_-]+)\n(?P<text>(?:.*\n)*?)(?P<indent>[ \t]*)(?P=mark)(?=\s|$)")
_QUOTES = {'"': "\\", "`": ""}
"""Quote -> its escape character."""


def _tokens(text: str) -> Iterator[_Token]:
    position, line, joined = 0, 1, 0
    while position < len(text):
        char = text[position]
        if char.isspace():
            line += char == "\n"
            position += 1
        elif text.startswith("\\\n", position):  # goes on in the next line
            joined += 1
            line += 1
            position += 2
        elif found := _HEREDOC.match(text, position):
            yield _Token(_unindented(found), line, line - joined, quoted=True)
            skipped = found[0].count("\n")
            line += skipped
            joined += skipped
            position = found.end()
        elif char == "#":
            end = text.find("\n", position)
            position = len(text) if end < 0 else end
        elif char in _QUOTES:
            value, after = _quoted(text, position, line)
            yield _Token(value, line, line - joined, quoted=True)
            skipped = text.count("\n", position, after)
            line += skipped
            joined += skipped
            position = after
        else:
            end = position
            while end < len(text) and not text[end].isspace():
                end += 1
            yield _Token(text[position:end], line, line - joined)
            position = end


def _unindented(heredoc: re.Match[str]) -> str:
    """The text, without the blanks that stand before its closing mark: https://caddyserver.com/docs/caddyfile/concepts#heredocs."""
    lines = [line.removeprefix(heredoc["indent"]) for line in heredoc["text"].split("\n")]
    return "\n".join(lines).removesuffix("\n")


def _quoted(text: str, start: int, line: int) -> tuple[str, int]:
    quote = text[start]
    escape = _QUOTES[quote]
    found: list[str] = []
    position = start + 1
    while position < len(text):
        char = text[position]
        if escape and char == escape and text[position + 1 : position + 2] == quote:
            found.append(quote)
            position += 2
        elif char == quote:
            return "".join(found), position + 1
        else:
            found.append(char)
            position += 1
    raise CaddyfileError(line, f"a {quote} is opened and never closed")


@lru_cache(maxsize=64)
def parse(text: str) -> tuple[Block, ...]:
    """The sites of a Caddyfile; raises :class:`CaddyfileError`."""
    lines = _lines(text)
    blocks: list[Block] = []
    number = 0
    while number < len(lines):
        addresses: list[_Token] = []
        while number < len(lines):
            addresses += lines[number]
            number += 1
            if lines[number - 1][-1].opens or not lines[number - 1][-1].text.endswith(","):
                break
        first = addresses[0].line
        braces = addresses[-1].opens
        names = tuple(part for token in (addresses[:-1] if braces else addresses) for part in token.text.split(",") if part)
        if not names:
            raise CaddyfileError(first, "a block without address (global options) is not allowed")
        body, number = _body(lines, number, 1, top_without_braces=not braces)
        blocks.append(Block(names, body, first))
    return tuple(blocks)


def _lines(text: str) -> list[list[_Token]]:
    grouped: dict[int, list[_Token]] = {}
    for token in _tokens(text):
        grouped.setdefault(token.row, []).append(token)
    return [grouped[row] for row in sorted(grouped)]


def _body(lines: list[list[_Token]], number: int, depth: int, *, top_without_braces: bool = False) -> tuple[tuple[Directive, ...], int]:
    if depth > _MAX_DEPTH:
        raise CaddyfileError(lines[number - 1][0].line, "blocks are nested too deep")
    found: list[Directive] = []
    while number < len(lines):
        tokens = lines[number]
        number += 1
        if tokens[0].closes:
            if len(tokens) > 1 or top_without_braces:
                raise CaddyfileError(tokens[0].line, "a } has to stand alone and to close something")
            return tuple(found), number
        args = tokens[1:]
        if any(token.opens or token.closes for token in args[:-1]) or (args and args[-1].closes) or tokens[0].opens:
            raise CaddyfileError(tokens[0].line, "a { has to end its line, a } has to stand alone")
        body = None
        if args and args[-1].opens:
            body, number = _body(lines, number, depth + 1)
            args = args[:-1]
        found.append(Directive(tokens[0].text, tuple(token.text for token in args), body, tokens[0].line))
    if not top_without_braces:
        raise CaddyfileError(lines[-1][0].line, "a { is opened and never closed")
    return tuple(found), number


def dump(blocks: Iterable[Block]) -> str:
    """Text that parses to the same tree."""
    out: list[str] = []
    for block in blocks:
        out.append(", ".join(block.addresses) + " {")
        out += _dump(block.directives, 1)
        out.append("}")
    return "\n".join(out) + "\n"


def _dump(directives: Iterable[Directive], depth: int) -> Iterator[str]:
    for directive in directives:
        words = " ".join(quote(word) for word in (directive.name, *directive.args))
        yield "\t" * depth + words + (" {" if directive.body is not None else "")
        if directive.body is not None:
            yield from _dump(directive.body, depth + 1)
            yield "\t" * depth + "}"


def quote(word: str) -> str:
    """A word as it must be written to stay one word in Caddy's own lexer; refuses the few that no kind of quotes can hold."""
    special = any(char.isspace() or char in '"`\\' for char in word)
    if word and not special and word not in "{}" and word[0] != "#" and not word.startswith("<<"):
        return word
    if "`" not in word:
        return f"`{word}`"
    if '"' not in word and "\\" not in word:
        return f'"{word}"'
    raise CaddyfileError(0, f"{word[:40]!r} has backquotes together with quotes or backslashes, which cannot be written safely")
