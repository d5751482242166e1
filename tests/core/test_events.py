import base64
import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handler.core import events
from handler.core.events import EventError, Message
from handler.core.model import Kind

GOOD = {"repo": "https://git.example.com/hosting/foobar", "branch": "main", "master": "node1", "slave": "node2"}


def raw(payload: object, name: str = "deploy", event_id: str = "e1") -> dict:
    encoded = (
        None if payload is None else base64.b64encode(payload if isinstance(payload, bytes) else json.dumps(payload).encode()).decode()
    )
    return {"ID": event_id, "Name": name, "Payload": encoded, "LTime": 3}


def parse(payload: object, name: str = "deploy"):
    return events.parse(events.messages(json.dumps([raw(payload, name)]))[0])


def test_the_seed_s_event_is_understood() -> None:
    event = parse({"master": "node1", "slave": "node2", "branch": "master", "repo": "ssh://git@gitlab.example.com/hosting/foobar"})
    assert (event.kind, event.master, event.slave, event.branch) == (Kind.DEPLOY, "node1", "node2", "master")
    assert event.app == "foobar_master.ddb14"
    assert parse({"master": "localhost.localdomain", "branch": "master", "repo": GOOD["repo"]}).slave == ""


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (None, "empty"),
        (b"", "empty"),
        (b"{no json", "not JSON"),
        (b"\xff\xfe", "not JSON"),
        ([1], "JSON object"),
        ({**GOOD, "color": 1}, "unknown key color"),
        ({"repo": GOOD["repo"], "branch": "x"}, "needs master"),
        ({**GOOD, "master": ""}, "master is empty"),
        ({**GOOD, "slave": "node1"}, "both node1"),
        ({**GOOD, "master": "-node"}, "not the name of a node"),
        ({**GOOD, "master": ["node1"]}, "master must be a string"),
        ({**GOOD, "branch": ""}, "branch is empty"),
        ({**GOOD, "branch": "--upload-pack=x"}, "not a branch"),
        ({**GOOD, "branch": "../x"}, "not a branch"),
        ({**GOOD, "branch": "a b"}, "not a branch"),
        ({**GOOD, "branch": "a\nb"}, "not a branch"),
        ({**GOOD, "branch": "x.lock"}, "not a branch"),
        ({**GOOD, "repo": ""}, "repo is empty"),
        ({**GOOD, "repo": "file:///etc"}, "is refused"),
        ({**GOOD, "repo": "/etc"}, "is refused"),
        ({**GOOD, "repo": "ext::sh -c x"}, "is refused"),
        ({**GOOD, "repo": "--upload-pack=x"}, "is refused"),
        ({**GOOD, "repo": "https://host/a/../../b"}, "no usable path"),
        ({**GOOD, "repo": "https://a[b/x"}, "is no url"),
        ({**GOOD, "repo": "https://host/.github"}, "cannot be a folder's"),
        ({**GOOD, "repo": "https://host/a..b"}, "cannot be a folder's"),
        ({**GOOD, "repo": "https://host/-foo"}, "cannot be a folder's"),
        ({**GOOD, "repo": "https://host/" + "x" * 195}, "cannot be a folder's"),
        ({**GOOD, "repo": "https://host/\ud800"}, "surrogate"),
        ({**GOOD, "\ud800": 1}, "surrogate"),
        ({**GOOD, "update": "yes"}, "update must be"),
        ({**GOOD, "repo": "https://host/" + "x" * 300}, "bytes"),
    ],
)
def test_bad_input_is_refused_by_its_reason(payload: object, reason: str) -> None:
    with pytest.raises(EventError, match=reason):
        parse(payload)


def test_one_bad_event_does_not_hide_the_others() -> None:
    found = events.messages(json.dumps([raw(None, event_id="a"), raw(GOOD, event_id="b"), raw({}, name="somebody-elses"), "junk"]))
    assert [message.id for message in found] == ["a", "b"]


@pytest.mark.parametrize("text", ["", "null", "[]"])
def test_an_empty_list_is_no_error(text: str) -> None:
    assert events.messages(text) == ()


@pytest.mark.parametrize("text", ["{}", "3", "[", "no"])
def test_what_consul_never_writes_is_named(text: str) -> None:
    with pytest.raises(EventError, match="consul watch"):
        events.messages(text)


@given(
    st.recursive(st.none() | st.booleans() | st.text() | st.integers(), lambda c: st.lists(c) | st.dictionaries(st.text(), c), max_leaves=8)
)
def test_no_payload_raises_anything_but_an_event_error(payload: object) -> None:
    with suppress(EventError):
        events.parse(Message("e", "deploy", json.dumps(payload)))


