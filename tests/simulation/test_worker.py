"""What the worker does with what it cannot use: one bad message, or app, keeps none of the others from it."""

import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from apps import APPS
from memory import ports
from world import Container, World

from handler import errors, resume, settings, snapshot, spool, wiring, worker
from handler.core import names
from handler.core.entries import CONCLUDED
from handler.core.events import Message
from handler.ports import Ports
from handler.settings import Settings
from handler.worker import Worker

START, COMMIT = "before begun take ownership for deploy d1", "before begun commit: n1 is the master"
GOOD = Message("good", "deploy", json.dumps({"repo": APPS[0].repo, "branch": "main", "master": "n1"}))


@pytest.fixture
def here(tmp_path: Path) -> Settings:
    return settings.read({"CLUSTER_NODE": "n1", "CLUSTER_STATE_DIR": str(tmp_path / "state"), "CLUSTER_RUN_DIR": str(tmp_path / "run")})


def in_world(world: World, work: Callable[[Ports], None]) -> None:
    """Have the first node do something, to its end."""
    node = next(iter(world.nodes.values()))
    world.start("test", node, lambda: work(ports(world, node)))
    world.pause(600.0)


def take(world: World, here: Settings) -> list[str]:
    """Take what is in the spool once; returns the apps that are woken."""
    woken: list[str] = []

    def work(mine: Ports) -> None:
        one = Worker(here, mine)
        one.wake = woken.append  # type: ignore[method-assign]
        one.take_spool()

    in_world(world, work)
    return woken


@pytest.mark.parametrize(
    ("name", "payload"),
    [
        ("deploy", {"repo": "https://a[b/x", "branch": "main", "master": "n1"}),
        ("deploy", {"repo": "https://host/\ud800", "branch": "main", "master": "n1"}),
        ("dance", {}),
    ],
)
def test_a_message_that_nobody_understands_is_refused_and_the_next_one_is_taken(here: Settings, name: str, payload: object) -> None:
    world = World(1, ("n1",))
    spool.put(here.spool, Message("bad", name, json.dumps(payload)))
    spool.put(here.spool, GOOD)
    assert take(world, here) == [APPS[0].name]
    assert list(here.spool.iterdir()) == []
    assert json.loads(world.kv["history/refused/bad"].value)["outcome"] == "refused"


