"""Bad input: one clear reason in the history, nothing changed, the next event handled as usual."""

import json

import pytest
from conftest import Lab

from clusterlab import apps, cluster
from clusterlab.node import Node
from clusterlab.run import wait_until

pytestmark = pytest.mark.lab

GOOD = {"repo": "git://git.lab/some", "branch": "main", "master": "node1", "slave": "node2"}
REFUSED = {
    "not JSON": ("{repo: x", "not JSON"),
    "null payload": (None, "empty"),
    "no object": ("[1]", "JSON object"),
    "unknown key": (json.dumps({**GOOD, "color": "blue"}), "unknown key color"),
    "missing key": (json.dumps({"repo": GOOD["repo"], "branch": "main"}), "needs master"),
    "unknown node": (json.dumps({**GOOD, "master": "node9"}), "node9 is not a node"),
    "master = slave": (json.dumps({**GOOD, "slave": "node1"}), "both node1"),
    "empty branch": (json.dumps({**GOOD, "branch": ""}), "branch is empty"),
    "branch as option": (json.dumps({**GOOD, "branch": "--upload-pack=x"}), "not a branch"),
    "branch as path": (json.dumps({**GOOD, "branch": "../x"}), "not a branch"),
    "local repository": (json.dumps({**GOOD, "repo": "file:///etc"}), "is refused"),
}


def logged(node: Node, *words: str) -> list[str]:
    """The lines with all `words` in the worker's log."""
    logs = node.inside(["docker", "compose", "--project-directory", "/cluster", "logs", "--no-log-prefix", "worker"]).stdout
    return [line for line in logs.splitlines() if all(word in line for word in words)]


@pytest.mark.parametrize("name", REFUSED)
def test_a_bad_event_is_refused_with_its_reason(lab: Lab, name: str) -> None:
    payload, reason = REFUSED[name]
    node = cluster.running()[0]
    event = lab.event("deploy", payload)
    found = wait_until("refusal", lambda: apps.kv(node, f"history/refused/{event}"), 30, 0.1)
    assert found["outcome"] == "refused"
    assert reason in found["why"]
    # Docker hands the log over a moment after the worker wrote it.
    lines = wait_until("line in the log", lambda: logged(lab.node("node1"), event, reason), 30, 0.5)
    assert len(lines) == 1


def test_a_bad_repository_ends_in_an_abort_and_the_next_event_is_handled(lab: Lab) -> None:
    app = lab.app("bad")
    missing = lab.app("missing")
    missing.repo = missing.repo + "-not-there"
    assert "git cannot clone" in missing.deploy("node1", "node2")["why"]

    app.publish(**{"docker-compose__yml": "services: [this is no compose file"})
    assert "docker compose" in app.deploy("node1", "node2")["why"]

    app.publish(**{"docker-compose__yml": "services:\n  web:\n    image: debian:trixie-slim\n    volumes: ['nowhere:/data']\n"})
    assert "nowhere" in app.deploy("node1", "node2")["why"]
    assert app.record() == {}
    assert "nowhere" in app.history()["why"]

    app.publish()
    assert app.deploy("node1", "node2")["outcome"] == "committed"


def test_a_domain_of_another_app_is_refused_before_anything_changes(lab: Lab) -> None:
    one, two = lab.app("owner"), lab.app("thief")
    assert one.deploy("node1")["outcome"] == "committed"
    compose = (two.folder / "docker-compose.yml").read_text().replace(two.domain, one.domain)
    two.publish(**{"docker-compose__yml": compose})
    assert f"belongs to {one.app}" in two.deploy("node2")["why"]
    assert one.ask("node2")[0] == 200
