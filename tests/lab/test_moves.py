"""What users see of a move, and what a node that missed the message does."""

from contextlib import ExitStack

import pytest
import state
from conftest import Lab, eventually

from clusterlab.visitor import asking

pytestmark = pytest.mark.lab


def compose(lab: Lab, node: str, *argv: str) -> str:
    return lab.node(node).inside(["docker", "compose", "--project-directory", "/cluster", *argv]).stdout


def test_nobody_sees_an_error_while_an_app_is_moved_back_and_redeployed(lab: Lab) -> None:
    """With TLS or without."""
    app, through = lab.app("smooth"), lab.node("node3").address
    assert app.deploy("node1", "node2")["outcome"] == "committed"
    for place in (("node2", "node1"), ("node1", "node2"), ("node1", "node2")):
        with ExitStack() as stack:
            visitors = [stack.enter_context(asking(through, app.domain, at_once=2, tls=tls)) for tls in (False, True)]
            assert app.deploy(*place)["outcome"] == "committed"
        for seen in visitors:
            assert len(seen.answers) > 20
            assert seen.failed == []


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
