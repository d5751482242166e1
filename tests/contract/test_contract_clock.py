"""``Clock``: in memory, and the machine's."""

import pytest

from handler.ports import Clock

BEGIN, END = 1_600_000_000, 4_000_000_000
"""Seconds since the epoch of the years 2020 and 2096."""


def test_the_time_for_people_counts_from_the_epoch(clock: Clock) -> None:
    assert BEGIN < clock.now() < END


@pytest.mark.parametrize("seconds", [0.0, 0.05])
def test_a_sleep_takes_as_long_as_was_said_by_both_times(clock: Clock, seconds: float) -> None:
    """Or longer, on a busy machine. A person's clock may be corrected meanwhile, but not in a test."""
    people, measured = clock.now(), clock.monotonic()
    clock.sleep(seconds)
    assert clock.monotonic() - measured >= seconds * 0.999
    assert clock.now() - people >= seconds * 0.9


def test_the_time_for_deadlines_never_goes_back(clock: Clock) -> None:
    seen = []
    for _ in range(5):
        seen.append(clock.monotonic())
        clock.sleep(0.001)
    assert seen == sorted(seen)
    assert seen[0] < seen[-1]
