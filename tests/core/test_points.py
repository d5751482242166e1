"""Which snapshots a rollback or a takeover starts from."""

import pytest

from handler.core import points
from handler.core.rollback import Ended, UnknownDeployError, to_deploy

T1, T2, T3 = "2026-11-25T09:00:00.000001", "2026-11-25T09:30:10.5", "2026-11-25T09:31:00"


def named(volume: str, *times: str) -> list[str]:
    return [f"{volume}@{time}" for time in times]


def test_the_newest_point_that_all_volumes_share_wins_over_newer_single_snapshots() -> None:
    assert points.newest({"a": named("a", T1, T2), "b": named("b", T1, T3)}) == {"a": f"a@{T1}", "b": f"b@{T1}"}


def test_volumes_that_share_no_point_give_their_newest() -> None:
    assert points.newest({"a": named("a", T1, T2), "b": named("b", T3)}) == {"a": f"a@{T2}", "b": f"b@{T3}"}


def test_the_order_of_arrival_decides_not_the_clock_of_the_node_that_named_them() -> None:
    assert points.newest({"a": named("a", T3, T1), "b": named("b", T3, T1)}) == {"a": f"a@{T1}", "b": f"b@{T1}"}
    assert points.shared({"a": named("a", T3, T1), "b": named("b", T2, T3, T1)}) == [T1, T3]


def test_a_volume_without_a_snapshot_is_left_out() -> None:
    assert points.newest({"a": named("a", T1), "b": []}) == {"a": f"a@{T1}"}
    assert points.newest({}) == {}


@pytest.mark.parametrize(
    ("until", "time"), [("", T3), (T2, T2), ("2026-11-25T09:30", T2), ("2026-11-25T09:30:09", T1), ("2026-11-25T09:31", T3)]
)
def test_a_time_stands_for_all_that_begin_with_it(until: str, time: str) -> None:
    assert points.newest({"a": named("a", T1, T2, T3)}, until) == {"a": f"a@{time}"}


@pytest.mark.parametrize(("text", "good"), [("2026-11-25T09:30", True), (T1, True), ("2026-11-25", False), ("20261125093000-1a2b", False)])
def test_times_are_told_from_deploy_ids(text: str, good: bool) -> None:
    assert points.is_time(text) is good


def ended(deploy: str, replaced: str, *, committed: bool = True) -> Ended:
    return Ended(committed, deploy, replaced, f"commit of {deploy}", {"v": f"v@end of {replaced}"})


def test_a_deploy_comes_back_with_its_own_commit_and_its_last_data() -> None:
    # d1, then d2, a failed d3, other data in d2, then d4
    known = [ended("d1", ""), ended("d2", "d1"), ended("d3", "d2", committed=False), ended("d2", "d2"), ended("d4", "d2")]
    assert to_deploy(known, "d4", "d1").snapshots == {"v": "v@end of d1"}
    back = to_deploy(known, "d4", "d2")
    assert (back.commit, back.snapshots) == ("commit of d2", {"v": "v@end of d2"})


@pytest.mark.parametrize(("deploy", "reason"), [("d2", "in service"), ("d9", "there are: d1"), ("d3", "there are: d1")])
def test_only_deploys_that_were_in_service_can_come_back(deploy: str, reason: str) -> None:
    known = [ended("d1", ""), ended("d2", "d1"), ended("d3", "d2", committed=False)]
    with pytest.raises(UnknownDeployError, match=reason):
        to_deploy(known, "d2", deploy)


def test_the_exact_time_of_a_point_is_that_point_although_one_that_came_later_has_an_earlier_name() -> None:
    """A clock was behind."""
    held = {volume: [f"{volume}@2026-01-01T{time}:00.000000" for time in ("10:00", "11:00", "10:30")] for volume in ("a", "b")}
    assert points.newest(held, "2026-01-01T11:00:00.000000") == {volume: f"{volume}@2026-01-01T11:00:00.000000" for volume in ("a", "b")}
    assert points.newest(held, "2026-01-01T11:00") == {volume: f"{volume}@2026-01-01T10:30:00.000000" for volume in ("a", "b")}


def test_a_deploy_whose_last_data_was_not_all_there_does_not_come_back_with_a_part_of_it() -> None:
    """The volumes that have no snapshot would keep the data of another deploy."""
    begun = Ended(committed=True, deploy_id="d1", replaced="", commit="c", snapshots={}, volumes=("v", "w"))
    with pytest.raises(UnknownDeployError, match="no snapshot of w; .* give a time"):
        to_deploy([begun, ended("d2", "d1")], "d2", "d1")
