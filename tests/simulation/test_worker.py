"""What the worker does with what it cannot use: one bad message, or app, keeps none of the others from it."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from memory import ports
from run import APPS
from world import World

from handler import errors, settings, spool, worker
from handler.core import names
from handler.core.events import Message
from handler.ports import Ports
from handler.settings import Settings
from handler.worker import Worker

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
