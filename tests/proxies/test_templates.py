"""The templates of consul-template, rendered for real: whatever people write into Consul, each app only harms itself."""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from programs import need

from clusterlab.run import PROJECT
from handler.adapters.consul import Consul, ConsulStore
from handler.core import record, routes, sections
from handler.core.haproxy import HaproxyError
from handler.core.kv import DeleteTree
from handler.proxies import haproxy

pytestmark = pytest.mark.component

GOOD = {
    "caddyfile": "http://good.example.com {\n\trespond good\n}\n",
    "domains": ["good.example.com"],
    "haproxy": {},
    "master": "node1",
    "ip": "127.0.0.1",
    "event": "e1",
}
WEIRD = [
    "",
    "{",
    "[]",
    "[1, 2]",
    "3",
    '"text"',
    "null",
    "true",
    "{}",
    json.dumps({**GOOD, "domains": "good.example.com"}),
    json.dumps({**GOOD, "domains": {"a": 1}}),
    json.dumps({**GOOD, "domains": 7}),
    json.dumps({**GOOD, "domains": None}),
    json.dumps({**GOOD, "domains": [1, None, {"a": []}]}),
    json.dumps({**GOOD, "domains": ["a.example.com\n# app: good e1\nstolen.example.com"]}),
    json.dumps({**GOOD, "domains": ["# app: good"]}),
    json.dumps({**GOOD, "domains": ["weird.example.com"], "event": "e\n# app: good e9"}),
    json.dumps({**GOOD, "domains": ["weird.example.com"], "master": ["node1"]}),
    json.dumps({**GOOD, "domains": ["weird.example.com"], "master": "node1\n# app: good e9"}),
    json.dumps({**GOOD, "domains": ["weird.example.com"], "caddyfile": {"a": 1}}),
    json.dumps({**GOOD, "domains": ["weird.example.com"], "caddyfile": "# app: good\nhttp://x {\n}\n# app: good\n"}),
    json.dumps({**GOOD, "domains": ["weird.example.com"], "haproxy": "text"}),
    json.dumps({**GOOD, "domains": ["weird.example.com"], "haproxy": [{"a": '{{ key "x" }}'}]}),
    json.dumps({**GOOD, "domains": ["weird.example.com"], "mode": {"a": 1}}),
]
NAMES = ("domains.map", "hold.map", "haproxy.cfg", "Caddyfile")


@pytest.fixture
def store(consul: str) -> Iterator[ConsulStore]:
    found = ConsulStore(Consul(consul))
    yield found
    found.transact([DeleteTree(prefix) for prefix in ("app/", "swarm/", "maintenance/")])


def rendered(consul: str, folder: Path) -> dict[str, sections.Sections]:
    """What consul-template makes of the KV."""
    flags = [f"-template={PROJECT}/templates/{name}.ctmpl:{folder}/{name}" for name in NAMES]
    command = [need("consul-template"), "-once", f"-consul-addr={consul.removeprefix('http://')}", "-consul-retry-attempts=1", *flags]
    done = subprocess.run(command, env={**os.environ, "HOSTNAME": "node1"}, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return {name: sections.split((folder / name).read_text()) for name in NAMES}


@pytest.mark.parametrize("value", WEIRD)
def test_a_weird_value_hurts_nobody_else(consul: str, store: ConsulStore, tmp_path: Path, value: str) -> None:
    store.put("app/good", record.dumps(GOOD))
    store.put("app/weird", value)
    store.put("swarm/weird", value)
    store.put("maintenance/weird", value)
    found = rendered(consul, tmp_path)
    domains = found["domains.map"]
    live = sections.Sections("", {"good": "good.example.com node1"})
    bad = routes.refused(domains, live)
    assert "good" not in bad
    assert domains.words["good"] == "e1"
    assert sections.map_lines(domains.parts["good"]) == {"good.example.com": "node1"}
    kept = sections.with_last_good(domains, live, bad)
    assert all(app == "good" or "good.example.com" not in part for app, part in kept.parts.items())
    assert found["Caddyfile"].parts["good"] == GOOD["caddyfile"].strip()
    assert found["hold.map"].words == {"weird": "page"}
    assert found["haproxy.cfg"].words["good"] == "elsewhere"
    for app, part in found["haproxy.cfg"].parts.items():
        try:
            haproxy.assembled(sections.Sections("", {app: part}))
        except (ValueError, TypeError, AttributeError, HaproxyError):
            assert app != "good"


def test_holds_and_apps_elsewhere(consul: str, store: ConsulStore, tmp_path: Path) -> None:
    store.put("app/here", record.dumps(GOOD))
    store.put("app/there", record.dumps({**GOOD, "domains": ["there.example.com"], "master": "node2"}))
    store.put("maintenance/here", record.dumps({"mode": "hold", "event": "e2"}))
    for name, event in (("person", None), ("broken", 3), ("long", "e2 and\nmore")):
        store.put(f"maintenance/{name}", record.dumps({"mode": "hold", **({} if event is None else {"event": event})}))
    store.put("swarm/s", record.dumps({"domains": ["swarm.example.com"]}))
    found = rendered(consul, tmp_path)
    assert found["hold.map"].words == {"here": "hold:e2", "person": "hold:", "broken": "hold:3", "long": "hold:e2"}
    assert list(sections.present(found["Caddyfile"], sections.Sections("")).parts) == ["here"]
    assert sections.map_lines(found["domains.map"].parts["swarm/s"]) == {"swarm.example.com": "swarm_reverse"}
    assert "swarm_reverse:443 init-addr" not in found["haproxy.cfg"].header
    assert sections.map_lines(found["domains.map"].parts["there"]) == {"there.example.com": "node2"}
