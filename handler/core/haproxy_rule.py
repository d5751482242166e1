"""Which hosts a ``use_backend_option`` of the frontends that all apps share is for. Pure; used by :mod:`handler.core.haproxy`.

It is read as HAProxy does: configuration manual, section 7.2 "Using ACLs to form conditions"; ``parse_acl_cond`` in ``src/acl.c``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

_WORD = re.compile(r"""(?P<mark>["']?)(?P<word>(?:[^"'\\#$]|\$(?![A-Za-z_{])|\\[][.^$|?*+()/-])+)(?P=mark)""")
"""HAProxy takes quotes and backslashes away before it looks at words: only those are read that cannot hide another word, as ``"||"`` or
``\\x6fr`` would, or end the rule, as ``""`` does. What follows a # is a comment, and ``$`` in quotes may be a variable.
"""
_OR = ("or", "||")
_HOST = r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,252}(?::\d{1,5})?"
_TERM = re.compile(
    r"\{ (?:(?:req\.)?hdr\(host\)|req_ssl_sni|req\.ssl_sni|ssl_fc_sni)(?:,lower|,host_only|,field\(1,:\))*"
    rf"(?: -i| -m str)*(?P<hosts>(?: {_HOST})+)"
)
"""Other methods than whole strings (``-m end``, ``-m reg``) would take hosts that are not named here, and that others may have."""


def hosts(rule: str) -> tuple[str, ...]:
    """The hosts in lower case, all of them; none when the rule may also take requests for others, or cannot be read."""
    read = [_WORD.fullmatch(word) for word in rule.split(" ") if word]
    words = [found["word"] for found in read if found]
    if len(words) < len(read) or words[:1] != ["if"]:
        return ()
    try:
        terms = list(_terms(words[1:]))
    except ValueError:
        return ()
    if any(term[0].lower() in _OR for _, term in terms):
        return ()
    named = [found["hosts"] for negated, term in terms if not negated and (found := _TERM.fullmatch(" ".join(term)))]
    return tuple(dict.fromkeys(host.partition(":")[0].lower() for text in named for host in text.split()))


def _terms(words: Sequence[str]) -> Iterator[tuple[bool, Sequence[str]]]:
    """Whether it is negated, and the words, of each term; a word alone is a named ACL, or an ``or``. Raises ValueError without a ``}``."""
    at, negated = 0, False
    while at < len(words):
        word = words[at].lstrip("!")
        negated ^= (len(words[at]) - len(word)) % 2 == 1
        end = words.index("}", at) if word == "{" else at
        if word:  # else the marks are for the word after them
            yield negated, [word, *words[at + 1 : end]]
            negated = False
        at = end + 1