URLS = st.from_regex(r"(https|ssh|git)://[A-Za-z0-9][^\s\x00-\x1f]{0,20}/[^\s\x00-\x1f]{1,20}", fullmatch=True)
TEXTS = st.text(st.characters(exclude_categories=[])) | URLS | st.sampled_from(["main", "node1", GOOD["repo"], "2026-11-25T09:30"])


@given(st.sampled_from([*Kind, "dance"]), st.text(st.characters(exclude_categories=[])))
def test_no_text_raises_anything_but_an_event_error(kind: str, text: str) -> None:
    with suppress(EventError):
        events.parse(Message("e", kind, text))


@given(st.sampled_from(Kind), st.data())
def test_no_values_of_the_right_keys_raise_anything_but_an_event_error(kind: Kind, data: st.DataObject) -> None:
    rule = events.RULES[kind]
    values = {key: data.draw(TEXTS | st.booleans() | st.integers()) for key in sorted(rule.required)}
    if "target" in values:
        values["target"] = data.draw(st.dictionaries(st.sampled_from(["repo", "branch"]), TEXTS))
    with suppress(EventError):
        event = events.parse(Message("e", kind, json.dumps(values)))
        assert event.app.encode()


def test_unknown_nodes_are_named_with_the_known_ones() -> None:
    with pytest.raises(EventError, match="slave node2 is not a node of this cluster; known: node1, node3"):
        events.check_nodes(parse(GOOD), {"node1", "node3"})


def test_secrets_are_hidden() -> None:
    for text in ("https://user:secret@host/x", "https://user:se@cret@host/x", r'{"repo":"https:\/\/user:secret@host\/x"}'):
        assert "cret" not in events.hide_secret(text)
    assert events.hide_secret('{"repo": "https://host/x", "branch": "a@b"}') == '{"repo": "https://host/x", "branch": "a@b"}'
    with pytest.raises(EventError) as caught:
        events.check_repo("ftp://user:secret@host/x")
    assert "secret" not in str(caught.value)


APP = {"repo": "https://git.example.com/hosting/shop", "branch": "main"}


def test_rollback_takeover_and_migrate_are_understood() -> None:
    assert parse({**APP, "to": "20261125093000-1a2b"}, "rollback").to == "20261125093000-1a2b"
    assert parse({**APP, "to": "2026-11-25T09:30"}, "rollback").to == "2026-11-25T09:30"
    assert parse({**APP, "to": "2026-11-25 09:30:00 UTC"}, "rollback").to == "2026-11-25T09:30:00"
    assert parse({**APP, "to": "2026-11-25T09:30Z"}, "rollback").to == "2026-11-25T09:30"
    assert (parse({**APP, "master": "node2"}, "takeover").force, parse({**APP, "master": "node2", "force": True}, "takeover").force) == (
        False,
        True,
    )
    event = parse({**APP, "target": {"branch": "staging"}}, "migrate")
    assert (event.app, event.repo, event.branch) == ("shop_staging.ff9ce", APP["repo"], "staging")
    assert (event.origin_repo, event.origin_branch) == (APP["repo"], "main")
    assert event.update
    assert not parse({**APP, "target": {"branch": "staging"}, "update": False}, "migrate").update


@pytest.mark.parametrize(
    ("kind", "payload", "reason"),
    [
        ("rollback", APP, "needs to"),
        ("rollback", {**APP, "to": ""}, "to is empty"),
        ("rollback", {**APP, "to": "yesterday"}, "neither a deploy id"),
        ("rollback", {**APP, "to": "../../etc"}, "neither a deploy id"),
        ("rollback", {**APP, "to": "-20261125093000-1a2b"}, "neither a deploy id"),
        ("rollback", {**APP, "to": 5}, "must be a string"),
        ("takeover", APP, "needs master"),
        ("takeover", {**APP, "master": ""}, "master is empty"),
        ("takeover", {**APP, "master": "node2", "force": "yes"}, "force must be"),
        ("takeover", {**APP, "master": "node2", "slave": "node3"}, "unknown key slave"),
        ("migrate", APP, "needs target"),
        ("migrate", {**APP, "target": "staging"}, "must be an object"),
        ("migrate", {**APP, "target": {}}, "must be an object"),
        ("migrate", {**APP, "target": {"branch": "main"}}, "itself"),
        ("migrate", {**APP, "target": {"branch": "x", "color": 1}}, "must be an object"),
        ("migrate", {**APP, "target": {"repo": "file:///etc"}}, "is refused"),
        ("migrate", {**APP, "target": {"branch": "--x"}}, "not a branch"),
        ("migrate", {**APP, "target": {"repo": "https://host/.github"}}, "cannot be a folder's"),
        ("migrate", {**APP, "repo": "https://host/.github", "target": {"repo": APP["repo"]}}, "cannot be a folder's"),
    ],
)
def test_bad_ones_are_refused_with_the_reason(kind: str, payload: dict, reason: str) -> None:
    with pytest.raises(EventError, match=reason):
        parse(payload, kind)
