"""One seed: an app is deployed, moved, destroyed by random messages on random nodes while things fail; then everything is checked."""

from __future__ import annotations

import json
import logging
import random
from dataclasses import dataclass, field

from memory import ports
from memory_consul import Store
from world import Node, World

from handler import errors
from handler.core import names
from handler.core.events import Message
from handler.intake import intake
from handler.node import resume_app
from handler.ports import Ports
from handler.pursue import pursue
from handler.residence import residence

REPO, BRANCH = "git://git.example.com/hosting/shop", "main"
APP = names.app_name(REPO, BRANCH)
PROJECT, VOLUME = names.project_name(APP), f"{names.project_name(APP)}_data"
DRIVERS = ("btrfs",)
STEPS = 600
"""About as many port calls as a run without faults has: faults are drawn among them."""
LIMIT = 8 * 3600.0
CALM = 400.0

logging.getLogger("handler").setLevel(logging.CRITICAL + 1)


class Broken(AssertionError):
    """An invariant does not hold."""


@dataclass
class Run:
    """``acked`` are the writes that a visitor was told are safe."""

    seed: int
    faults: int = 3
    world: World = field(init=False)
    ports: dict[str, Ports] = field(default_factory=dict)
    acked: list[str] = field(default_factory=list)
    sent: list[str] = field(default_factory=list)
    last_fault: float = 0.0

    def __post_init__(self) -> None:
        self.choice = random.Random(self.seed * 7919 + 1)  # noqa: S311 a game
        self.world = world = World(self.seed, [f"n{i}" for i in range(1, self.choice.choice((2, 3, 3, 3, 4, 5)) + 1)])
        self._failing: dict[str, int] = {}
        world.failing = self._fails
        self.ports = {name: ports(world, node) for name, node in world.nodes.items()}
        world.on_step, world.boot = self._step, self._boot
        self._at = sorted(self.choice.randrange(10, STEPS * 2) for _ in range(self.choice.randrange(self.faults + 1)))
        for node in world.nodes.values():
            self._boot(node)
        when = 1.0
        for number in range(self.choice.randrange(1, 5)):
            self._message(number, world.now + when)
            when += self.choice.choice((0.5, 3.0, 20.0, 120.0))
        self.last_fault = world.now + when

    # --- what nodes do -----------------------------------------------------------------------------------------------

    def _boot(self, node: Node) -> None:
        mine = self.ports[node.name]
        self.world.start(f"intake {node.name}", node, lambda: self._take(node, mine))
        self.world.start(f"app {node.name}", node, lambda: self._pursue(mine))

    def _take(self, node: Node, mine: Ports) -> None:
        while True:
            while node.spool:
                try:
                    intake(mine, node.spool[0])
                except errors.Temporary:
                    mine.clock.sleep(2.0)
                    continue
                node.spool.pop(0)
            mine.clock.sleep(1.0)

    def _pursue(self, mine: Ports) -> None:
        """As the worker's thread for the app, which is woken by intents and by the time."""
        index = 0
        while True:
            try:
                pursue(mine, DRIVERS, APP)
                resume_app(mine, APP)
                index = mine.store.wait("intent/", index, 30.0)
            except errors.ClusterError:
                mine.clock.sleep(5.0)

    # --- what people do ----------------------------------------------------------------------------------------------

    def _message(self, number: int, when: float) -> None:
        """One message reaches at least one node, others late, twice or never."""
        choice, names_ = self.choice, list(self.world.nodes)
        kind = "destroy" if number and choice.random() < 0.12 else "deploy"
        payload: dict[str, object] = {"repo": REPO, "branch": BRANCH}
        if kind == "deploy":
            master, *rest = choice.sample(names_, 2)
            payload |= {"master": master, **({"slave": rest[0]} if choice.random() < 0.7 else {})}
        message = Message(f"{choice.getrandbits(32):08x}-{number}", kind, json.dumps(payload))
        self.sent.append(f"{message.id} {kind} {payload}")
        first = choice.choice(names_)
        for name in names_:
            for _ in range(choice.choice((0, 1, 1, 1, 2)) or (name == first)):
                late = 0.0 if name == first else choice.choice((0.0, 0.1, 1.0, 40.0))
                node = self.world.nodes[name]
                self.world.at(when + late, lambda node=node: node.spool.append(message))

    def _write(self) -> None:
        """A visitor writes to the copy that the record names, if it runs (a trial is held); it must have all that was acknowledged."""
        record = self.world.kv.get(names.record_key(APP))
        if not record:
            return
        known = json.loads(record.text)
        node = self.world.nodes[known["master"]]
        container = node.containers.get(PROJECT)
        if node.up and container and container.state == "running" and container.deploy_id == known["deploy_id"]:
            data = node.volumes[VOLUME]
            if data != self.acked:
                self._broken(f"I2: {node.name} serves {data}, but {self.acked} was acknowledged")
            word = f"w{len(self.acked)}"
            data.append(word)
            self.acked.append(word)

    # --- faults ------------------------------------------------------------------------------------------------------

    def _step(self, node: Node | None, what: str) -> None:
        running = [one.name for one in self.world.nodes.values() if (c := one.containers.get(PROJECT)) and c.state == "running"]
        if len(running) > 1:
            self._broken(f"I1: copies run on {running} after {what}")
        if names.record_key(APP) not in self.world.kv:
            self.acked.clear()  # destroyed: the data is a snapshot now
        if self.world.random.random() < 0.1:
            self._write()
        while self._at and self.world.steps >= self._at[0]:
            self._at.pop(0)
            self._fault(node)

    def _fault(self, node: Node | None) -> None:
        choice, world = self.choice, self.world
        victim = node if node and choice.random() < 0.6 else choice.choice(list(world.nodes.values()))
        seconds = choice.choice((0.5, 3.0, 12.0, 25.0, 60.0, 200.0))
        self.last_fault = max(self.last_fault, world.now + seconds)
        kind = choice.choice(("crash", "crash", "power", "power", "cut", "cut", "session", "fail", "fail", "answer", "sick"))
        if kind == "crash":
            world.crash(victim, seconds)
        elif kind == "power":
            world.power_loss(victim, seconds)
        elif kind == "cut":
            world.cut(victim, seconds)
        elif kind == "session" and world.sessions:
            world.say("Consul ends a session early")
            world.end_session(choice.choice(sorted(world.sessions)), delay=True)
        elif kind == "fail":
            self._failing[choice.choice(("clone", "pull", "send", "restore", "snapshot", "up"))] = choice.choice((1, 1, 3))
        elif kind == "answer":
            self._failing["answer"] = 1
        elif kind == "sick":
            world.sick |= {deploy_id for one in world.nodes.values() for _, deploy_id in one.deploys}

    def _fails(self, what: str) -> bool:
        left = self._failing.get(what, 0)
        self._failing[what] = left - 1
        return left > 0

    # --- the end -----------------------------------------------------------------------------------------------------

    def go(self) -> None:
        """Run to the end; raises :class:`Broken` with a trace."""
        if not self.world.run_until(LIMIT, self._calm):
            self._broken(f"I3: after {LIMIT / 3600:.0f} hours there is no end: {self._open() or self._wrong()}")

    def _open(self) -> list[str]:
        prefix = names.op_prefix(APP)
        parts = [key.removeprefix(prefix).split("/") for key in self.world.kv if key.startswith(prefix)]
        ended = {event for event, part in parts if part == "outcome"}
        intent = self.world.kv.get(names.intent_key(APP))
        wanted = {event for event, part in parts if part == "plan"} | ({json.loads(intent.text)["id"]} if intent else set())
        return sorted(wanted - ended)

    def _calm(self) -> bool:
        world = self.world
        quiet = world.now > self.last_fault + CALM and not self._at_risk() and not world.events
        return quiet and not self._open() and all(node.up and not node.spool for node in world.nodes.values()) and not self._wrong()

    def _at_risk(self) -> bool:
        """Faults that were drawn for steps that are still to come."""
        return bool(self._at) and self.world.steps < STEPS * 2 and self.world.now < self.last_fault + 3 * CALM

    def _wrong(self) -> str:
        """What is not as the last commit says; empty when all is."""
        world = self.world
        lives = residence(Looking(world), APP)
        master = lives.placement.master if lives else ""
        for node in world.nodes.values():
            container = node.containers.get(PROJECT)
            runs = bool(container and container.state == "running")
            if runs != (node.name == master):
                return f"I4: the app lives on {master or 'nobody'}, but on {node.name} it is {container}"
            if (APP in node.tokens) != (node.name == master):
                return f"the token on {node.name} is {node.tokens}, and the master {master or 'nobody'}"
        if master:
            node = world.nodes[master]
            if node.containers[PROJECT].deploy_id != lives.deploy_id:
                return f"I4: {master} runs {node.containers[PROJECT]}, not {lives.deploy_id}"
            if node.volumes.get(VOLUME) != self.acked:
                return f"I2: {master} has {node.volumes.get(VOLUME)}, acknowledged was {self.acked}"
        if names.hold_key(APP) in world.kv:
            return "I5: the app is still held"
        return ""

    def _broken(self, what: str) -> None:
        tail = "\n".join(self.world.trace[-400:])
        raise Broken(f"{what}\nmessages: {self.sent}\nreplay: python -m pytest tests/simulation --seed={self.seed}\n{tail}")


class Looking:
    """The store, as the one who checks reads it: no time passes."""

    def __init__(self, world: World) -> None:
        self._store, self._world = Store(world, next(iter(world.nodes.values()))), world

    def get(self, key: str) -> object:
        return self._store._entry(key)

    def tree(self, prefix: str) -> tuple[object, ...]:
        return tuple(self._store._entry(key) for key in sorted(self._world.kv) if key.startswith(prefix))
