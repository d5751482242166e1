"""Rounds of copies of the shipped handler on two nodes in memory, with crashes at every call and a slave that goes and comes."""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime

import pytest
from apps import APPS
from memory import ports
from memory_buttervolume import Volumes
from memory_docker import Compose
from world import Container, Node, Snapshot, World

from handler import errors
from handler.copies import Copies
from handler.copies import log as copies_log
from handler.core import copies, names
from handler.core.model import Event, Kind
from handler.node import resume_app
from handler.observe import observe
from handler.purges import Purges

APP, PROJECT, VOLUME = APPS[0].name, APPS[0].project, APPS[0].volume
DEPLOY = "20260101000000-aaaa"
DAY = 86400.0


class Two:
    """An app on n1 whose slave is n2."""

    def __init__(self, seed: int = 1) -> None:
        self.world = world = World(seed, ("n1", "n2"))
        self.n1, self.n2 = world.nodes.values()
        record = {
            "master": "n1",
            "slave": "n2",
            "deploy_id": DEPLOY,
            "volumes": [VOLUME],
            "event": "e",
            "deploy_date": "2023-11-14T22:30:00Z",
        }
        world.write(names.record_key(APP), json.dumps(record))
        self.n1.containers[PROJECT] = Container(DEPLOY, "running", world.now)
        self.n1.volumes[VOLUME] = ["w0"]
        self.n1.deploys[APP, DEPLOY] = {"docker-compose.yml": "services"}
        self.n1.tokens[APP] = DEPLOY
        self.n1.services[APP] = {}
        self.n1.schedules[VOLUME] = {f"replicate:{self.n2.address}": 60, "purge:1h:1d:1w:4w:1y": 1440}
        self.n2.schedules[VOLUME] = {"purge:1h:1d:1w:4w:1y": 1440}
        self.ports = {name: ports(world, node) for name, node in world.nodes.items()}
        world.boot = self._boot
        for node in world.nodes.values():
            self._boot(node)

    def _boot(self, node: Node) -> None:
        self.world.start(f"worker {node.name}", node, lambda: self._work(node))

    def _work(self, node: Node) -> None:
        mine = self.ports[node.name]
        made = Copies(mine, free)
        while True:
            try:
                resume_app(mine, APP)
                due = made.look()
                for app in due.rounds:
                    made.round(app)
                for app in due.purges:
                    made.purge(app)
                made.measure()
            except errors.ClusterError:
                pass
            mine.clock.sleep(30.0)

    def go(self, seconds: float) -> None:
        self.world.pause(seconds)

    def age(self) -> float:
        """Of the copy that n2 says it has; endless without one."""
        said = json.loads(self.world.kv["node/n2"].value)["copies"][APP] if "node/n2" in self.world.kv else {}
        time = copies.taken_at(copies.snapshot_of(said, VOLUME))
        return self.ports["n1"].clock.now() - time if time is not None else float("inf")

    def reports(self) -> list[str]:
        return [what.removeprefix("report ") for _, _, what in self.world.trace if what.startswith("report ")]


@contextmanager
def free(_app: str) -> Iterator[bool]:
    yield True


def test_a_copy_is_made_at_once_and_then_each_hour() -> None:
    two = Two()
    two.go(300)
    assert two.age() < 400
    count = len(two.n1.snapshots)
    two.go(3000)
    assert len(two.n1.snapshots) == count
    two.n1.volumes[VOLUME].append("w1")
    two.go(600)
    assert two.age() < 700
    assert next(reversed(two.n2.snapshots.values())).data == ("w0", "w1")
    assert set(two.reports()) == {f"{APP}:copy: fine"}
    assert json.loads(two.world.kv["node/n2"].value)["copies"][APP][VOLUME]["bytes"] == len("w0w1")


STEPS = 80
"""More calls than a worker's start and its first round have."""


def crashed_at(step: int) -> tuple[Two, list[str]]:
    """After a first round and a crash at one call until then; and what the container was at the crash."""
    two, counted, seen = Two(step), iter(range(10**9)), list[str]()

    def crash(node: Node | None, _what: str) -> None:
        if node is two.n1 and next(counted) == step:
            seen.append(node.containers[PROJECT].state)
            two.world.crash(node, 2.0)

    two.world.on_step = crash
    two.go(460)
    return two, seen


@pytest.mark.parametrize("step", range(STEPS))
def test_a_crash_at_any_call_leaves_nothing_frozen_and_the_copy_is_made(step: int) -> None:
    two, _ = crashed_at(step)
    assert two.n1.containers[PROJECT].state == "running"
    assert two.age() < 600


def test_some_of_these_crashes_meet_a_frozen_app_and_what_stays_frozen_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "paused" in [state for step in range(STEPS) for state in crashed_at(step)[1]]
    monkeypatch.setattr(Compose, "unpause", lambda _self, _containers: None)
    assert crashed_at(0)[0].n1.containers[PROJECT].state == "paused"


