"""What one seed in many thousands found, told again: so that it happens in every run of the tests."""

import json

import pytest
from faults import (
    cut_from_peers,
    disk_full,
    docker_silent,
    handler_killed,
    handler_stalls,
    isolated,
    journal_full,
    power_lost,
    volumes_in_use,
)
from memory_docker import Compose
from story import Story
from world import Node

from handler import errors
from handler.core import history, names


def test_without_a_failure_each_operation_is_committed() -> None:
    story = Story()
    story.tell(1.0, "deploy", master="n1", slave="n2")
    story.tell(60.0, "deploy", master="n2", slave="n1", update=True)
    story.tell(120.0, "rollback", to="2023-11-14T22:31:00")
    story.tell(180.0, "destroy")
    story.tell(240.0, "deploy", master="n3")
    story.go()
    assert list(story.outcomes.values()) == ["committed"] * 5


def test_a_handler_that_is_killed_while_its_node_is_cut_off_stops_its_trial_when_it_starts() -> None:
    """The others take the node for dead, and start the old copy."""
    story = Story()
    story.tell(1.0, "deploy", master="n1", slave="n2")
    story.tell(60.0, "deploy", master="n2", slave="n1")

    def alone(node: Node) -> None:
        isolated(story, node, 250.0)
        handler_killed(story, node, 1.0)

    story.when("n2", "before done start the containers", 1, alone)
    story.go()
    assert list(story.outcomes.values()) == ["committed", "aborted"]


def test_a_master_that_was_replaced_while_its_own_operation_was_open_starts_nothing() -> None:
    """Its handler lived on, cut off; what it learns first when it is back is that its operation was aborted. Seed 15422 of 100,000."""
    story = Story()
    story.tell(1.0, "deploy", master="n2", slave="n3")
    story.tell(60.0, "deploy", master="n2", slave="n1")
    story.when("n2", "before begun commit", 2, lambda node: isolated(story, node, 250.0))
    story.tell(180.0, "takeover", master="n3")
    story.go()
    assert list(story.outcomes.values()) == ["committed", "aborted", "committed"]
    assert story.records[story.apps[0].name]["master"] == "n3"


def test_a_slave_that_was_down_keeps_its_copies_although_an_operation_that_it_missed_had_freed_it() -> None:
    """It is the slave again when it is back, and the master has nothing newer there. Seed 4322 of 6,000."""
    story = Story()
    n2 = story.world.nodes["n2"]
    story.tell(1.0, "deploy", master="n3", slave="n2")
    story.tell(60.0, "deploy", master="n1", slave="n3")
    story.when("n1", "before begun start the containers", 1, lambda _: power_lost(story, n2, 200.0))
    story.tell(120.0, "deploy", master="n3", slave="n2")
    story.go()
    assert list(story.outcomes.values()) == ["committed"] * 3
    assert n2.snapshots


def test_a_node_that_waits_to_forget_keeps_its_copies_when_it_becomes_the_slave_meanwhile() -> None:
    story = Story()
    n2 = story.world.nodes["n2"]
    story.tell(1.0, "deploy", master="n1", slave="n2")
    story.tell(60.0, "deploy", master="n1", slave="n3")

    def stalls(node: Node) -> None:
        handler_stalls(story, node, 60.0)
        story.when("n1", "committed begun write the history", 1, lambda _: story.tell(0.0, "deploy", master="n1", slave="n2"))

    story.when("n2", "begun forget the copies", 1, lambda _: story.when("n2", "wait op/", 1, stalls))
    story.go()
    assert list(story.outcomes.values()) == ["committed"] * 3
    assert n2.snapshots


def test_a_master_announces_itself_although_a_takeover_began_that_is_aborted_later() -> None:
    story = Story()
    n2, n3 = (story.world.nodes[name] for name in ("n2", "n3"))
    story.tell(1.0, "deploy", master="n1", slave="n3")

    def overtaken(node: Node) -> None:
        story.tell(0.0, "takeover", master="n3", force=True)
        handler_stalls(story, node, 25.0)

    story.tell(60.0, "deploy", master="n2", slave="n3")
    story.when("n2", "committed begun settle the routes", 1, overtaken)
    story.when("n3", "before begun start the containers", 1, lambda _: power_lost(story, n3, 5.0))
    story.go()
    assert list(story.outcomes.values()) == ["committed", "committed", "aborted"]
    assert n2.services
    assert n2.schedules


