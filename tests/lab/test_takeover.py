"""Takeover on real nodes: the app runs from its newest copy; the dead master that comes back serves nothing and loses nothing."""

import re

import pytest
import state
from conftest import App, Lab, eventually

from clusterlab import apps, cluster
from clusterlab.disk import node_data
from clusterlab.run import run, wait_until
from handler.core import limits, names

pytestmark = pytest.mark.lab


@pytest.fixture
def app(lab: Lab) -> App:
    """On node1, with a copy on node2 that has the first line, and a second line that only node1 has."""
    made = lab.app("taken")
    made.witness = "node2"
    assert made.deploy("node1", "node2")["outcome"] == "committed"
    made.write("first")
    assert made.deploy("node1", "node2")["outcome"] == "committed"  # makes a copy at once
    eventually("slave ready", lambda: state.complaint(lab.node("node2"), made, "slave"))
    made.write("second")
    return made


def take(app: App, master: str = "node2", **more: object) -> dict:
    app.send("takeover", master=master, **more)
    return app.outcome(180)


def kept(lab: Lab, app: App, node: str) -> str:
    """The log in the snapshot that the history names as kept on a node."""
    found = wait_until("named in the history", lambda: app.history().get("kept", {}).get(node), 90)
    (name,) = (name for name in found if name.startswith(f"{app.volume}@"))
    return lab.node(node).inside(["cat", f"/var/lib/buttervolume/snapshots/{name}/log"]).stdout


def check_replaced(lab: Lab, app: App) -> None:
    """node1 has become what the record says, and what only it had can be found."""
    assert kept(lab, app, "node1").split() == app.only_here
    eventually("node1", lambda: state.complaint(lab.node("node1"), app, "slave"), 90)
    eventually("node2", lambda: state.complaint(lab.node("node2"), app, "master", lab.node("node1").address))
    for node in ("node1", "node2", "node3"):
        eventually("served", lambda node=node: app.ask(node)[0] != 200)
        assert app.read(node) == ["first", "new"]


def test_a_master_that_lost_power_is_taken_over_and_serves_nothing_when_it_comes_back(lab: Lab, app: App) -> None:
    app.only_here = ["first", "second"]
    cluster.kill(lab.node("node1"))
    lab.git_cut("node2")  # the slave has all that it needs
    try:
        wait_until("node1 is seen as gone", lambda: "node1" in dead(lab), 60)
        app.send(master="node2", source="node2")
        assert "takeover" in app.outcome()["why"], "an ordinary move says what can be done"
        app.send("takeover", source="node2", master="node3")
        assert "no complete copy" in app.outcome()["why"]
        app.send("takeover", source="node2", master="node2")
        assert app.outcome(180)["outcome"] == "committed"
        assert app.read("node3") == ["first"]
        said, copy = app.history()["data"], app.history()["restored"][app.volume].partition("@")[2]
        assert re.match(rf"the copy of {re.escape(copy)}, \d+ min old; ", said)
        assert "was written on node1 after it is not in it" in said
        assert "node1 may have served as well for a time, if it was only cut off" in said
        app.write("new")
    finally:
        lab.git_heal("node2")
        cluster.start(lab.node("node1"))
    one = lab.node("node1")
    state.watch_starts(one)
    wait_until("its worker answers", lambda: apps.kv(one, names.record_key(app.app)), 90)
    check_replaced(lab, app)
    started = state.started(one)
    assert "cluster" in started
    assert app.project not in started, "the old copy ran"


@pytest.mark.faults
def test_a_master_that_was_cut_off_stops_when_it_learns_of_it_and_what_it_wrote_is_kept(lab: Lab, app: App) -> None:
    one = lab.node("node1")
    cluster.cut(one, cluster.others(one))
    try:
        wait_until("node1 is seen as gone", lambda: "node1" in dead(lab), 60)
        app.send("takeover", source="node2", master="node2")
        assert app.outcome(180)["outcome"] == "committed"
        app.write("new", node="node3")
        assert app.ask("node1", "/data", "cut off")[0] == 200, "a hiccup of the network stops nothing that serves"
        app.only_here = ["first", "second", "cut", "off"]
    finally:
        cluster.heal(one, cluster.others(one))
    check_replaced(lab, app)


