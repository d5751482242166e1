"""The acceptance matrix: every role transition, with everything checked on every node and the data read through another node."""

import pytest
import state
from conftest import App, Lab, eventually

pytestmark = pytest.mark.lab

NODES = ("node1", "node2", "node3")


def check(lab: Lab, app: App, master: str, slave: str, keeps_copy: str = "") -> None:
    """Roles, record and data are as they must be for this placement, on all three nodes."""
    record = app.record()
    assert (record["master"], record["slave"], record["ip"]) == (master, slave, lab.node(master).address)
    assert record["domains"] == [app.domain]
    assert record["repo_url"] == app.repo
    assert record["volumes"] == [app.volume]
    peer = lab.node(slave).address if slave else ""
    for name in NODES:
        role = "master" if name == master else "slave" if name == slave else "nothing"
        one = lab.node(name)
        eventually("roles", lambda one=one, role=role: state.complaint(one, app, role, peer, keeps_copy=one.name == keeps_copy))
        assert app.read(name) == app.lines
        assert app.ask(name, "/", tls=True)[0] == 200


def test_every_transition_leaves_every_node_as_its_role_says_with_the_data(lab: Lab) -> None:
    app = lab.app("matrix")

    # 1: nothing -> master, nothing -> slave, nothing -> nothing
    assert app.deploy("node1", "node2")["outcome"] == "committed"
    app.write("first")
    check(lab, app, "node1", "node2")

    # 2: slave -> master, master -> slave, nothing -> nothing
    assert app.deploy("node2", "node1")["outcome"] == "committed"
    app.write("after the swap")
    check(lab, app, "node2", "node1")

    # 3: master -> master, slave -> slave, nothing -> nothing
    before = app.record()["deploy_id"]
    assert app.deploy("node2", "node1")["outcome"] == "committed"
    assert app.record()["previous_deploy_id"] == before
    app.write("after the redeploy")
    check(lab, app, "node2", "node1")

    # 4: master -> nothing, slave -> nothing, nothing -> master; the former master keeps the only second copy
    assert app.deploy("node3")["outcome"] == "committed"
    app.write("on the third node")
    check(lab, app, "node3", "", keeps_copy="node2")

    # and the way back, to a node with an old copy and one without
    assert app.deploy("node1", "node2")["outcome"] == "committed"
    app.write("home again")
    check(lab, app, "node1", "node2")

    app.send("destroy")
    assert app.outcome()["outcome"] == "committed"
    assert app.record() == {}
    for name in NODES:
        one = lab.node(name)
        gone = {"checkouts": [], "containers": [], "volumes": [], "live": [], "schedules": {}, "service": {}, "token": False}
        eventually("destroyed", lambda one=one, gone=gone: [k for k, v in gone.items() if state.observed(one, app)[k] != v])
    assert state.observed(lab.node("node1"), app)["snapshots"], "the last snapshot of a destroyed app is kept"
    eventually("no route", lambda: app.ask("node3")[0] != 404)


def test_the_same_event_again_changes_nothing(lab: Lab) -> None:
    app = lab.app("again")
    assert app.deploy("node1", "node2")["outcome"] == "committed"
    deployed = app.record()["deploy_id"]
    eventually("slave ready", lambda: state.complaint(lab.node("node2"), app, "slave"))
    for name in NODES:  # a restarted watch replays all events that its agent knows
        lab.node(name).inside(["docker", "compose", "--project-directory", "/cluster", "restart", "events"])
    other = lab.app("other")
    assert other.deploy("node2")["outcome"] == "committed"  # by now the replay is through: events are taken in order
    assert app.record()["deploy_id"] == deployed


def test_compose_by_hand_works_in_the_deploy_folder(lab: Lab) -> None:
    app = lab.app("hand")
    assert app.deploy("node1")["outcome"] == "committed"
    folder = f"/deploy/{app.app}-{app.record()['deploy_id']}"
    listed = lab.node("node1").inside(["docker", "compose", "--project-directory", folder, "ps", "--format", "{{.Name}}"]).stdout
    assert listed.split() == [f"{app.project}-web-1"]