def test_an_old_version_whose_files_cannot_be_read_any_more_serves_again_when_a_new_one_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its containers are there, and its checks were made when it was deployed."""
    story = Story()
    story.tell(1.0, "deploy", master="n2", slave="n3")
    story.tell(60.0, "deploy", master="n2", slave="n3")
    read, spoiled = Compose.config, list[str]()

    def config(self: Compose, directory: str) -> dict[str, object]:
        if directory in spoiled:
            raise errors.BadInput("it is refused now")
        return read(self, directory)

    def fail(node: Node) -> None:
        spoiled.extend(f"/deploy/{app}-{deploy_id}" for app, deploy_id in node.deploys if deploy_id == node.tokens.get(app, deploy_id))
        story.failing["up"] = 1

    monkeypatch.setattr(Compose, "config", config)
    story.when("n2", "before begun hold requests", 1, fail)
    story.go()
    assert list(story.outcomes.values()) == ["committed", "aborted"]
    assert spoiled


def test_what_a_first_trial_wrote_goes_away_although_the_disk_is_full() -> None:
    """The next deploy would begin with it. Seed 50475 of 100,000."""
    story = Story()
    story.tell(1.0, "deploy", master="n2", slave="n3")
    story.when("n2", "before begun wait until deploy", 1, lambda node: disk_full(story, node, 12.0))
    story.when("n2", "release lock/", 1, lambda node: isolated(story, node, 3.0))
    story.when("n2", "release lock/", 1, lambda _: story.tell(0.0, "deploy", master="n2", slave="n3"))
    story.go()
    assert list(story.outcomes.values()) == ["aborted", "committed"]


def test_what_was_taken_back_once_is_not_taken_back_again_when_the_old_version_serves() -> None:
    """The journal's disk is full, that of the volumes is not: Consul knows what the journal does not."""
    story = Story()
    story.tell(1.0, "deploy", master="n2", slave="n3")
    story.tell(60.0, "deploy", master="n2", slave="n3")
    story.when("n2", "before begun start the containers", 2, lambda node: journal_full(story, node, 90.0))
    story.go()
    assert list(story.outcomes.values()) == ["committed", "aborted"]


@pytest.mark.parametrize("moment", ["before begun hold requests", "transact lock/"])
def test_a_page_that_a_person_put_stays_after_the_operation(moment: str) -> None:
    """Put before the hold, or in the very moment of the commit, which happens all the same."""
    story, here = Story(), []
    app = story.apps[0]
    story.tell(1.0, "deploy", master="n1", slave="n2")
    story.tell(60.0, "deploy", master="n1", slave="n2")
    story.later(story.world.now + 50.0, lambda: story.when("n1", moment, 1, lambda _: story.people.maintain(app, "page", 300.0)))
    story.later(story.world.now + 200.0, lambda: here.append(app.hold in story.world.kv))
    story.go()
    assert list(story.outcomes.values()) == ["committed", "committed"]
    assert here == [True]


def test_a_new_app_does_not_begin_with_a_volume_that_could_not_be_removed_when_it_was_destroyed() -> None:
    """It is refused soon, with the reason, and begins without data when the volume is gone."""
    story = Story()
    app = story.apps[0]
    story.tell(1.0, "deploy", master="n1")
    story.tell(60.0, "destroy")
    story.when("n1", "committed begun remove the containers", 1, lambda node: volumes_in_use(story, node, 150.0))
    story.tell(61.0, "deploy", master="n1")
    story.quiet = story.world.now + 300.0
    story.tell(300.0, "deploy", master="n1")
    story.go()
    assert list(story.outcomes.values()) == ["committed", "committed", "aborted", "committed"]
    told = [json.loads(entry.value) for entry in story.world.tree(names.history_key(app.name, ""))]
    assert [entry["outcome"] for entry in told if "there is a volume" in entry.get("why", "")] == ["aborted"]


def test_a_new_app_does_not_begin_with_what_a_master_has_that_was_away_when_it_was_destroyed() -> None:
    """It was cut off and taken over; now something uses the volume, whose name is free since it was destroyed elsewhere."""
    story = Story()
    n1 = story.world.nodes["n1"]
    story.tell(1.0, "deploy", master="n1", slave="n2")
    story.later(story.world.now + 60.0, lambda: isolated(story, n1, 200.0))
    story.tell(80.0, "takeover", master="n2")
    story.tell(160.0, "destroy")
    story.quiet = story.world.now + 300.0
    story.later(story.world.now + 250.0, lambda: volumes_in_use(story, n1, 200.0))
    story.tell(300.0, "deploy", master="n1")
    story.tell(500.0, "deploy", master="n1")
    story.go()
    assert list(story.outcomes.values()) == ["committed", "committed", "committed", "aborted", "committed"]


