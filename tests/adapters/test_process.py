import time

import pytest

from handler.adapters.process import run
from handler.errors import CommandFailed, LeaseLost


def test_output_and_environment() -> None:
    assert run(["sh", "-c", "echo $X"], seconds=5, environment={"X": "a b"}) == "a b\n"


def test_a_failure_has_the_last_words_of_the_program() -> None:
    with pytest.raises(CommandFailed, match="ended with 3: why") as caught:
        run(["sh", "-c", "echo noise; echo why >&2; exit 3"], seconds=5)
    assert caught.value.tail == "why\n"


def test_a_missing_program_is_a_failure() -> None:
    with pytest.raises(CommandFailed, match="cannot be started"):
        run(["no-such-program"], seconds=5)


def test_a_program_that_takes_too_long_is_ended_with_its_children() -> None:
    began = time.monotonic()
    with pytest.raises(CommandFailed, match="took more than"):
        run(["sh", "-c", "sleep 60 & sleep 60"], seconds=0.3)
    assert time.monotonic() - began < 10


def test_the_guard_ends_the_program() -> None:
    def lost() -> None:
        raise LeaseLost("gone")

    began = time.monotonic()
    with pytest.raises(LeaseLost):
        run(["sleep", "60"], seconds=60, guard=lost)
    assert time.monotonic() - began < 10
