"""A git daemon for component tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from repositories import git_repository


@pytest.fixture
def repository(tmp_path: Path) -> Iterator[str]:
    """Url of a repository with one commit on branch main, behind a real git daemon."""
    with git_repository(tmp_path) as url:
        yield url