def test_a_slave_that_was_down_has_its_copy_soon_after_it_is_back() -> None:
    two = Two()
    two.world.power_loss(two.n2, 5 * 3600.0)
    two.go(5 * 3600.0)
    assert any("n2 has no verified copy" in line for line in two.reports())
    assert len(two.n1.snapshots) < 8  # no more often than the schedule says
    two.go(240)
    assert two.age() < 240
    assert two.reports()[-1] == f"{APP}:copy: fine"


def test_failures_are_told_and_tried_less_and_less_often() -> None:
    two = Two()
    two.world.failing = lambda what: what == "send"
    two.go(4 * 3600.0)
    tries = sum("sending" in what for _, _, what in two.world.trace)
    assert 6 <= tries <= 10
    assert any("n2 has no verified copy" in line and "send failed" in line for line in two.reports())
    two.world.failing = lambda _what: False
    two.go(3700)
    assert two.age() < 3700
    assert two.reports()[-1] == f"{APP}:copy: fine"


def test_days_of_rounds_stay_few_and_what_is_needed_stays() -> None:
    two = Two()
    two.go(3 * DAY)
    for node in (two.n1, two.n2):
        assert 24 + 2 <= len(node.snapshots) <= 2 * 24 + 5
    said = copies.snapshot_of(json.loads(two.world.kv["node/n2"].value)["copies"][APP], VOLUME)
    assert said in two.n1.snapshots
    assert two.age() < 3700


def test_a_purge_keeps_the_last_point_that_all_volumes_share() -> None:
    """Also on a slave that one volume's sends have not reached for two days."""
    two = Two()
    database = f"{PROJECT}_db"
    record = json.loads(two.world.kv[names.record_key(APP)].value)
    two.world.write(names.record_key(APP), json.dumps({**record, "volumes": [VOLUME, database]}))
    now = two.ports["n2"].clock.now()
    times = {hours: datetime.fromtimestamp(now - hours * 3600, UTC).strftime(names.TIME_FORMAT) for hours in (49, 48.6, 48.3, *range(47))}
    for hours, time in sorted(times.items(), reverse=True):
        for volume in (VOLUME, database) if hours > 48 else (VOLUME,):
            two.n2.snapshots[f"{volume}@{time}"] = Snapshot(("w0",))
    Purges(two.ports["n2"], free).purge(APP)
    assert len(two.n2.snapshots) < 3 + 3 + 47
    assert {f"{VOLUME}@{times[48.3]}", f"{database}@{times[48.3]}"} < two.n2.snapshots.keys()


def test_a_purge_keeps_a_first_copy_that_its_slave_takes_for_the_parent_of_the_way_back() -> None:
    two = Two()
    first, *others = (f"{VOLUME}@2023-10-{day:02}T00:00:00.000000" for day in range(1, 9))
    for name in (first, *others):
        two.n1.snapshots[name] = Snapshot(("w0",))
    Purges(two.ports["n1"], free)._purge(APP, VOLUME, "1h:1d", set(), set())
    assert first not in two.n1.snapshots
    two.n1.snapshots = {first: Snapshot(("w0",)), **two.n1.snapshots}
    two.world.write(names.op_key(APP, "e", "copied"), json.dumps({"snapshots": {VOLUME: first}, "node": "n2"}))
    two.n1.schedules[VOLUME] = {"purge:1h:1d": 1440}
    Purges(two.ports["n1"], free).purge(APP)
    assert first in two.n1.snapshots


@pytest.mark.parametrize("force", [False, True])
def test_a_takeover_from_volumes_of_different_moments_has_to_be_forced(force: bool) -> None:
    """As on a node that a move had begun to send to: they may not fit together."""
    two = Two()
    database = f"{PROJECT}_db"
    record = json.loads(two.world.kv[names.record_key(APP)].value)
    two.world.write(names.record_key(APP), json.dumps({**record, "volumes": [VOLUME, database]}))
    mixed = {VOLUME: f"{VOLUME}@2023-11-14T22:31:00.000000", database: f"{database}@2023-11-14T22:32:00.000000"}
    two.n2.snapshots.update({name: Snapshot(("w0",), received=True) for name in mixed.values()})
    two.world.kill([task for task in two.world.tasks if task.home is two.n1])
    two.n1.up, two.n1.unseen = False, (0.0, 1e9)
    event = Event("e2", Kind.TAKEOVER, APP, APPS[0].repo, "main", "n2", force=force)
    if force:
        assert dict(observe(two.ports["n2"], event).restore) == mixed
        return
    with pytest.raises(errors.BadInput, match="of one moment"):
        observe(two.ports["n2"], event)