def test_a_slave_that_was_down_gets_the_code_in_service_although_an_aborted_operation_followed() -> None:
    story = Story()
    story.tell(1.0, "deploy", master="n1", slave="n2")
    story.later(story.world.now + 60.0, lambda: power_lost(story, story.world.nodes["n2"], 200.0))
    story.tell(90.0, "deploy", master="n1", slave="n2")
    story.later(story.world.now + 139.0, lambda: story.failing.update(clone=1))
    story.tell(140.0, "deploy", master="n1", slave="n2")
    story.quiet = story.world.now + 300.0
    story.go()
    assert list(story.outcomes.values()) == ["committed", "committed", "aborted"]


@pytest.mark.parametrize(("step", "program"), [("fetch the code", "clone"), ("pull images", "pull")])
def test_a_slave_tries_again_what_git_or_a_registry_refused_once(step: str, program: str) -> None:
    story = Story()
    story.tell(1.0, "deploy", master="n1", slave="n2")
    story.when("n2", f"committed begun {step}", 1, lambda _: story.failing.update({program: 1}))
    story.go()
    assert any(f"committed done {step}" in entry for done in story.world.nodes["n2"].journal.values() for entry in done)


def test_what_a_replaced_master_writes_until_its_docker_answers_is_kept() -> None:
    """Taken over by force, since its dockerd hangs; its containers go on meanwhile, with a job that needs no visitor."""
    story = Story()
    app, n1 = story.apps[0], story.world.nodes["n1"]
    story.tell(1.0, "deploy", master="n1", slave="n2")
    story.later(story.world.now + 60.0, lambda: docker_silent(story, n1, 400.0))
    story.tell(62.0, "takeover", master="n2", force=True)
    story.later(story.world.now + 400.0, lambda: n1.volumes[app.volume].append("late"))
    story.quiet = story.world.now + 900.0
    story.later(story.quiet, lambda: None)
    story.go()
    assert app.volume not in n1.volumes
    told = [json.loads(entry.value) for entry in story.world.tree(names.history_key(app.name, ""))]
    named = [name for entry in told for name in history.kept(entry, "n1")]
    assert "late" in [word for name in named for word in n1.snapshots[name].data]


def test_a_slave_purges_although_its_first_copy_did_not_come() -> None:
    story = Story()
    story.tell(1.0, "deploy", master="n1", slave="n2")
    story.when("n1", "committed begun send a first copy", 1, lambda node: cut_from_peers(story, node, 30.0))
    story.go()
    assert not story.world.nodes["n2"].snapshots


@pytest.mark.parametrize("seconds", [30.0, 120.0])
def test_a_trial_that_is_cut_off_stops_in_time_however_long_its_logs_take(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """Else two copies run: after the lease is free the old version starts."""
    logs, story = Compose.logs, Story()

    def slow(self: Compose, project: str, lines: int) -> str:
        self.look("logs", seconds)
        return logs(self, project, lines)

    monkeypatch.setattr(Compose, "logs", slow)
    story.tell(1.0, "deploy", master="n1", slave="n2")
    story.tell(60.0, "deploy", master="n2", slave="n1")
    story.when("n2", "before begun wait until deploy", 1, lambda node: isolated(story, node, 300.0))
    story.go()
    assert list(story.outcomes.values()) == ["committed", "aborted"]


@pytest.mark.parametrize("place", [{"master": "n1", "slave": "n2"}, {"master": "n2", "slave": "n1"}])
def test_a_version_whose_logs_cannot_be_read_is_taken_back(monkeypatch: pytest.MonkeyPatch, place: dict[str, str]) -> None:
    logs, story = Compose.logs, Story()
    app = story.apps[0]

    def unreadable(self: Compose, project: str, lines: int) -> str:
        if self.node.containers.get(project):
            raise errors.Temporary("Docker cannot read logs")
        return logs(self, project, lines)

    monkeypatch.setattr(Compose, "logs", unreadable)
    story.tell(1.0, "deploy", master="n1", slave="n2")
    story.tell(60.0, "deploy", **place)
    master, time = place["master"], 2 if place["master"] == "n1" else 1
    story.when(master, "before begun wait until deploy", time, lambda node: story.world.sick.add(node.tokens[app.name]))
    story.go()
    assert list(story.outcomes.values()) == ["committed", "aborted"]
