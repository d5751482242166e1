"""The adapter where there is no daemon; all else is in the contract tests, on the lab's nodes."""

from pathlib import Path

import pytest

from handler.adapters.docker import Docker
from handler.errors import Temporary


def test_what_docker_cannot_be_asked_for_now_is_asked_again_later(tmp_path: Path) -> None:
    """Images of a failed deploy would stay for good: nobody comes back to them."""
    nobody = Docker(f"unix://{tmp_path}/docker.sock")
    for call in (lambda: nobody.remove_images("cluster/", ()), lambda: nobody.containers("some"), lambda: nobody.stop("some", 1)):
        with pytest.raises(Temporary):
            call()
