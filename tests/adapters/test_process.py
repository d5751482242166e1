import logging
import time
from pathlib import Path

import pytest

from clusterlab.run import LabError, wait_until
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


@pytest.mark.parametrize("ignores", ["", "trap '' TERM;"], ids=["", "deaf"])
def test_a_program_that_takes_too_long_is_ended_with_its_children(ignores: str, tmp_path: Path) -> None:
    """Also with those that do not hear SIGTERM when it does: they would go on with what it had begun, beside its repetition."""
    ticks = tmp_path / "ticks"
    began = time.monotonic()
    with pytest.raises(CommandFailed, match="took more than"):
        run(["sh", "-c", f"({ignores} while sleep 0.05; do echo >> {ticks}; done) & sleep 60"], seconds=1.0)
    assert time.monotonic() - began < 10
    size = ticks.stat().st_size
    with pytest.raises(LabError):
        wait_until("it goes on", lambda: ticks.stat().st_size > size, 1, 0.05)


def test_the_guard_ends_the_program() -> None:
    def lost() -> None:
        raise LeaseLost("gone")

    began = time.monotonic()
    with pytest.raises(LeaseLost):
        run(["sleep", "60"], seconds=60, guard=lost)
    assert time.monotonic() - began < 10


SECRET = "https://oauth2:top-secret@git.example.com/x"


@pytest.mark.parametrize("script", ["exit 3", "echo clone $0 >&2; exit 3", "echo clone $0; exit 3", "echo $0; sleep 60"])
def test_a_password_in_a_url_is_in_neither_the_error_nor_the_log(script: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with pytest.raises(CommandFailed) as caught:
        run(["sh", "-c", script, SECRET], seconds=1.0)
    assert "git.example.com" in str(caught.value)
    assert "secret" not in f"{caught.value} {caught.value.tail} {caplog.text}"


def test_a_password_is_hidden_where_the_words_of_a_program_are_cut() -> None:
    script = "echo $0; head -c 3975 /dev/zero | tr '\\0' x; exit 3"
    with pytest.raises(CommandFailed) as caught:
        run(["sh", "-c", script, SECRET], seconds=5.0)
    assert "secret" not in caught.value.tail
