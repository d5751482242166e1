import io
import json
import sys

import pytest

from handler import cli, spool
from handler.core.events import Message


@pytest.fixture
def receive(tmp_path, monkeypatch):
    monkeypatch.setenv("CLUSTER_STATE_DIR", str(tmp_path))
    monkeypatch.setenv("CLUSTER_RUN_DIR", str(tmp_path))

    def call(text: str) -> int:
        monkeypatch.setattr(sys, "argv", ["handler"])
        monkeypatch.setattr(sys, "stdin", io.StringIO(text))
        return cli.main()

    return call


@pytest.mark.parametrize("text", ["", "[]", "null", "{", '[{"ID": "../../x", "Name": "deploy"}]'])
def test_whatever_consul_hands_over_the_handler_ends_well_and_spools_nothing(receive, tmp_path, text: str) -> None:
    assert receive(text) == 0
    assert spool.waiting(tmp_path / "spool") == []


def test_a_replayed_event_is_spooled_once(receive, tmp_path) -> None:
    event = json.dumps([{"ID": "e1", "Name": "deploy", "Payload": None}])
    assert receive(event) == receive(event) == 0
    assert [message for _, message in spool.waiting(tmp_path / "spool")] == [Message("e1", "deploy", "")]


def test_a_broken_file_in_the_spool_is_put_aside(tmp_path) -> None:
    (tmp_path / "x.json").write_text("{")
    spool.put(tmp_path, Message("e1", "deploy", "{}"))
    assert [message.id for _, message in spool.waiting(tmp_path)] == ["e1"]
    assert [path.name for path in tmp_path.glob("*.bad")] == ["x.bad"]
