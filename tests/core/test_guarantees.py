"""Every sentence of docs/guarantees.rst names a test that shows it; here is checked that there is such a test."""

import re
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parents[1]


def named(root: Path) -> set[str]:
    text = (root / "docs" / "guarantees.rst").read_text()
    return set(re.findall(r"``(test_[a-z0-9_]+)``", text))


def test_the_tests_that_guarantees_name_exist(request: pytest.FixtureRequest) -> None:
    there = {name for path in TESTS.rglob("test_*.py") for name in re.findall(r"^\s*def (test_\w+)", path.read_text(), re.MULTILINE)}
    wanted = named(request.config.rootpath)
    assert len(wanted) > 30
    assert wanted - there == set()
