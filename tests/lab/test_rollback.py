"""Rollback on real nodes: code and data of an earlier deploy, data alone, back again; and what cannot be done changes nothing."""

import pytest
import state
from conftest import App, Lab, eventually

from clusterlab import apps
from clusterlab.run import PROJECT, wait_until
from handler.core import names

pytestmark = pytest.mark.lab


def version(app: App) -> str:
    return app.ask("node3")[1].split(",")[1].split()[1]


@pytest.fixture
def app(lab: Lab) -> App:
    """Version 1 with a line of data, replaced by version 2 with one more."""
    made = lab.app("back", VERSION="1\n")
    assert made.deploy("node1", "node2")["outcome"] == "committed"
    made.write("first")
    made.first = made.record()["deploy_id"]
    made.publish(VERSION="2\n")
    assert made.deploy("node1", "node2")["outcome"] == "committed"
    made.write("second")
    made.second = made.record()["deploy_id"]
    return made


def back(app: App, to: str) -> dict:
    app.send("rollback", to=to)
    return app.outcome()


def points(lab: Lab, app: App) -> str:
    command = ["docker", "compose", "--project-directory", "/cluster", "exec", "-T", "worker", "cluster", "points", app.app]
    return lab.node("node1").inside(command).stdout


def test_to_a_deploy_and_back_and_to_data_alone(lab: Lab, app: App) -> None:
    shown = points(lab, app)
    assert app.first in shown
    assert app.second in shown.splitlines()[0]
    assert back(app, app.first)["outcome"] == "committed"
    assert (version(app), app.read("node2")) == ("1", ["first"])
    assert app.record()["previous_deploy_id"] == app.second

    # a rollback can be rolled back: the state before it was kept
    assert back(app, app.second)["outcome"] == "committed"
    assert (version(app), app.read("node3")) == ("2", ["first", "second"])

    # data alone: the same deploy stays in service, and needs no repository
    sent = wait_until("a first copy is sent", lambda: apps.kv(lab.node("node1"), names.op_key(app.app, app.event, "sent")), 30)
    point = sent["snapshots"][app.volume].partition("@")[2]
    app.write("third")
    deploy = app.record()["deploy_id"]
    lab.git_cut("node1")
    try:
        assert back(app, point)["outcome"] == "committed"
    finally:
        lab.git_heal("node1")
    assert app.read("node1") == ["first", "second"]
    assert app.record()["deploy_id"] == deploy
    assert point in app.history()["data"]
    assert f"\n  {point}\n" in points(lab, app)

    # it can be rolled back, too: to the state that it found
    before = app.history()["state"]
    assert back(app, before)["outcome"] == "committed"
    assert app.read("node3") == ["first", "second", "third"]
    assert app.record()["deploy_id"] == deploy
    for node, role, peer in (("node1", "master", "node2"), ("node2", "slave", "")):
        address = lab.node(peer).address if peer else ""
        eventually("roles", lambda node=node, role=role, address=address: state.complaint(lab.node(node), app, role, address))


def test_what_cannot_be_done_says_why_and_changes_nothing(lab: Lab, app: App) -> None:
    before = app.record()
    for to, why in (
        ("20200101000000-abcd", app.first),  # names those that there are
        (app.second, "is in service"),
        ("2020-01-01T00:00", "there is no snapshot"),
    ):
        outcome = back(app, to)
        assert outcome["outcome"] == "aborted"
        assert why in outcome["why"]
    lab.git_cut("node1")
    try:
        assert "git cannot" in back(app, app.first)["why"]
    finally:
        lab.git_heal("node1")
    assert (version(app), app.read("node3"), app.record()) == ("2", ["first", "second"], before)


def test_an_earlier_version_that_does_not_become_healthy_any_more_is_taken_back(lab: Lab, app: App) -> None:
    """Version 3 refuses to start on data that has no second line: a rollback of the data alone to before it is not taken."""
    server = (PROJECT / "examples/hello/server").read_text()
    picky = "die 'the second line is missing' unless contents() =~ /second/; my $server ="
    app.publish(VERSION="3\n", server=server.replace("my $server =", picky))
    assert app.deploy("node1", "node2")["outcome"] == "committed"
    app.write("third")
    point = next(
        name.partition("@")[2]
        for name in state.observed(lab.node("node1"), app)["snapshots"]
        if "second" not in lab.node("node1").inside(["cat", f"/var/lib/buttervolume/snapshots/{name}/log"], check=False).stdout
    )
    outcome = back(app, point)
    assert outcome["outcome"] == "aborted"
    assert "did not become healthy" in outcome["why"]
    eventually("back in service", lambda: state.complaint(lab.node("node1"), app, "master", lab.node("node2").address))
    assert (version(app), app.read("node2")) == ("3", ["first", "second", "third"])
    assert "the second line is missing" in app.history()["tail"]