def test_a_volume_that_was_never_copied_keeps_the_app_from_being_taken_over_also_by_force() -> None:
    two = Two()
    record = json.loads(two.world.kv[names.record_key(APP)].value)
    two.world.write(names.record_key(APP), json.dumps({**record, "volumes": [VOLUME, f"{PROJECT}_new"]}))
    copy = f"{VOLUME}@2023-11-14T22:31:00.000000"
    two.n2.snapshots[copy] = Snapshot(("w0",), received=True)
    two.world.kill([task for task in two.world.tasks if task.home is two.n1])
    two.n1.up, two.n1.unseen = False, (0.0, 1e9)
    with pytest.raises(errors.BadInput, match=f"no complete copy of {PROJECT}_new"):
        observe(two.ports["n2"], Event("e2", Kind.TAKEOVER, APP, APPS[0].repo, "main", "n2", force=True))
    assert copy in two.n2.snapshots


def test_a_rollback_to_a_time_takes_nothing_of_different_moments() -> None:
    """As what a move had sent ahead while the app wrote; before it, this node had nothing."""
    two = Two()
    database = f"{PROJECT}_db"
    record = json.loads(two.world.kv[names.record_key(APP)].value)
    two.world.write(names.record_key(APP), json.dumps({**record, "volumes": [VOLUME, database]}))
    two.n1.volumes[database] = ["w0"]
    times = {VOLUME: ("22:31:00", "22:35:00"), database: ("22:31:07", "22:35:00")}
    two.n1.snapshots = {f"{one}@2023-11-14T{time}.000000": Snapshot(("w0",)) for one, each in times.items() for time in each}
    two.world.kill(two.world.tasks)
    with pytest.raises(errors.BadInput, match=r"no snapshot of all volumes .* there are: 2023-11-14T22:35:00"):
        observe(two.ports["n1"], Event("e2", Kind.ROLLBACK, APP, APPS[0].repo, "main", to="2023-11-14T22:33"))


@pytest.mark.parametrize("volumes", [7, "data", ["x"], [7], ["../x"], {"a": 1}])
def test_a_record_that_a_person_broke_stops_the_copies_of_no_other_app(monkeypatch: pytest.MonkeyPatch, volumes: object) -> None:
    monkeypatch.setattr(Volumes, "exists", checked(Volumes.exists))
    two = Two()
    two.world.write(names.record_key("aaa_main.12345"), json.dumps({"master": "n1", "slave": "n2", "deploy_id": "x", "volumes": volumes}))
    two.go(300)
    assert two.age() < 400


def checked(exists: Callable[[Volumes, str], bool]) -> Callable[[Volumes, str], bool]:
    """As Buttervolume's adapter does it."""

    def check(volumes: Volumes, volume: str) -> bool:
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]+", volume):
            raise errors.Permanent(f"{volume!r} is no volume")
        return exists(volumes, volume)

    return check


def test_whatever_is_wrong_with_one_app_the_others_are_copied_and_it_is_said_once(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    usual = copies.newest

    def newest(stock: Mapping[str, Sequence[copies.Held]], volumes: Sequence[str]) -> dict[str, str]:
        if "bad_data" in volumes:
            raise RuntimeError("a bug")
        return usual(stock, volumes)

    monkeypatch.setattr(copies, "newest", newest)
    monkeypatch.setattr(copies_log, "exception", lambda text, *values: said.append(text % values))
    two = Two()
    two.world.write(names.record_key("aaa_main.12345"), json.dumps({"master": "n1", "deploy_id": "x", "volumes": ["bad_data"]}))
    two.go(300)
    assert two.age() < 400
    assert said == ["aaa_main.12345: its copies cannot be looked at"]


@pytest.mark.parametrize("value", [{"tried": "x"}, {"failures": None}, {"time": 7}, {"down": "no"}, {"color": 1}, 7, []])
def test_a_round_that_a_person_broke_is_none(value: object) -> None:
    two = Two()
    two.world.write("node/n1", json.dumps({"rounds": {APP: value}}))
    two.go(300)
    assert two.age() < 400


def test_no_operation_begins_on_volumes_that_nobody_knows() -> None:
    two = Two()
    two.world.write(names.record_key(APP), json.dumps({"master": "n1", "deploy_id": DEPLOY, "volumes": 7}))
    event = Event("e2", Kind.DEPLOY, APP, APPS[0].repo, "main", "n2")
    with pytest.raises(errors.BadInput, match="volumes in app/.* are 7"):
        observe(two.ports["n2"], event)


@pytest.mark.parametrize(("state", "anew", "after"), [("exited", True, "running"), ("exited", False, "exited"), ("paused", True, "paused")])
def test_an_app_that_dockerd_left_down_is_started_when_the_worker_starts(state: str, anew: bool, after: str) -> None:  # noqa: FBT001
    """And only then: what a person stops while it runs stays so."""
    two = Two()
    two.world.kill(two.world.tasks)
    two.n1.containers[PROJECT].state = state
    resume_app(two.ports["n1"], APP, anew=anew)
    assert two.n1.containers[PROJECT].state == after
