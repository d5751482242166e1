"""Leaving out what a proxy refuses, with a proxy that refuses a name that two have, and what is wrong."""

from collections import Counter

import pytest

from handler.core.sections import Sections
from handler.proxies import isolate


def refused(candidate: Sections) -> str:
    names = Counter(name for part in candidate.parts.values() for name in part.split())
    return next((f"{name} is there twice" for name, times in names.items() if times > 1), "nonsense" if "wrong" in names else "")


@pytest.mark.parametrize(
    ("live", "staged", "wanted"),
    [
        ({"b": "x", "c": "y"}, {"a": "x", "b": "x moved", "c": "y", "d": "z"}, {"b": "x moved", "c": "y", "d": "z"}),
        ({"b": "x"}, {"a": "x", "b": "x wrong", "d": "z"}, {"b": "x", "d": "z"}),
        ({"a": "x", "b": "y"}, {"a": "y", "b": "wrong", "d": "z"}, {"a": "x", "b": "y", "d": "z"}),
        ({"a": "x", "b": "y", "c": "z"}, {"a": "y", "b": "x", "c": "wrong"}, {"a": "y", "b": "x", "c": "z"}),
        ({"a": "x", "b": "y", "c": "z"}, {"a": "y", "b": "other", "c": "z wrong"}, {"a": "y", "b": "other", "c": "z"}),
    ],
    ids=["moves", "wrong change", "wrong giver", "swap", "taker first"],
)
def test_who_has_a_name_keeps_it_and_nobody_else_waits(live: dict[str, str], staged: dict[str, str], wanted: dict[str, str]) -> None:
    found, bad = isolate.accepted(Sections("", staged), Sections("", live), {}, refused)
    assert found is not None
    assert found.parts == wanted
    assert bad.keys() == {app for app in staged if wanted.get(app) != staged[app]}
