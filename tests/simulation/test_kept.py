"""What only one node has, when it is master no longer: kept once, as one point, named, and not forgotten with the copies."""

import json
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from builders import APP, operation
from memory import ports
from memory_buttervolume import Volumes
from world import START, Container, Snapshot, World

from handler import chronicle
from handler.actions import after
from handler.context import Context
from handler.core import names
from handler.core import steps as s
from handler.core.model import Operation
from handler.errors import Permanent, Temporary
from handler.node import resume_app

PROJECT = names.project_name(APP)
DATA, DB = f"{PROJECT}_data", f"{PROJECT}_db"
OP = operation(("a", "b"), ("b", "c"))


class App:
    """Seen from ``me``, one of three nodes. ``in_use``: as many removals of a volume fail since somebody's container uses it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, me: str = "a") -> None:
        self.world = World(1, ("a", "b", "c"))
        self.node = self.world.nodes[me]
        self.ports = ports(self.world, self.node)
        self.in_use = 0
        remove = Volumes.remove

        def removed(volumes: Volumes, volume: str) -> None:
            self.in_use -= 1
            if self.in_use >= 0:
                raise Temporary(f"somebody's container uses {volume}")
            remove(volumes, volume)

        monkeypatch.setattr(Volumes, "remove", removed)

    def context(self, op: Operation = OP) -> Context:
        return Context(op, self.ports, ("btrfs",))

    def say(self, part: str, value: object) -> None:
        self.world.write(names.op_key(APP, OP.event.id, part), json.dumps(value))

    def kept(self) -> frozenset[str]:
        return chronicle.kept(self.ports.store, APP, self.node.name)


@pytest.fixture
def app(monkeypatch: pytest.MonkeyPatch) -> App:
    return App(monkeypatch)


def test_a_replaced_master_whose_volume_is_in_use_keeps_it_once(app: App) -> None:
    record = {"master": "b", "volumes": [DATA], "event": "e"}
    app.world.write(names.record_key(APP), json.dumps(record))
    app.node.volumes[DATA] = ["w0"]
    app.in_use = 3
    for _ in range(4):
        with suppress(Temporary):
            resume_app(app.ports, APP)
    assert app.node.volumes == {}
    (only,) = app.node.snapshots
    assert app.kept() == {only}


def test_a_step_that_is_tried_again_keeps_the_last_state_once(app: App) -> None:
    app.node.volumes[DATA] = ["w0"]
    app.in_use = 25
    for _ in range(30):
        with suppress(Temporary):
            after.remove_volumes(app.context(), s.RemoveVolumes((DATA,)))
    assert app.node.volumes == {}
    (only,) = app.node.snapshots
    assert app.kept() == {only}


def test_a_named_snapshot_that_is_gone_is_taken_again(app: App) -> None:
    app.node.volumes[DATA] = ["w0"]
    gone = f"{DATA}@2020-01-01T00:00:00.000000"
    chronicle.add_kept(app.ports.store, APP, OP.event.id, "a", [gone])
    after.remove_volumes(app.context(), s.RemoveVolumes((DATA,)))
    (only,) = app.node.snapshots
    assert app.kept() == {only, gone}


def test_what_is_written_to_a_volume_that_could_not_be_removed_is_kept_too(app: App) -> None:
    app.node.volumes[DATA] = ["w0"]
    app.in_use = 2
    for word in ("w1", "w2", "w3"):
        with suppress(Temporary):
            after.remove_volumes(app.context(), s.RemoveVolumes((DATA,)))
        if DATA in app.node.volumes:
            app.node.volumes[DATA].append(word)
    assert app.node.volumes == {}
    assert app.kept() == set(app.node.snapshots)
    assert [one.data for one in app.node.snapshots.values()] == [("w0",), ("w0", "w1"), ("w0", "w1", "w2")]


def test_a_person_s_second_look_is_kept_as_the_first(app: App) -> None:
    """Who brings a volume back on a node that is not the master, twice between two operations."""
    app.world.write(names.record_key(APP), json.dumps({"master": "b", "volumes": [DATA], "event": "e"}))
    for word in ("first", "second"):
        app.node.volumes[DATA] = [word]
        app.node.containers[PROJECT] = Container("d", "running", 0.0)
        app.node.tokens[APP] = "d"
        resume_app(app.ports, APP)
        assert app.node.volumes == app.node.containers == app.node.tokens == {}
    assert {one.data for one in app.node.snapshots.values()} == {("first",), ("second",)}


def test_the_last_state_is_one_point_also_when_only_one_volume_was_written_to(app: App) -> None:
    app.node.volumes.update({DATA: ["w0"], DB: ["w0"]})
    app.in_use = 2
    for word in ("w1", "w2"):
        with suppress(Temporary):
            after.remove_volumes(app.context(), s.RemoveVolumes((DATA, DB)))
        if DB in app.node.volumes:
            app.node.volumes[DB].append(word)
    with suppress(Temporary):
        after.remove_volumes(app.context(), s.RemoveVolumes((DATA, DB)))
    last = max(name.partition("@")[2] for name in app.kept())
    assert {app.node.snapshots[f"{volume}@{last}"].data for volume in (DATA, DB)} == {("w0",), ("w0", "w1", "w2")}


@pytest.mark.parametrize("state", ["running", "paused", "restarting"])
def test_the_volumes_of_what_still_runs_are_neither_kept_nor_removed(app: App, state: str) -> None:
    app.node.volumes[DATA] = ["w0"]
    app.node.containers[PROJECT] = Container("d", state, 0.0)
    with pytest.raises(Temporary, match="still runs"):
        after.remove_volumes(app.context(), s.RemoveVolumes((DATA,)))
    assert app.node.volumes == {DATA: ["w0"]}
    assert not app.node.snapshots


def test_the_volumes_of_an_app_are_kept_as_one_point(app: App) -> None:
    app.node.volumes.update({DATA: ["w0"], DB: ["w0"]})
    app.in_use = 1
    for _ in range(2):
        with suppress(Temporary):
            after.remove_volumes(app.context(), s.RemoveVolumes((DATA, DB, f"{PROJECT}_gone")))
    assert app.node.volumes == {}
    assert app.kept() == set(app.node.snapshots)
    assert {name.partition("@")[0] for name in app.kept()} == {DATA, DB}
    assert len({name.partition("@")[2] for name in app.kept()}) == 1


def test_what_the_operation_has_snapshotted_is_not_kept_again(app: App) -> None:
    app.node.volumes.update({DATA: ["w0"], DB: ["w0"]})
    app.say("snapshots", {DATA: f"{DATA}@2020-01-01T00:00:00.000000"})
    after.remove_volumes(app.context(), s.RemoveVolumes((DATA, DB)))
    assert {name.partition("@")[0] for name in app.kept()} == {DB}


NEWER, OLDER = "2026-01-02T00:00:00.000000", "2026-01-01T00:00:00.000000"


def forgetting(monkeypatch: pytest.MonkeyPatch, copied: dict[str, object], *, days: int = 0, slave: object = None) -> list[str]:
    """What b, which was the slave, has after c has become it; c said ``copied`` so many ``days`` ago, and says of itself ``slave`` now."""
    app = App(monkeypatch, "b")
    for name in (f"{DATA}@{OLDER}", f"{DATA}@{NEWER}", f"{DB}@{OLDER}"):
        app.node.snapshots[name] = Snapshot(("w0",))
    app.node.aside.add(f"{DATA}@{NEWER}")
    app.say("copied", copied)
    app.world.write("node/c", json.dumps({"copies": {APP: slave or {}}}))
    began = datetime.fromtimestamp(START + app.world.now - days * 86400, UTC)
    op = replace(OP, started=began.isoformat(timespec="seconds"))
    with suppress(Permanent):
        after.forget_copies(app.context(op), s.ForgetCopies((DATA, DB), "c"))
    return sorted(app.node.snapshots)


def test_copies_are_forgotten_but_what_was_put_aside_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    assert forgetting(monkeypatch, {"snapshots": {DATA: "", DB: ""}}) == [f"{DATA}@{NEWER}"]


def test_copies_of_a_volume_that_the_new_slave_was_not_sent_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    """The new version gave it up; the master has it still."""
    assert forgetting(monkeypatch, {"snapshots": {DATA: ""}}) == [f"{DATA}@{NEWER}", f"{DB}@{OLDER}"]


def test_copies_stay_when_the_new_slave_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(forgetting(monkeypatch, {"error": "its disk is full"})) == 3


def test_what_the_new_slave_said_long_ago_is_not_believed_without_its_present_word(monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(forgetting(monkeypatch, {"snapshots": {}}, days=60)) == 3
    said = {DATA: {"snapshot": f"{DATA}@{NEWER}", "bytes": 1}}
    assert forgetting(monkeypatch, {"snapshots": {}}, days=60, slave=said) == [f"{DATA}@{NEWER}", f"{DB}@{OLDER}"]
