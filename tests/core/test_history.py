"""What the history says of an app's data."""

from dataclasses import replace

import pytest
from builders import operation, rollback, takeover

from handler.core import history

T1, T2 = "2026-11-25T09:00:00.000001", "2026-11-25T09:30:10.000002"
TAKEN = replace(takeover(("a", "b"), "b"), started="2026-11-25T10:00:00+00:00")


def test_a_takeover_names_the_one_time_of_its_copy() -> None:
    said = history.data(replace(TAKEN, restore=(("v_data", f"v_data@{T1}"), ("v_db", f"v_db@{T1}"))))
    assert said.startswith(f"the copy of {T1}, 60 min old; what was written on a after it is not in it; ")
    assert said.endswith("a may have served as well for a time, if it was only cut off")


def test_a_forced_takeover_is_named_as_that() -> None:
    forced = replace(TAKEN, event=replace(TAKEN.event, force=True))
    assert history.data(forced).endswith("a may have served as well for a time, because this was forced")


@pytest.mark.parametrize("op", [TAKEN, rollback(("a", ""), code=False)], ids=["takeover", "rollback"])
def test_volumes_of_different_times_are_told(op) -> None:
    mixed = history.data(replace(op, restore=(("v_data", f"v_data@{T2}"), ("v_db", f"v_db@{T1}"))))
    assert f"not one point: v_data of {T2}, v_db of {T1}" in mixed
    one = history.data(replace(op, restore=(("v_data", f"v_data@{T2}"), ("v_db", f"v_db@{T2}"))))
    assert "not one point" not in one


def test_the_history_has_no_password() -> None:
    op = operation()
    op = replace(op, event=replace(op.event, repo="https://oauth2:secret@git.example.com/x"))
    assert history.entry(op, "a", {}, None, [], "")["repo"] == "https://***@git.example.com/x"
