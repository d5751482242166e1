"""A copy that is cut in the middle, a full disk, a slow disk, a wrong clock: the app serves with all its data, and the next move succeeds."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
import state
from conftest import App, Lab, eventually

from clusterlab import apps, faults
from clusterlab.disk import node_data
from clusterlab.run import wait_until
from clusterlab.writer import Writer, complaint, writing
from handler.core import names

pytestmark = [pytest.mark.lab, pytest.mark.faults]


@dataclass
class Home:
    """An app that lives on node1 with a copy on node2, at the start and at the end of every test, and all who ever wrote to it."""

    app: App
    writers: list[Writer] = field(default_factory=list)

    def move(self, master: str, slave: str) -> dict:
        return self.app.deploy(master, slave)

    def data_is_complete(self) -> None:
        assert complaint(self.writers, lambda: self.writers[-1].ask("/data")) == ""

    def fill(self, megabytes: int) -> None:
        """New data in the volume, for which a copy takes a while."""
        command = f"dd if=/dev/urandom of=/data/big bs=1M count={megabytes} conv=fsync status=none"
        node = self.app.lab.node(self.app.record()["master"])
        node.inside(["docker", "exec", f"{self.app.project}-web-1", "sh", "-c", command])


@pytest.fixture(scope="module")
def shared(lab: Lab) -> Home:
    app = lab.app("transfer")
    assert app.deploy("node1", "node2")["outcome"] == "committed"
    return Home(app)


@pytest.fixture
def home(lab: Lab, shared: Home) -> Iterator[Home]:
    """Somebody writes during the whole test."""
    app = shared.app
    if app.record()["master"] != "node1":
        assert shared.move("node1", "node2")["outcome"] == "committed"
    two = lab.node("node2")
    for name in state.observed(two, app)["incomplete"]:  # of the test before: what was cut stays, and is never used
        two.inside(["btrfs", "subvolume", "delete", f"/var/lib/buttervolume/snapshots/{name}"])
    eventually("slave ready", lambda: state.complaint(two, app, "slave"))
    writer = Writer(lab.node("node3").address, app.domain, f"w{len(shared.writers)}")
    shared.writers.append(writer)
    with writing(writer):
        yield shared
    assert writer.acknowledged
    shared.data_is_complete()


def serves_throughout(home: Home) -> bool:
    """No write so far was refused; the one that is on its way does not count."""
    writer = home.writers[-1]
    return set(writer.tried[:-1]) <= set(writer.acknowledged)


def test_a_copy_cut_in_the_middle_is_never_used_and_the_next_move_succeeds(lab: Lab, home: Home) -> None:
    app, source, target = home.app, lab.node("node1"), lab.node("node2")
    home.fill(150)
    snapshots = node_data("node2").mountpoint / "snapshots"
    known = set(snapshots.iterdir())
    with faults.slow_network(source, "200mbit"):
        app.send(master="node2", slave="node1")
        arriving = lambda: {path for path in snapshots.iterdir() if path.name.startswith(app.volume)} - known  # noqa: E731
        wait_until("a copy arrives", arriving, 60, 0.02)
        with faults.no_sending(source):
            outcome = app.outcome()
    assert outcome["outcome"] == "aborted"
    assert "cannot be sent" in outcome["why"]
    left = state.observed(target, app)["incomplete"]
    assert left, "the copy was not cut in the middle"
    assert serves_throughout(home)
    eventually("master", lambda: state.complaint(source, app, "master", target.address))
    assert home.move("node2", "node1")["outcome"] == "committed"
    released = apps.kv(target, names.op_key(app.app, app.event, "released"))["snapshots"]
    assert not set(left) & set(released.values())
    home.data_is_complete()


def test_a_full_disk_of_the_target_changes_nothing_and_the_next_move_succeeds(lab: Lab, home: Home) -> None:
    app, source, target = home.app, lab.node("node1"), lab.node("node2")
    home.fill(150)
    with faults.full_disk(target):
        app.send(master="node2", slave="node1")
        outcome = app.outcome()
        assert outcome["outcome"] == "aborted"
        assert "cannot be sent" in outcome["why"]
        assert serves_throughout(home)
        eventually("master", lambda: state.complaint(source, app, "master", target.address))
    assert home.move("node2", "node1")["outcome"] == "committed"


def test_disks_that_stand_still_most_of_the_time_only_make_a_move_slow(lab: Lab, home: Home) -> None:
    home.fill(20)
    with faults.slow_disk([lab.node("node1"), lab.node("node2")]):
        assert home.move("node2", "node1")["outcome"] == "committed"
    home.data_is_complete()


def test_a_clock_wrong_by_an_hour_on_one_node_loses_nothing(lab: Lab, home: Home) -> None:
    """Covered: names of snapshots and deploys, and dates, which the handler and Buttervolume make. Consul counts durations only."""
    app = home.app
    with faults.wrong_clock(lab.node("node1"), 3600):
        for master, slave in (("node2", "node1"), ("node1", "node2"), ("node1", "node2"), ("node2", "node1")):
            assert home.move(master, slave)["outcome"] == "committed"
            home.data_is_complete()
            eventually("master", lambda m=master, s=slave: state.complaint(lab.node(m), app, "master", lab.node(s).address))
            eventually("slave", lambda s=slave: state.complaint(lab.node(s), app, "slave"))
    taken = [name.partition("@")[2] for name in state.observed(lab.node("node1"), app)["snapshots"]]
    assert any(a[:13] > b[:13] for a in taken for b in taken), "the clocks were the same"
    assert home.move("node1", "node2")["outcome"] == "committed"
