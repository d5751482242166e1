"""Events that were refused, and come again: by a replay of an agent's buffer, or late from another node."""

import json

import pytest
from apps import APPS
from memory import ports
from world import Node, World

from handler.core import names
from handler.core.events import Message
from handler.intake import REFUSALS, SEEN, intake

APP = APPS[0]
DESTROY = Message("destroy-1", "destroy", json.dumps({"repo": APP.repo, "branch": "main"}))


class Nodes:
    """Two nodes that take messages in."""

    def __init__(self) -> None:
        self.world = World(1, ("n1", "n2"))
        self.ports = {name: ports(self.world, node) for name, node in self.world.nodes.items()}

    def take(self, name: str, message: Message) -> list[str | None]:
        """What a node makes of a message: the app, or None."""
        found: list[str | None] = []
        self.world.start("intake", self.world.nodes[name], lambda: found.append(intake(self.ports[name], message)))
        self.world.pause(2.0)
        return found

    def deploy(self, name: str = "n1") -> None:
        text = json.dumps({"repo": APP.repo, "branch": "main", "master": "n1"})
        assert self.take(name, Message("deploy-1", "deploy", text)) == [APP.name]

    def intent(self) -> str:
        return json.loads(self.world.kv[names.intent_key(APP.name)].value)["id"]


def test_a_refused_destroy_does_not_come_true_when_the_app_is_deployed_later() -> None:
    nodes = Nodes()
    assert nodes.take("n1", DESTROY) == nodes.take("n2", DESTROY) == [None]
    nodes.world.pause(60.0)
    nodes.deploy()
    assert nodes.take("n1", DESTROY) == nodes.take("n2", DESTROY) == [None]
    assert nodes.intent() == "deploy-1"


def test_a_node_does_not_take_back_its_refusal_soon_after_it() -> None:
    nodes = Nodes()
    nodes.take("n1", DESTROY)
    nodes.deploy()
    assert nodes.take("n1", DESTROY) == [None]
    assert nodes.intent() == "deploy-1"


def test_a_node_that_knows_the_app_already_accepts_what_another_one_refused_a_moment_before() -> None:
    nodes = Nodes()
    nodes.take("n1", DESTROY)
    nodes.deploy("n2")
    assert nodes.take("n2", DESTROY) == [APP.name]
    assert nodes.intent() == DESTROY.id


def test_a_refusal_that_a_person_broke_is_final() -> None:
    nodes = Nodes()
    nodes.world.write(names.history_key(names.REFUSED, DESTROY.id), '{"started": 7}')
    nodes.deploy()
    assert nodes.take("n2", DESTROY) == [None]


def test_as_many_refusals_are_remembered_as_an_agent_may_replay() -> None:
    nodes = Nodes()
    for number in range(REFUSALS + 3):
        nodes.take("n1", Message(f"e{number}", "destroy", DESTROY.payload))
    kept = [entry.key for entry in nodes.world.tree("history/refused/")]
    assert len(kept) == REFUSALS >= SEEN == 256
    assert "history/refused/e2" not in kept
    assert f"history/refused/e{REFUSALS + 2}" in kept


CALLS = 6
"""As many as an intake and its repetition have."""


@pytest.mark.parametrize("call", range(CALLS))
def test_a_crash_at_any_call_leaves_no_superseded_event_without_an_end(call: int) -> None:
    nodes = Nodes()
    nodes.deploy()
    counted, crashes = iter(range(10**9)), list[str]()

    def crash(node: Node, what: str) -> None:
        if next(counted) == call:
            crashes.append(what)
            nodes.world.crash(node, 1.0)

    nodes.world.on_step = crash
    newer = Message("deploy-2", "deploy", json.dumps({"repo": APP.repo, "branch": "main", "master": "n2"}))
    nodes.take("n1", newer)
    nodes.take("n1", newer)  # its file is still in the spool
    assert crashes
    assert nodes.intent() == "deploy-2"
    for key in (names.op_key(APP.name, "deploy-1", "outcome"), names.history_key(APP.name, "deploy-1")):
        assert "superseded by deploy deploy-2" in nodes.world.kv[key].value


def test_an_event_that_has_begun_is_not_superseded() -> None:
    nodes = Nodes()
    nodes.deploy()
    nodes.world.write(names.op_key(APP.name, "deploy-1", "plan"), "{}")
    nodes.take("n1", Message("deploy-2", "deploy", json.dumps({"repo": APP.repo, "branch": "main", "master": "n2"})))
    assert nodes.intent() == "deploy-2"
    assert names.op_key(APP.name, "deploy-1", "outcome") not in nodes.world.kv
