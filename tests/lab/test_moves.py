"""What users see of a move, and what a node that missed the message does."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest
import state
from conftest import HEALTH_INTERVAL, App, Lab, eventually

from clusterlab.visitor import Seen, asking

pytestmark = pytest.mark.lab


WAYS = tuple((tls, keep) for tls in (False, True) for keep in (False, True))
"""With TLS or without, each request on a new connection or all on one."""


@contextmanager
def visitors(lab: Lab, app: App, through: str) -> Iterator[list[Seen]]:
    """Two of each kind, who ask through that node."""
    with ExitStack() as stack:
        yield [stack.enter_context(asking(lab.node(through).address, app.domain, at_once=2, tls=tls, keep=keep)) for tls, keep in WAYS]


def compose(lab: Lab, node: str, *argv: str) -> str:
    return lab.node(node).inside(["docker", "compose", "--project-directory", "/cluster", *argv]).stdout


def test_nobody_sees_an_error_while_an_app_is_moved_back_and_redeployed(lab: Lab) -> None:
    app = lab.app("smooth")
    assert app.deploy("node1", "node2")["outcome"] == "committed"
    for place, through in ((("node2", "node1"), "node3"), (("node1", "node2"), "node2"), (("node1", "node2"), "node1")):
        with visitors(lab, app, through) as seen:
            assert app.deploy(*place)["outcome"] == "committed"
        assert [len(one.answers) > 20 for one in seen] == [True] * len(WAYS)
        assert [one.failed for one in seen] == [[]] * len(WAYS)


def test_a_version_on_trial_answers_nobody(lab: Lab) -> None:
    """What it acknowledged would be lost when it is taken back."""
    app = lab.app("trial")
    assert app.deploy("node1", "node2")["outcome"] == "committed"
    publish_unhealthy(app, 2)
    for master in ("node1", "node2"):
        with visitors(lab, app, "node3") as seen:
            app.send(master=master, slave="node2" if master == "node1" else "node1")
            assert "did not become healthy" in app.outcome()["why"]
        for one in seen:
            assert {text.partition(" on ")[0] for *_, text in one.answers} == {"hello, version 1"}


def publish_unhealthy(app: App, seconds: int) -> None:
    """Version 2, which serves for as long and then is said to be unhealthy."""
    text = (app.folder / "docker-compose.yml").read_text()
    for old, new in (
        ("exit !IO", "exit 1; IO"),
        ("start_period: 10s", f"start_period: {seconds}s"),
        ("timeout: 2s", "timeout: 2s\n      retries: 1"),
    ):
        assert old in text
        text = text.replace(old, new)
    app.publish(VERSION="2", **{"docker-compose__yml": text.replace(HEALTH_INTERVAL, "1s")})


def test_a_version_on_trial_answers_nobody_while_consul_template_does_not_run(lab: Lab) -> None:
    """The worker's own hold has to last, since nobody renders the one in Consul."""
    app = lab.app("unseen")
    assert app.deploy("node1", "node2")["outcome"] == "committed"
    publish_unhealthy(app, 8)
    compose(lab, "node1", "stop", "consul-template")
    try:
        with visitors(lab, app, "node3") as seen:
            app.send(master="node1", slave="node2")
            assert "did not become healthy" in app.outcome()["why"]
            compose(lab, "node1", "start", "consul-template")
    finally:
        compose(lab, "node1", "start", "consul-template")
    for one in seen:
        assert one.answers
        assert not [text for *_, text in one.answers if "version 2" in text]


def test_a_node_that_missed_the_message_learns_from_the_intent(lab: Lab) -> None:
    app = lab.app("missed")
    compose(lab, "node2", "stop", "events")
    try:
        assert app.deploy("node2", "node1")["outcome"] == "committed"
    finally:
        compose(lab, "node2", "start", "events")
    eventually("roles", lambda: state.complaint(lab.node("node2"), app, "master", lab.node("node1").address))


def test_two_messages_at_once_from_two_nodes_end_with_the_app_in_one_place(lab: Lab) -> None:
    app = lab.app("cross")
    assert app.deploy("node1")["outcome"] == "committed"
    app.write("kept")
    events = [app.send(source=source, master=master, slave="node1") for source, master in (("node2", "node2"), ("node3", "node3"))]
    for event in events:
        app.event = event
        app.outcome()
    master = app.record()["master"]
    assert master in ("node2", "node3")
    eventually("roles", lambda: state.complaint(lab.node(master), app, "master", lab.node("node1").address))
    running = [node.name for node in lab.nodes if state.observed(node, app)["containers"]]
    assert running == [master]
    assert app.read("node1") == ["kept"]
