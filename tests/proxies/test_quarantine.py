"""What nodes say in Consul about parts that they refuse, on a real Consul."""

from pathlib import Path

import pytest

from handler.adapters.consul import Consul, ConsulStore
from handler.core import record
from handler.proxies import quarantine
from handler.proxies.paths import Paths

pytestmark = pytest.mark.component
KEY = "quarantine/shop"


def report(folder: Path, monkeypatch: pytest.MonkeyPatch, node: str, part: str, bad: dict[str, str]) -> None:
    monkeypatch.setenv("CLUSTER_NODE", node)
    quarantine.report(Paths(folder / node, folder / node, node), part, bad, {"shop": "new"}, {"shop": "old"})


def test_each_node_and_part_lifts_its_own_only(consul: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONSUL_HTTP_ADDR", consul)
    store = ConsulStore(Consul(consul))
    for node, part in (("node1", "caddyfile"), ("node1", "haproxy"), ("node2", "caddyfile")):
        report(tmp_path, monkeypatch, node, part, {"shop": "wrong"})
    report(tmp_path, monkeypatch, "node1", "caddyfile", {})
    said = record.loads(store.get(KEY).value)
    assert {node: list(parts) for node, parts in said.items()} == {"node1": ["haproxy"], "node2": ["caddyfile"]}
    assert (said["node2"]["caddyfile"]["why"], said["node2"]["caddyfile"]["last_good"]) == ("wrong", "old")
    report(tmp_path, monkeypatch, "node1", "haproxy", {})
    report(tmp_path, monkeypatch, "node2", "caddyfile", {})
    assert store.get(KEY) is None


def test_what_another_node_has_written_meanwhile_is_not_deleted(consul: str) -> None:
    store = ConsulStore(Consul(consul))
    store.put(KEY, record.dumps({"node1": {}}))
    seen = store.get(KEY)
    store.put(KEY, record.dumps({"node1": {}, "node2": {"caddyfile": {}}}))
    assert not store.transact(quarantine._write(KEY, record.dumps({}), seen))
    assert "node2" in record.loads(store.get(KEY).value)
    assert not store.transact(quarantine._write(KEY, record.dumps({}), None))


def test_what_consul_could_not_be_told_is_told_later(consul: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = ConsulStore(Consul(consul))
    store.put(KEY, "{}")
    monkeypatch.setenv("CONSUL_HTTP_ADDR", "http://127.0.0.1:1")
    report(tmp_path, monkeypatch, "node3", "caddyfile", {"shop": "wrong"})
    monkeypatch.setenv("CONSUL_HTTP_ADDR", consul)
    quarantine.tell(Paths(tmp_path / "node3", tmp_path / "node3", "node3"))
    assert list(record.loads(store.get(KEY).value)) == ["node3"]
