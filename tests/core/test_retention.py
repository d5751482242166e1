from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handler.core import retention
from handler.core.copies import Held, taken_at
from handler.core.names import TIME_FORMAT

NOW = datetime(2026, 11, 25, 12, 0, 30, tzinfo=UTC)
PATTERN = "1h:1d:1w:4w:1y"


def at(**ago: float) -> Held:
    return Held(f"v@{NOW - timedelta(**ago):{TIME_FORMAT}}")


def left(held: list[Held], pattern: str = PATTERN, keep: tuple[str, ...] = (), now: datetime = NOW) -> list[Held]:
    gone = retention.drop(held, pattern, now.timestamp(), keep)
    return [one for one in held if one.name not in gone]


seconds = st.lists(st.integers(0, 400 * 86400), max_size=60, unique=True)
ages = seconds.map(lambda found: [at(seconds=age) for age in sorted(found, reverse=True)])


def test_of_each_span_the_oldest_stays() -> None:
    held = [at(minutes=minutes) for minutes in range(5 * 24 * 60, 0, -20)]
    kept = left(held, "4h:1d:1w")
    young = [one for one in kept if NOW.timestamp() - taken_at(one.name) < 4 * 3600]
    middle = [one for one in kept if 4 * 3600 <= NOW.timestamp() - taken_at(one.name) < 86400]
    assert len(young) == 11
    assert len(middle) == 6
    assert len(kept) - len(young) - len(middle) == 5
    assert left([at(days=8), at(days=6)], "4h:1d:1w") == [at(days=6)]


@given(ages)
def test_a_second_purge_deletes_nothing_more(held: list[Held]) -> None:
    once = left(held)
    assert left(once) == once


@given(ages, st.data())
def test_what_is_needed_stays_whatever_the_pattern(held: list[Held], data: st.DataObject) -> None:
    flags = [
        Held(one.name, data.draw(st.booleans()), data.draw(st.booleans()), data.draw(st.sampled_from(((), ("10.0.0.2",))))) for one in held
    ]
    named = data.draw(st.lists(st.sampled_from(flags or [at(days=1)]), max_size=3))
    needed = retention.needed(flags, [one.name for one in named])
    pattern = data.draw(st.sampled_from((PATTERN, "1m:2m", "1d:4w")))
    gone = set(retention.drop(flags, pattern, NOW.timestamp(), needed))
    assert not gone & needed
    complete = [one for one in flags if one.complete]
    assert not gone & {one.name for one in complete[-2:]}
    assert not gone & {one.name for one in [one for one in complete if one.received][-2:]}
    assert not gone & {one.name for one in flags if one.hosts}
    assert not gone & {one.name for one in named}


@given(ages)
def test_everything_young_stays_and_everything_old_goes(held: list[Held]) -> None:
    kept = left(held)
    for one in held:
        age = NOW.timestamp() - taken_at(one.name)
        assert age >= 3600 or one in kept
        assert age < 365 * 86400 or one not in kept


@given(ages, st.timedeltas(timedelta(0), timedelta(days=500)))
def test_history_has_no_hole_wider_than_two_spans(held: list[Held], later: timedelta) -> None:
    """What was kept by purges at different times still has a snapshot for each span that ever had one."""
    now = NOW + later
    kept = left(left(held), now=now)
    for one in held:
        age = now.timestamp() - taken_at(one.name)
        span = next((length for length, end in ((3600, 86400), (86400, 604800), (604800, 2419200)) if length <= age < end), None)
        if span:
            assert any(abs(taken_at(other.name) - taken_at(one.name)) < 2 * span for other in kept)


def test_volumes_of_one_point_stay_or_go_together() -> None:
    times = [timedelta(minutes=7 * number) for number in range(900, 0, -1)]
    a, b = ([Held(f"{volume}@{NOW - ago:{TIME_FORMAT}}") for ago in times] for volume in "ab")
    assert [one.name[1:] for one in left(a)] == [one.name[1:] for one in left(b)]


def test_parts_go_when_something_complete_came_after_them() -> None:
    part, young_part, whole = Held(at(days=2).name, complete=False), Held(at(hours=2).name, complete=False), at(minutes=1)
    assert left([part, whole]) == [whole]
    assert left([whole, part]) == [whole, part]
    assert left([young_part, whole]) == [young_part, whole]


