"""Crashes in the middle, and power loss: the app is served by one node, with its data, and every operation has its outcome."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest
import state
from conftest import App, Lab, eventually, lasts

from clusterlab import apps, cluster
from clusterlab.node import Node
from clusterlab.run import wait_until
from clusterlab.writer import Writer, complaint, writing
from handler.core import names

pytestmark = pytest.mark.lab


def settled(lab: Lab, app: App) -> None:
    """One copy runs, where the record says; nothing is held; the data is there."""
    record = app.record()
    master, slave = record["master"], record["slave"]
    peer = lab.node(slave).address if slave else ""
    eventually("master", lambda: state.complaint(lab.node(master), app, "master", peer), 150)
    for node in cluster.running():
        if node.name != master:
            eventually("one copy", lambda node=node: state.observed(node, app)["containers"])
    eventually("no hold", lambda: apps.kv(cluster.running()[0], names.hold_key(app.app)))
    eventually("served", lambda: app.ask("node3")[0] != 200)
    assert app.read("node3") == app.lines


@pytest.mark.faults
@pytest.mark.parametrize(("victim", "part"), [("node1", "prepared"), ("node2", "released")], ids=["source", "target"])
def test_a_worker_killed_in_the_middle_of_a_move(lab: Lab, victim: str, part: str) -> None:
    """It is started again by Docker's restart policy; kills at every step are in test_crash_points.py."""
    app = lab.app("killed")
    assert app.deploy("node1", "node2")["outcome"] == "committed"
    app.write("precious")
    eventually("slave ready", lambda: state.complaint(lab.node("node2"), app, "slave"))
    app.send(master="node2", slave="node1")
    key = names.op_key(app.app, app.event, part)
    wait_until(part, lambda: apps.kv(lab.node("node3"), key), 60, 0.01)
    lab.node(victim).inside(["pkill", "-9", "-f", "handler work"])
    assert app.outcome(180)["outcome"] in ("committed", "aborted")
    settled(lab, app)
    assert app.deploy("node2", "node1")["outcome"] == "committed"
    settled(lab, app)


def test_a_master_that_lost_power_serves_again_when_it_is_back(lab: Lab) -> None:
    app = lab.app("power")
    assert app.deploy("node1", "node2")["outcome"] == "committed"
    app.write("precious")
    one = lab.node("node1")
    cluster.kill(one)
    for other in ("node2", "node3"):
        cluster.cut(lab.node(other), [one.address])
    try:
        cluster.start(one)
        state.watch_starts(one)
        eventually("the cluster's own services", lambda: "cluster" not in state.started(one))
        lasts(10.0)
        assert app.project not in state.started(one), "Consul could not say yet who the master is"
    finally:
        for other in ("node2", "node3"):
            cluster.heal(lab.node(other), [one.address])
    eventually("served again", lambda: app.ask("node3")[0] != 200, 120)
    settled(lab, app)


@pytest.mark.faults
def test_while_a_node_boots_no_request_reaches_another_app(lab: Lab) -> None:
    """dockerd tries to start all that ran, and fails; addresses go from one container to the next within moments."""
    node = lab.node("node1")
    some = [lab.app("booting") for _ in range(6)]
    with ThreadPoolExecutor() as pool:
        assert {outcome["outcome"] for outcome in pool.map(lambda app: app.deploy("node1"), some)} == {"committed"}
    writers = {app.app: [Writer(lab.node(name).address, app.domain, app.name + name) for name in ("node1", "node3")] for app in some}
    with ExitStack() as stack:
        for writer in (writer for both in writers.values() for writer in both):
            stack.enter_context(writing(writer))
        cluster.kill(node)
        cluster.start(node)
        failed = failed_starts(node)
        for app in some:
            eventually("served again", lambda app=app: app.ask("node3")[0] != 200, 120)
    for app in some:
        one = writers[app.app][0]
        assert complaint(writers[app.app], lambda one=one: one.ask("/data")) == ""
    told, begun = (times(node, name) for name in ("docker-is-done", "admin.sock"))
    assert max(failed) < min(told), "the worker spoke before dockerd was done"
    assert max(told) < min(begun), "proxies did not wait for the worker"


def failed_starts(node: Node) -> list[float]:
    """When containers lost their addresses again, since dockerd was started."""
    wanted = ["--filter", "type=network", "--filter", "event=disconnect", "--format", "{{.TimeNano}}"]
    lines = node.inside(["docker", "events", "--since", "10m", "--until", "0s", *wanted]).stdout.split()
    assert lines, "nothing failed to start: this test sees nothing"
    return [int(nanoseconds) / 1e9 for nanoseconds in lines]


def times(node: Node, name: str) -> list[float]:
    """When a file of each proxy was made."""
    paths = [f"/run/cluster/{proxy}/{name}" for proxy in ("haproxy", "caddy")]
    return [float(time) for time in node.inside(["stat", "-c", "%.Y", *paths]).stdout.split()]


def test_a_slave_that_is_down_does_not_fail_a_deploy(lab: Lab) -> None:
    app = lab.app("lonely")
    assert app.deploy("node1", "node2")["outcome"] == "committed"
    app.write("precious")
    cluster.kill(lab.node("node2"))
    try:
        wait_until("node2 is seen as gone", lambda: "node2" in cluster.gone(lab.node("node1")), 60)
        app.send(master="node1", slave="node2")
        assert app.outcome()["outcome"] == "committed"
        assert app.read("node3") == ["precious"]
        eventually("history", lambda: app.history().get("copy", True) is not False)
    finally:
        cluster.start(lab.node("node2"))
    wait_until("node2 is back", lambda: "node2" not in cluster.gone(lab.node("node1")), 90)


@pytest.mark.faults
def test_when_a_node_is_back_the_next_one_may_fail_at_once(lab: Lab) -> None:
    """The one that was away has its vote: two of three are a quorum, whichever one is Consul's leader."""
    leader = cluster.consul_leader(lab.nodes)
    witness, away = (node for node in lab.nodes if node != leader)
    cluster.kill(away)
    wait_until("seen as gone", lambda: away.name in cluster.gone(witness), 60)
    lasts(12.0)  # Consul looks for votes of the dead each 10 s
    cluster.start(away)
    wait_until("back", lambda: away.name not in cluster.gone(witness), 60)
    cluster.kill(leader)
    try:
        wait_until("the other two have a leader", lambda: cluster.consul_leader([witness]) not in (None, leader), 30)
    finally:
        cluster.start(leader)
        wait_until("back", lambda: leader.name not in cluster.gone(witness), 90)
