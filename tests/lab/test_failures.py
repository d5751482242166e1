"""Failing moves: the app is back in service on the old node with its data, the record says the same, the reason can be read."""

import pytest
import state
from conftest import App, Lab, eventually

from clusterlab.run import PROJECT
from clusterlab.visitor import asking
from handler.core import names

pytestmark = pytest.mark.lab

PLACE = ("master", "slave", "ip", "deploy_id", "caddyfile", "domains")


@pytest.fixture
def app(lab: Lab) -> App:
    """An app on node1 with a copy on node2 and a line of data."""
    made = lab.app("fails")
    assert made.deploy("node1", "node2")["outcome"] == "committed"
    made.write("precious")
    eventually("slave ready", lambda: state.complaint(lab.node("node2"), made, "slave"))
    return made


def check_back(lab: Lab, app: App, before: dict, reason: str) -> None:
    outcome = app.outcome(180)
    assert outcome["outcome"] == "aborted"
    assert reason in outcome["why"]
    after = app.record()
    assert {key: after[key] for key in PLACE} == {key: before[key] for key in PLACE}
    eventually("back in service", lambda: state.complaint(lab.node("node1"), app, "master", lab.node("node2").address))
    assert app.read("node3") == ["precious"]
    assert app.read("node2") == ["precious"]
    app.write("and on")
    assert reason in app.history()["why"]
    eventually("nothing of the trial stays", lambda: state.observed(lab.node("node2"), app)["live"])
    assert not state.observed(lab.node("node2"), app)["containers"]


def test_every_node_s_disk_is_mounted_so_that_copies_survive_a_power_loss(lab: Lab) -> None:
    """By its worker, which knows that ``btrfs receive`` syncs nothing."""
    for node in lab.nodes:
        options = node.inside(["findmnt", "-n", "-o", "FS-OPTIONS", "-T", "/var/lib/buttervolume"]).stdout.strip().split(",")
        assert "flushoncommit" in options


def test_the_present_master_needs_no_git(lab: Lab, app: App) -> None:
    lab.git_cut("node1")
    try:
        assert app.deploy("node2", "node3")["outcome"] == "committed"
    finally:
        lab.git_heal("node1")
    assert app.read("node1") == ["precious"]


def test_a_target_without_git_changes_nothing(lab: Lab, app: App) -> None:
    before = app.record()
    lab.git_cut("node2")
    try:
        app.send(master="node2", slave="node1")
        check_back(lab, app, before, "git cannot clone")
    finally:
        lab.git_heal("node2")


def test_a_registry_that_is_away_changes_nothing(lab: Lab, app: App) -> None:
    """Nor is the app held for one moment."""
    before = app.record()
    compose = (app.folder / "docker-compose.yml").read_text()
    app.publish(**{"docker-compose__yml": compose.replace("services:\n", "services:\n  more:\n    image: registry.invalid/more:1\n", 1)})
    with asking(lab.node("node3").address, app.domain) as seen:
        app.send(master="node2", slave="node1")
        check_back(lab, app, before, "pull")
    assert seen.failed == []


def test_a_send_that_fails_changes_nothing(lab: Lab, app: App) -> None:
    before = app.record()
    rule = ["OUTPUT", "-p", "tcp", "--dport", "1122", "-j", "REJECT", "--reject-with", "tcp-reset"]
    lab.node("node1").inside(["iptables", "-w", "-I", *rule])
    try:
        app.send(master="node2", slave="node1")
        check_back(lab, app, before, "cannot be sent")
    finally:
        lab.node("node1").inside(["iptables", "-w", "-D", *rule])


def test_a_restore_that_fails_brings_the_old_app_back(lab: Lab, app: App) -> None:
    before = app.record()
    in_the_way = f"/var/lib/buttervolume/volumes/{app.volume}"
    lab.node("node2").inside(["mkdir", in_the_way])
    try:
        app.send(master="node2", slave="node1")
        outcome = app.outcome(180)
        assert outcome["outcome"] == "aborted"
        assert "something else is in its place" in outcome["why"]
    finally:
        lab.node("node2").inside(["sh", "-c", f"btrfs subvolume delete {in_the_way}/* 2>/dev/null; rmdir {in_the_way} 2>/dev/null || true"])
    check_back(lab, app, before, "something else is in its place")


def test_a_version_that_does_not_become_healthy_is_taken_back(lab: Lab, app: App) -> None:
    before = app.record()
    server = (PROJECT / "examples/hello/server").read_text()
    app.publish(server=server.replace("my $server =", "die 'broken on purpose'; my $server ="))
    app.send(master="node2", slave="node1")
    check_back(lab, app, before, "did not become healthy")
    assert "broken on purpose" in app.history()["tail"]


def test_an_unhealthy_version_in_place_is_taken_back_with_the_data_of_before(lab: Lab, app: App) -> None:
    before = app.record()
    server = (PROJECT / "examples/hello/server").read_text()
    app.publish(server=server.replace("my $server =", "unlink $log; die 'broken on purpose'; my $server ="))
    app.send(master="node1", slave="node2")
    check_back(lab, app, before, "did not become healthy")


def test_a_volume_of_another_driver_is_not_taken_for_the_app_s(lab: Lab, app: App) -> None:
    """Docker has the name once, and compose would use what has it: the app would lose what it wrote there with its next move."""
    node, volume = lab.node("node2"), app.volume
    node.inside(["docker", "volume", "create", "--driver", "local", volume])
    app.send(master="node2", slave="node1")
    assert f"volume {volume} on node2 is of driver local" in app.outcome()["why"]
    assert "hello" in app.ask("node2")[1]
    listed = node.inside(["docker", "volume", "ls", "-q", "--filter", f"name={volume}"]).stdout.split()
    assert listed == [volume], "it is not ours to remove"
    node.inside(["docker", "volume", "rm", volume])


def test_a_volume_that_only_a_failed_version_has_goes_away_with_it(lab: Lab, app: App) -> None:
    """A later version would begin with what that one wrote into it."""
    before = app.record()
    server = (PROJECT / "examples/hello/server").read_text()
    compose = (PROJECT / "examples/hello/docker-compose.yml").read_text().replace("hello.example.com", app.domain)
    compose = compose.replace("      - data:/data\n", "      - data:/data\n      - more:/more\n")
    compose = compose.replace("\nnetworks:\n", "  more:\n    driver: anybox/buttervolume:latest\n\nnetworks:\n")
    assert compose.count("more:") == 2
    app.publish(
        server=server.replace("my $server =", "mkdir '/more/x' or die; die 'broken on purpose'; my $server ="),
        **{"docker-compose__yml": compose},
    )
    app.send(master="node1", slave="node2")
    check_back(lab, app, before, "did not become healthy")
    look = ["docker", "volume", "ls", "-q", "--filter", f"name={names.volume_name(app.app, 'more')}"]
    eventually("its volume is gone, after the old version serves", lambda: lab.node("node1").inside(look).stdout)