def test_a_part_never_takes_the_place_of_a_complete_one() -> None:
    part, whole = Held(at(hours=5, minutes=20).name, complete=False), at(hours=5, minutes=10)
    assert whole in left([part, whole, at(minutes=1)])


def test_the_order_of_arrival_decides_what_is_newest_not_the_clock() -> None:
    before, after = at(days=-1), at(days=3)  # the master's clock was a day ahead, then it was set right
    older = [at(days=3, minutes=number) for number in (50, 40)]
    assert after.name in retention.needed([*older, before, after], ())
    assert after in left([*older, before, after], keep=tuple(retention.needed([*older, before, after], ())))


def test_what_has_no_time_is_not_touched() -> None:
    assert left([Held("v@before-the-update"), Held("v@")], "1m:2m") == [Held("v@before-the-update"), Held("v@")]


@pytest.mark.parametrize("pattern", ["", "1h", "1h:x", "h:d", "1h:1q", "0h:1d", "-1h:1d"])
def test_a_pattern_that_is_none_deletes_nothing(pattern: str) -> None:
    with pytest.raises(ValueError, match="pattern"):
        retention.drop([at(days=4000)], pattern, NOW.timestamp(), ())


def test_the_newest_point_that_all_volumes_share_is_needed() -> None:
    """One volume's sends failed for two days, and of that time the other has the last snapshots alone."""
    shared = [timedelta(hours=hours) for hours in (49, 48.6, 48.3)]
    www = [Held(f"www@{NOW - ago:{TIME_FORMAT}}") for ago in (*shared, *(timedelta(hours=hours) for hours in range(48, 0, -1)))]
    db = [Held(f"db@{NOW - ago:{TIME_FORMAT}}") for ago in shared]
    last = {f"{volume}@{NOW - shared[-1]:{TIME_FORMAT}}" for volume in ("www", "db")}
    assert retention.shared({"www": www, "db": db})[0] == last
    assert [len(point) for point in retention.shared({"www": www, "db": db})] == [2, 2, 2]
    part = Held(db[-1].name, complete=False)
    assert retention.shared({"www": www, "db": [*db[:-1], part]})[0] == {www[1].name, db[1].name}
    aside = replace(db[-1], aside=True)
    assert retention.shared({"www": www, "db": [*db[:-1], aside]})[0] == {www[1].name, db[1].name}
    assert retention.shared({"www": www, "db": []}) == ()
    assert retention.shared({}) == ()


minutes = st.lists(st.integers(1, 3 * 24 * 60), max_size=30, unique=True)


def points(stock: Mapping[str, Sequence[Held]]) -> set[str]:
    return set().union(*retention.shared(stock))


@given(minutes, minutes, minutes)
def test_a_snapshot_of_one_volume_alone_never_takes_the_place_of_a_point(both: list[int], mine: list[int], yours: list[int]) -> None:
    """As what a move sends ahead: of a span in which there was a point, one is left, the same for all volumes."""

    def purged(stock: dict[str, list[Held]]) -> dict[str, list[Held]]:
        """One volume after the other, as it is done."""
        for volume, found in stock.items():
            gone = retention.drop(found, PATTERN, NOW.timestamp(), (), points(stock))
            stock = {**stock, volume: [one for one in found if one.name not in gone]}
        return stock

    def held(volume: str, ago: list[int]) -> list[Held]:
        return [Held(f"{volume}@{NOW - timedelta(minutes=number):{TIME_FORMAT}}") for number in sorted({*both, *ago}, reverse=True)]

    before = {"a": held("a", [number + 0.5 for number in mine]), "b": held("b", [number + 0.25 for number in yours])}
    after = purged(before)
    assert purged(after) == after

    def spans(stock: dict[str, list[Held]]) -> set[tuple[int, float]]:
        found = set()
        for name in points(stock):
            age = NOW.timestamp() - taken_at(name)
            length = next(length for length, end in ((0, 3600), (3600, 86400), (86400, 604800)) if length <= age < end)
            found.add((length, taken_at(name) // length if length else 0))
        return found

    assert spans(after) == spans(before)
