"""What people do: they send messages, which the gossip brings to the nodes, late, twice, or to some of them only."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from apps import BRANCH, App
from world import START, Node

from handler.core.events import Message

if TYPE_CHECKING:
    from run import Run

PERSON = "somebody"
REASONS = ("new disk", "deploy freeze until monday")


def is_a_person_s(hold: str | None) -> bool:
    """Whether a value of ``maintenance/<app>`` is not an operation's."""
    return hold is not None and json.loads(hold)["who"] == PERSON


class People:
    """Of one run, which draws for them. ``at_work`` while one of them writes to Consul."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self.at_work = False

    def send(self) -> None:
        """A message; sometimes another one that moves another app the other way."""
        choice = self._run.choice
        first, *others = choice.sample(self._run.apps, len(self._run.apps))
        kind = choice.choices(*zip(*self._run.profile.kinds, strict=True))[0] if self._run.messages else "deploy"
        payload = getattr(self, f"_{kind}")(first)
        self.publish(first, kind, payload)
        if others and kind == "deploy" and choice.random() < 0.4:
            back = {"master": payload.get("slave") or payload["master"], "slave": payload["master"] if payload.get("slave") else ""}
            self.publish(others[0], "deploy", {key: value for key, value in back.items() if value})

    def _deploy(self, _one: App) -> dict[str, Any]:
        master, slave = self._run.choice.sample(list(self._run.world.nodes), 2)
        more = {"update": True} if self._run.choice.random() < 0.15 else {}
        return {"master": master, **({"slave": slave} if self._run.choice.random() < 0.7 else {}), **more}

    def _destroy(self, _one: App) -> dict[str, Any]:
        return {}

    def _rollback(self, one: App) -> dict[str, Any]:
        """To a deploy that was committed once, or to a time."""
        ago = datetime.fromtimestamp(START + self._run.world.now - self._run.choice.choice((0.0, 5.0, 60.0)), UTC)
        return {"to": self._run.choice.choice([*self._run.deploys[one.name], f"{ago:%Y-%m-%dT%H:%M:%S}"])}

    def _takeover(self, _one: App) -> dict[str, Any]:
        return {"master": self._run.choice.choice(list(self._run.world.nodes)), "force": self._run.choice.random() < 0.4}

    def _migrate(self, one: App) -> dict[str, Any]:
        """From this app into another; into itself, which is refused, when there is only one."""
        return {"target": {"repo": next((other.repo for other in self._run.apps if other is not one), one.repo)}}

    def maintain(self, one: App, mode: str, seconds: float) -> None:
        """Put a word of one's own where an operation's hold may be, for so many seconds at least."""
        self._put(one, json.dumps({"who": PERSON, "why": self._run.choice.choice(REASONS), "mode": mode}))
        self._run.later(self._run.world.now + seconds, lambda: self._serve_again(one))

    def _serve_again(self, one: App) -> None:
        run, found = self._run, self._run.world.kv.get(one.hold)
        if any(op.app == one.name and event not in run.outcomes for event, op in run.plans.items()):
            run.later(run.world.now + 5.0, lambda: self._serve_again(one))
        elif found and is_a_person_s(found.value):
            self._put(one, None)

    def _put(self, one: App, text: str | None) -> None:
        self.at_work = True
        self._run.world.write(one.hold, text)
        self.at_work = False

    def publish(self, one: App, kind: str, payload: dict[str, Any]) -> None:
        text = json.dumps({"repo": one.repo, "branch": BRANCH, **payload})
        message = Message(f"{self._run.choice.getrandbits(32):08x}-{len(self._run.messages)}", kind, text)
        self._run.messages.append(message)
        self._run.world.say(f"somebody sends {kind} {message.id}: {one.name} {payload}")
        first = self._run.choice.choice(list(self._run.world.nodes))
        for name, node in self._run.world.nodes.items():
            for _ in range(self._run.choice.choice((0, 1, 1, 1, 2)) or (name == first)):
                self.deliver(message, node, 0.0 if name == first else self._run.choice.choice((0.0, 0.1, 1.0, 40.0)))

    def deliver(self, message: Message, node: Node, seconds: float) -> None:
        """The gossip brings a message to a node, where it is written to the spool, if the power lasts that long."""
        self._run.later(self._run.world.now + seconds, lambda: self._run.world.start("receive", node, lambda: self._receive(message, node)))

    def _receive(self, message: Message, node: Node) -> None:
        if not node.up:
            return
        self._run.world.call(node, node.name, f"spool {message.id}")
        if self._run.world.now >= node.full_until and message not in node.spool:
            node.spool.append(message)
            self._run.world.touch(f"spool/{node.name}")
