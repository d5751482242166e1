from dataclasses import replace

import pytest

from handler.core import copies, limits, record
from handler.core.copies import Held, Round, State

NOW = 1_800_000_000.0
HOUR = 3600.0
FINE = State(
    volumes=("a", "b"),
    slave="n2",
    committed=NOW - 100 * HOUR,
    taken={"a": NOW - 600, "b": NOW - 600},
    verified={"a": NOW - 600, "b": NOW - 600},
    last=Round(tried=NOW - 600),
)
OLD = {"a": NOW - 600, "b": NOW - 1.1 * HOUR}


@pytest.mark.parametrize(
    ("what", "state", "due"),
    [
        ("all is fresh", FINE, False),
        ("one volume's copy is older than the timer", replace(FINE, verified=OLD), True),
        ("a shorter timer", replace(FINE, minutes=5), True),
        ("the slave has nothing yet", replace(FINE, verified={}), True),
        ("nothing yet, but somebody has just tried", replace(FINE, verified={}, last=Round(tried=NOW - 30)), False),
        ("nothing yet, as the deploy is only a moment ago", replace(FINE, verified={}, committed=NOW - 30), False),
        ("the slave is down and has nothing", replace(FINE, verified={}, alive=False), False),
        ("the slave is down, and the snapshots here are old too", replace(FINE, verified={}, taken=OLD, alive=False, last=Round()), True),
        ("the slave is back", replace(FINE, last=Round(tried=NOW - 61, failures=5, down=True)), True),
        ("one failure, a minute ago", replace(FINE, last=Round(tried=NOW - 61, failures=1)), True),
        ("four failures wait eight minutes", replace(FINE, last=Round(tried=NOW - 400, failures=4)), False),
        ("four failures have waited", replace(FINE, last=Round(tried=NOW - 500, failures=4)), True),
        ("many failures wait as long as the timer", replace(FINE, last=Round(tried=NOW - 1.01 * HOUR, failures=900)), True),
        ("no slave, and a young snapshot", replace(FINE, slave="", verified={}), False),
        ("no slave, and an old snapshot", replace(FINE, slave="", verified={}, taken=OLD), True),
        ("no volumes", replace(FINE, volumes=(), verified={}), False),
        ("nothing is scheduled", replace(FINE, minutes=None, verified={}), False),
        ("the clock was set back", replace(FINE, verified={"a": NOW + HOUR, "b": NOW + HOUR}, last=Round(tried=NOW + HOUR)), True),
    ],
)
def test_when_a_round_is_due(what: str, state: State, due: bool) -> None:
    assert copies.due(state, NOW) is due, what


@pytest.mark.parametrize(
    ("state", "word"),
    [
        (FINE, ""),
        (replace(FINE, verified={"a": NOW, "b": NOW - 2.05 * HOUR}), ""),
        (replace(FINE, verified={"a": NOW, "b": NOW - 2.1 * HOUR}), "the last verified copy on n2 is of 2027-01-15 05:54:00 UTC"),
        (replace(FINE, verified={"a": NOW}), "n2 has no verified copy of b"),
        (replace(FINE, verified={}, committed=NOW - 200), ""),
        (replace(FINE, verified={}, committed=NOW - 200, alive=False), "n2 has no verified copy of a, b"),
        (replace(FINE, verified={}, committed=NOW - 200, last=Round(failures=3, error="no route")), "failed in a row: no route"),
        (replace(FINE, last=Round(failures=2, error="x")), ""),
        (replace(FINE, last=Round(failures=3, error="no route")), "3 rounds of copies failed in a row: no route"),
        (replace(FINE, minutes=None), "no copies are scheduled"),
        (replace(FINE, minutes=None, committed=NOW - 10), ""),
        (replace(FINE, volumes=()), ""),
        (replace(FINE, slave="", verified={}), ""),
        (replace(FINE, slave="", last=Round(failures=4, error="disk full")), "disk full"),
    ],
)
def test_what_needs_a_person(state: State, word: str) -> None:
    found = copies.judge(state, NOW)
    assert word in found
    assert bool(found) == bool(word)


def test_only_snapshots_that_we_know_count_as_verified() -> None:
    name = "a@2026-11-25T10:00:00.000001"
    said = {"a": {"snapshot": name, "bytes": 1}, "b": {"snapshot": "b@2026-11-25T10:00:00.000001"}}
    assert copies.verified(("a", "b", "c"), said, {"a": {name}, "b": set()}) == {"a": copies.taken_at(name)}


@pytest.mark.parametrize("said", [None, 3, [], {"a": 3}, {"a": {"snapshot": 3}}, {"a": {"snapshot": "a@soon"}}, {"a": {}}])
def test_what_a_person_broke_is_no_copy(said: object) -> None:
    assert copies.verified(("a",), said, {"a": {"a@soon"}}) == {}


def test_a_slave_has_all_or_later_ones() -> None:
    taken = {"a": "a@2026-11-25T10:00:00.000001", "b": "b@2026-11-25T10:00:00.000001"}
    said = {volume: {"snapshot": name} for volume, name in taken.items()}
    early, late = "b@2026-11-25T09:00:00.000001", "b@2026-11-25T11:00:00.000001"
    stock = {"a": [Held(taken["a"])], "b": [Held(late), Held(taken["b"]), Held(early)]}
    assert copies.arrived(said, taken, stock)
    assert copies.arrived({**said, "b": {"snapshot": early}}, taken, stock), "it came later, whatever clock its name is from"
    assert not copies.arrived({**said, "b": {"snapshot": late}}, taken, stock)
    assert not copies.arrived({"a": said["a"]}, taken, stock)


def test_the_newest_is_the_last_complete_one() -> None:
    stock = {"v": [Held("v@2"), Held("v@1"), Held("v@3", complete=False)], "w": [Held("w@2"), Held("w@4")]}
    assert copies.newest(stock, ["v"]) == {"v": "v@1"}
    assert copies.newest(stock, ["v", "w"]) == {"v": "v@2", "w": "w@2"}
    assert copies.newest(stock, ["v", "gone"]) == {"v": "v@1"}
    assert copies.newest({}, []) == {}


def test_the_timer_is_the_shortest_line() -> None:
    assert copies.minutes_of([{"replicate:10.0.0.2": 60, "purge:1h:1d": 1440}, {"snapshot": 5}, {}]) == 5
    assert copies.minutes_of([{"purge:1h:1d": 1440}]) is None


def test_a_round_is_read_again_and_stays_small() -> None:
    last = Round("2026-11-25T10:00:00.000001", 5.0, 1.5, 3, "x" * 5000, down=True)
    value = copies.round_value(last)
    assert copies.read_round(value) == replace(last, error="x" * 300)
    assert copies.read_round({"other": 1}) == copies.read_round(None) == Round()


def test_a_node_s_value_stays_below_half_a_megabyte() -> None:
    volume = "a-rather-long-name-of-a-repository-with-a-branch-1a2b3_database"
    one = {volume + str(n): {"snapshot": f"{volume}{n}@2026-11-25T10:00:00.000001", "bytes": 10**12} for n in range(2)}
    last = copies.round_value(Round("2026-11-25T10:00:00.000001", NOW, 12.5, 0, ""))
    apps = {f"a-rather-long-name-of-a-repository_branch.{n:05x}": n for n in range(500)}
    value = record.dumps({"copies": dict.fromkeys(apps, one), "rounds": dict.fromkeys(apps, last)})
    assert len(value) < 512 * 1024


def test_limits_fit_together() -> None:
    assert limits.HOOKS + limits.THAW < limits.BEGIN