@pytest.mark.parametrize("error", [errors.Permanent("Consul refuses"), RuntimeError("a bug")])
def test_a_message_that_cannot_be_taken_is_put_aside(here: Settings, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    usual = worker.intake

    def intake(mine: Ports, message: Message) -> str | None:
        if message.id == "bad":
            raise error
        return usual(mine, message)

    monkeypatch.setattr(worker, "intake", intake)
    monkeypatch.setattr(worker.log, "exception", lambda *_: None)
    spool.put(here.spool, Message("bad", "deploy", "{}"))
    spool.put(here.spool, GOOD)
    assert take(World(1, ("n1",)), here) == [APPS[0].name]
    assert [path.name for path in here.spool.iterdir()] == ["bad.bad"]


def test_a_message_waits_with_those_that_follow_it_while_consul_does_not_answer(here: Settings) -> None:
    world = World(1, ("n1",))
    world.nodes["n1"].cut_until = 1e9
    spool.put(here.spool, GOOD)
    assert take(world, here) == []
    assert [path.name for path in here.spool.iterdir()] == ["good.json"]


def test_an_intent_whose_ids_a_person_broke_is_taken_over(here: Settings) -> None:
    world = World(1, ("n1",))
    world.write(names.intent_key(APPS[0].name), json.dumps({"seen": None}))
    spool.put(here.spool, GOOD)
    assert take(world, here) == [APPS[0].name]
    assert json.loads(world.kv[names.intent_key(APPS[0].name)].value)["seen"] == ["good"]


def test_a_file_in_the_spool_that_is_no_message_is_put_aside(here: Settings) -> None:
    spool.put(here.spool, GOOD)
    (here.spool / "odd.json").write_text('{"id": 3, "name": "deploy", "payload": null}')
    assert [message.id for _, message in spool.waiting(here.spool)] == ["good"]
    assert (here.spool / "odd.bad").exists()


RECORD = json.dumps({"master": "n1", "deploy_id": "20260101000000-aaaa", "volumes": []})


@pytest.mark.parametrize("error", [errors.Temporary("Docker is slow"), errors.Permanent("no file's name"), OSError("a name too long")])
def test_one_app_that_cannot_be_resumed_keeps_none_of_the_others_from_it(
    here: Settings, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    done: list[str] = []

    def some(_ports: Ports, *rest: object, **_more: bool) -> bool:
        done.append(str(rest[-1]))
        if rest[-1] == APPS[0].name:
            raise error
        return True

    monkeypatch.setattr(resume, "resume_app", some)
    monkeypatch.setattr(resume, "pursue", some)
    world = World(1, ("n1",))
    for one in APPS:
        world.write(names.record_key(one.name), RECORD)
        world.write(names.intent_key(one.name), "{}")
    monkeypatch.setattr(resume, "start", lambda: here)
    codes: list[int] = []

    def work(mine: Ports) -> None:
        monkeypatch.setattr(resume, "wire", lambda _here: mine)
        codes.append(resume.main([]))

    in_world(world, work)
    everybody = sorted(one.name for one in APPS)
    assert (codes, done) == ([1], [*everybody, *everybody])


def test_nothing_is_resumed_while_consul_does_not_answer(here: Settings) -> None:
    world, seen = World(1, ("n1",)), list[str]()
    world.nodes["n1"].cut_until = 1e9

    def work(mine: Ports) -> None:
        with pytest.raises(errors.StoreUnavailable):
            resume.resume_all(here, mine, seen.append)
        seen.append("raised")

    in_world(world, work)
    assert seen == ["raised"]


@pytest.mark.parametrize("program", [worker.main, resume.main])
def test_a_node_that_was_renamed_touches_nothing(
    here: Settings, monkeypatch: pytest.MonkeyPatch, program: Callable[[list[str]], int]
) -> None:
    """Consul knows no app that lives under its new name: it would put away all that is live, as a replaced master does."""
    for module in (worker, resume):
        monkeypatch.setattr(module, "start", lambda: replace(here, node="n1.example.com"))
        monkeypatch.setattr(module, "wire", lambda _here: pytest.fail("it works"))
    wiring.keep_name(here)
    wiring.keep_name(here)
    with pytest.raises(errors.BadInput, match="was n1 and is called n1.example.com now"):
        program([])


class Once:
    """As an event, that is set as soon as somebody waits for it."""

    def __init__(self) -> None:
        self._over = False

    def is_set(self) -> bool:
        return self._over

    def wait(self, _seconds: float) -> None:
        self._over = True


@pytest.mark.parametrize(
    ("consul", "entries", "state"),
    [
        (True, [START], "exited"),
        (True, [START, COMMIT], "running"),
        (False, [START], "exited"),
        (False, [START, COMMIT], "exited"),
        (False, [START, COMMIT, "committed begun register the service"], "running"),
        (False, [START, "aborted begun start the containers of deploy d1"], "running"),
        (False, [START, "aborted done start the containers of deploy d1"], "running"),
        (False, [START, CONCLUDED], "running"),
        (False, [f"{START}2"], "running"),
    ],
)
def test_a_worker_that_starts_stops_what_may_be_a_trial(here: Settings, consul: bool, entries: list[str], state: str) -> None:
    """Of what may have been committed Consul is asked first."""
    world, one = World(1, ("n1",)), APPS[0]
    node = world.nodes["n1"]
    node.containers[one.project], node.tokens[one.name] = Container("d1", "running", 0.0), "d1"
    node.journal[one.name, "e1"] = frozenset(entries)
    (here.journal / one.name).mkdir(parents=True)
    node.cut_until = 0.0 if consul else 1e9
    in_world(world, lambda mine: worker._until_consul_answers(Worker(here, mine), Once()))
    assert node.containers[one.project].state == state
    assert (one.name in node.tokens) == (state == "running")


@pytest.mark.parametrize("consul", [True, False])
def test_a_worker_that_starts_lets_go_on_what_it_froze_before_it_died(here: Settings, consul: bool) -> None:
    world, one = World(1, ("n1",)), APPS[0]
    node = world.nodes["n1"]
    node.containers[one.project], node.tokens[one.name] = Container("d1", "paused", 0.0), "d1"
    node.journal[one.name, snapshot.JOURNAL] = frozenset([f"{snapshot.PAUSED}{one.project}-web-1"])
    (here.journal / one.name).mkdir(parents=True)
    node.cut_until = 0.0 if consul else 1e9
    in_world(world, lambda mine: worker._until_consul_answers(Worker(here, mine), Once()))
    assert node.containers[one.project].state == "running"


@pytest.fixture
def woken(here: Settings, monkeypatch: pytest.MonkeyPatch) -> Callable[[World, bool], list[str]]:
    """What one worker wakes with the next look; it sweeps only with the first one, unless that is undone."""
    apps = list[str]()
    monkeypatch.setattr(Worker, "wake", lambda _self, app: apps.append(app))
    workers = list[Worker]()

    def look(world: World, told: bool) -> list[str]:
        def work(mine: Ports) -> None:
            workers.extend([] if workers else [Worker(here, mine)])
            with suppress(errors.StoreUnavailable):
                workers[0].look(told=told)

        apps.clear()
        in_world(world, work)
        return list(apps)

    return look


def test_an_app_that_has_a_record_and_no_intent_is_looked_at_again(
    woken: Callable[[World, bool], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(1, ("n1",))
    world.write(names.record_key(APPS[0].name), RECORD)
    world.write(names.intent_key(APPS[1].name), "{}")
    everybody = sorted((APPS[0].name, APPS[1].name))
    assert woken(world, False) == everybody
    assert woken(world, False) == []
    monkeypatch.setattr(worker, "SWEEP", -1.0)
    assert woken(world, False) == everybody


def test_an_intent_that_changes_wakes_its_app_alone_also_when_consul_answers_only_later(woken: Callable[[World, bool], list[str]]) -> None:
    world = World(1, ("n1",))
    for one in APPS:
        world.write(names.intent_key(one.name), "{}")
    woken(world, True)
    assert woken(world, True) == []
    world.write(names.intent_key(APPS[0].name), '{"seen": []}')
    world.nodes["n1"].cut_until = 1e9
    assert woken(world, True) == []
    world.nodes["n1"].cut_until = 0.0
    assert woken(world, False) == [APPS[0].name]
    assert woken(world, False) == []
