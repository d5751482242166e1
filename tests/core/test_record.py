import base64
import json

import pytest
from builders import event, operation
from hypothesis import given
from hypothesis import strategies as st

from handler.core import record
from handler.core.model import AppSpec, Placement, Role


def test_operations_and_intents_survive_the_way_through_consul() -> None:
    op = operation(("a", "b"), ("b", "c"))
    assert record.read_operation(record.operation(op)) == op
    assert record.read_intent(record.intent(event("a", "b", update=True), ["x"])) == (event("a", "b", update=True), ["x"])


@given(st.dictionaries(st.text(), st.none() | st.text() | st.lists(st.integers()) | st.dictionaries(st.text(), st.text())))
def test_a_value_is_json_with_a_line_for_each_key_whatever_is_in_it(value: dict[str, object]) -> None:
    text = record.dumps(value)
    assert json.loads(text) == value
    assert len(text.split("\n")) == (len(value) + 2 if value else 1)


@given(st.text())
def test_whatever_a_person_writes_is_read_without_an_error(text: str) -> None:
    assert isinstance(record.loads(text), dict)
    record.read_intent(text)
    record.placement(record.loads(text))


@pytest.mark.parametrize("seen", [None, 7, "e1", {"e1": 1}])
def test_a_broken_list_of_ids_is_none(seen: object) -> None:
    value = {**record.loads(record.intent(event("a", "b"), [])), "seen": seen}
    assert record.read_intent(json.dumps(value)) == (event("a", "b"), [])


@pytest.mark.parametrize("key", ["id", "app", "master", "to"])
def test_an_intent_with_a_value_of_another_type_is_no_event(key: str) -> None:
    value = {**record.loads(record.intent(event("a", "b"), ["x"])), key: 7}
    assert record.read_intent(json.dumps(value)) == (None, ["x"])


@pytest.mark.parametrize("text", ["", "[1]", "{broken", '{"id": 3}', '{"kind": "dance"}'])
def test_a_broken_intent_is_no_event(text: str) -> None:
    assert record.read_intent(text)[0] is None


def test_the_record_has_the_seed_s_keys() -> None:
    seed = {
        "haproxy",
        "caddyfile",
        "repo_url",
        "branch",
        "deploy_date",
        "deploy_id",
        "previous_deploy_id",
        "domains",
        "urls",
        "ip",
        "master",
        "slave",
        "ct",
        "volumes",
    }
    assert seed <= record.app_record(operation(), AppSpec(()), "c0ffee", "today", {}).keys()


def test_roles() -> None:
    place = Placement("a", "b")
    assert [place.role(node) for node in ("a", "b", "c", "")] == [Role.MASTER, Role.SLAVE, Role.NOTHING, Role.NOTHING]


def large(size: int) -> dict[str, object]:
    return {"caddyfile": "x" * size, "ct": "a", "haproxy": {"y" * 2000: 1}}


def test_a_record_that_consul_would_not_take_is_refused_by_its_size_and_its_largest_parts() -> None:
    why = record.too_large(large(300 * 1024))
    assert why.startswith("the app's record would have ")
    assert "caddyfile 300 KiB, haproxy 1 KiB" in why


@given(st.integers(0, 300_000))
def test_the_record_is_counted_twice_and_in_base64_as_the_commit_writes_it(size: int) -> None:
    value = large(size)
    values = [record.dumps(value), record.dumps({"record": value})]
    body = json.dumps([base64.b64encode(text.encode()).decode() for text in values])
    assert bool(record.too_large(value)) == (len(body) + record.SPARE > record.MOST_BYTES)