def test_a_master_that_is_alive_is_only_taken_over_by_force_and_stops_first(lab: Lab, app: App) -> None:
    app.only_here = ["first", "second"]
    outcome = take(app)
    assert outcome["outcome"] == "aborted"
    assert "node1 is alive" in outcome["why"]
    assert app.read("node3") == ["first", "second"]
    assert take(app, force=True)["outcome"] == "committed"
    steps = wait_until("the whole history", lambda: app.history().get("steps"), 60)
    (waited,) = (step["seconds"] for step in steps if step["step"].startswith("wait a moment"))
    assert waited < limits.STOPPED, "it did not say in time that it has stopped"
    app.write("new")
    check_replaced(lab, app)


@pytest.mark.faults
def test_a_master_whose_disk_is_a_new_one_serves_nothing_until_it_is_taken_over(lab: Lab, app: App) -> None:
    """Its containers, code and journal are there, as on a host whose second disk was replaced: compose would make an empty volume."""
    one = lab.node("node1")
    cluster.kill(one)
    try:
        disk = node_data("node1").mountpoint
        for lost in (disk / "volumes" / app.volume, *(disk / "snapshots").glob(f"{app.volume}@*")):
            run(["btrfs", "subvolume", "delete", lost])
    finally:
        cluster.start(one)
    state.watch_starts(one)
    wait_until("its worker answers", lambda: apps.kv(one, names.record_key(app.app)), 90)
    wait_until("node1 is seen again", lambda: "node1" not in dead(lab), 60)
    app.send(master="node2", slave="node1")
    assert f"{app.volume} of {app.app} is not on node1 any more" in app.outcome(180)["why"]
    app.send(master="node1", slave="node3")
    assert f"{app.volume} of {app.app} is not on node1 any more" in app.outcome(180)["why"]
    assert app.ask("node3")[0] != 200
    assert app.project not in state.started(one), "it ran without its data"
    assert take(app, force=True)["outcome"] == "committed"
    assert app.read("node3") == ["first"]
    eventually("node1", lambda: state.complaint(one, app, "slave"), 90)


def test_a_copy_that_did_not_arrive_complete_is_not_taken(lab: Lab, app: App) -> None:
    """What an interrupted receive leaves behind: a writable subvolume under the final name, newer than the good copy."""
    two = lab.node("node2")
    folder = "/var/lib/buttervolume/snapshots"
    partial = f"{folder}/{app.volume}@2099-01-01T00:00:00.000000"
    two.inside(["btrfs", "subvolume", "create", partial])
    try:
        assert take(app, force=True)["outcome"] == "committed"
        assert app.read("node3") == ["first"]
    finally:
        two.inside(["btrfs", "subvolume", "delete", partial])


def test_when_the_only_copy_is_not_complete_nothing_is_taken_over(lab: Lab) -> None:
    app = lab.app("partial")
    assert app.deploy("node1")["outcome"] == "committed"
    app.write("precious")
    two = lab.node("node2")
    partial = f"/var/lib/buttervolume/snapshots/{app.volume}@2099-01-01T00:00:00.000000"
    two.inside(["btrfs", "subvolume", "create", partial])
    try:
        outcome = take(app, force=True)
        assert outcome["outcome"] == "aborted"
        assert "no complete copy" in outcome["why"]
        assert app.read("node3") == ["precious"]
    finally:
        two.inside(["btrfs", "subvolume", "delete", partial])


def dead(lab: Lab) -> list[str]:
    """As node2 sees it."""
    return cluster.gone(lab.node("node2"))
