"""Migrate, seen from the app that gives its data: its own operations go on meanwhile, and what they try, and may take back, is not given."""

import json
from dataclasses import replace
from datetime import UTC, datetime

import memory_buttervolume
import memory_docker
import pytest
from apps import App
from faults import cut_from_peers, power_lost
from memory_docker import BOOTED
from story import QUIET, Story
from world import START, Node

from handler.core import names

TWO = replace(QUIET, apps=(2,), copying=1.0)
AWAIT = "before begun wait until deploy"


class Lending(Story):
    """``production`` lives on n1 and has its slave on n2, where ``staging`` lives."""

    def __init__(self) -> None:
        super().__init__(TWO)
        self.production, self.staging = self.apps
        self.n1, self.n2 = (self.world.nodes[name] for name in ("n1", "n2"))
        self.tell(1.0, "deploy", self.production, master="n1", slave="n2")
        self.tell(30.0, "deploy", self.staging, master="n2", slave="n3")

    def lend(self) -> None:
        self.people.publish(self.production, "migrate", {"target": {"repo": self.staging.repo}})

    def n1_dies(self, after: float) -> None:
        """And is taken over."""
        self.later(self.world.now + after, lambda: power_lost(self, self.n1, 300.0))
        self.tell(after + 20.0, "takeover", self.production, master="n2")

    def outcome_of(self, kind: str) -> str:
        (event,) = (message.id for message in self.messages if message.name == kind)
        return self.outcomes[event]

    def why(self, event: str) -> str:
        return str(json.loads(self.world.kv[names.op_key(self.staging.name, event, "outcome")].value).get("why", ""))

    def served(self, one: App) -> list[str]:
        return self.world.nodes[self.records[one.name]["master"]].volumes[one.volume]


def slow(story: Lending, deploy_id: str, *, sick_after: float) -> None:
    """The version takes half a minute to become healthy, and a little before that it fails."""
    story.world.slow[deploy_id] = 30.0
    story.later(story.world.now + sick_after, lambda: story.world.sick.add(deploy_id))


def test_what_a_version_writes_that_is_taken_back_is_neither_given_nor_a_copy() -> None:
    """Else production would go on from it, when its master dies after that."""
    story = Lending()
    story.tell(100.0, "deploy", story.production, master="n1", slave="n2", update=True)

    def tried(node: Node) -> None:
        (new,) = {one for app, one in node.deploys if app == story.production.name} - {story.records[story.production.name]["deploy_id"]}
        slow(story, new, sick_after=25.0)
        story.lend()

    story.when("n1", AWAIT, 2, tried)
    story.n1_dies(400.0)
    story.go()
    assert story.outcome_of("migrate") == "aborted"
    assert story.outcome_of("takeover") == "committed"


def test_what_a_rollback_loads_that_fails_is_neither_given_nor_a_copy() -> None:
    story = Lending()
    story.tell(100.0, "deploy", story.production, master="n1", slave="n2")
    old = datetime.fromtimestamp(START + story.world.now + 60.0, UTC)
    story.tell(200.0, "rollback", story.production, to=f"{old:%Y-%m-%dT%H:%M:%S}")

    def tried(_node: Node) -> None:
        deploy_id = story.records[story.production.name]["deploy_id"]
        slow(story, deploy_id, sick_after=25.0)
        story.later(story.world.now + 35.0, lambda: (story.world.sick.discard(deploy_id), story.world.slow.clear()))
        story.lend()

    story.when("n1", AWAIT, 3, tried)
    story.n1_dies(600.0)
    story.go()
    assert story.outcome_of("rollback") == story.outcome_of("migrate") == "aborted"
    assert story.outcome_of("takeover") == "committed"


def test_all_volumes_are_given_or_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """A rollback deletes a live volume before it puts the other in its place; here that takes a second, and the snapshot falls into it."""
    story = Lending()
    act, config, asked = memory_buttervolume.Volumes.act, memory_docker.Compose.config, []
    old = datetime.fromtimestamp(START + story.world.now + 60.0, UTC)

    def slowly(volumes: memory_buttervolume.Volumes, what: str, seconds: float = 0.0) -> None:
        act(volumes, what, 1.0 if what.startswith("restoring") else seconds)

    def just_then(compose: memory_docker.Compose, directory: str) -> object:
        """The last thing that a migrate asks before it looks which volumes there are."""
        if any(message.name == "migrate" for message in story.messages) and story.production.name in directory and not asked:
            asked.append(directory)
            story.people.publish(story.production, "rollback", {"to": f"{old:%Y-%m-%dT%H:%M:%S}"})
            while story.production.volume in story.n1.volumes:
                compose.look("waits", 0.05)
        return config(compose, directory)

    monkeypatch.setattr(memory_buttervolume.Volumes, "act", slowly)
    monkeypatch.setattr(memory_docker.Compose, "config", just_then)
    story.tell(100.0, "migrate", story.production, target={"repo": story.staging.repo})
    story.go()
    assert asked
    assert story.outcome_of("migrate") == "aborted" or [word for word in story.served(story.staging) if word[0] != BOOTED]


def test_what_waits_to_be_given_does_not_come_after_the_copy_of_a_newer_version(monkeypatch: pytest.MonkeyPatch) -> None:
    """What comes last is the newest copy, and sends of one volume to one node wait for each other, in no order."""
    story = Lending()
    story.tell(100.0, "migrate", story.production, target={"repo": story.staging.repo})
    story.tell(104.0, "deploy", story.production, master="n1", slave="n2", update=True)
    ask = memory_buttervolume.Volumes.ask

    def behind(volumes: memory_buttervolume.Volumes, what: str, seconds: float = 0.0, *, change: bool = True) -> None:
        late = what.startswith("send ") and what.split()[1] in story.lent
        ask(volumes, what, 60.0 if late else seconds, change=change)

    monkeypatch.setattr(memory_buttervolume.Volumes, "ask", behind)
    story.n1_dies(400.0)
    story.go()
    assert story.lent
    assert story.outcome_of("migrate") == "aborted"
    assert story.outcome_of("takeover") == "committed"


@pytest.mark.parametrize("kind", ["first copy", "round"])
def test_a_copy_that_what_is_given_has_overtaken_is_not_sent_after_it(monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    """Else a takeover would start from it, and what was written between the two would be lost. A newer one follows."""
    story = Lending()
    ask, late, found = memory_buttervolume.Volumes.ask, [], []
    since = story.world.now + 150.0

    def behind(volumes: memory_buttervolume.Volumes, what: str, seconds: float = 0.0, *, change: bool = True) -> None:
        if what.startswith(f"send {story.production.volume}@") and not late and story.world.now > since:
            late.append(what.split()[1])
            story.later(story.world.now + 1.0, story.lend)
            seconds = 30.0
        ask(volumes, what, seconds, change=change)

    monkeypatch.setattr(memory_buttervolume.Volumes, "ask", behind)
    if kind == "first copy":
        story.tell(151.0, "deploy", story.production, master="n1", slave="n2", update=True)
    else:
        story.quiet = story.world.now + 600.0  # rounds are made each minute
    for seconds in range(150, 400, 5):  # in the order of arrival; old ones are purged meanwhile
        story.later(story.world.now + seconds, lambda: found.extend(name for name in story.n2.snapshots if name not in found))
    story.n1_dies(400.0)
    story.go()
    assert story.outcome_of("migrate") == story.outcome_of("takeover") == "committed"
    (lent,) = story.lent
    assert late[0] not in found
    assert [name for name in found[found.index(lent) + 1 :] if name.startswith(f"{story.production.volume}@")]


def test_what_is_given_that_a_copy_has_overtaken_is_not_sent_after_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its name is told already, and another one cannot take its place: the migrate ends at once, and can be sent again."""
    story = Lending()
    story.quiet = story.world.now + 600.0  # rounds are made each minute
    ask, refused = memory_buttervolume.Volumes.ask, []

    def behind(volumes: memory_buttervolume.Volumes, what: str, seconds: float = 0.0, *, change: bool = True) -> None:
        late = what.startswith("send ") and what.split()[1] in story.lent and not refused
        refused.extend([what.split()[1]] if late else [])
        if late:
            story.later(story.world.now + 150.0, story.lend)
        ask(volumes, what, 90.0 if late else seconds, change=change)

    monkeypatch.setattr(memory_buttervolume.Volumes, "ask", behind)
    story.tell(100.0, "migrate", story.production, target={"repo": story.staging.repo})
    story.n1_dies(500.0)
    story.go()
    outcomes = [(story.outcomes[message.id], story.why(message.id)) for message in story.messages if message.name == "migrate"]
    assert [outcome for outcome, _ in outcomes] == ["aborted", "committed"]
    assert "send the event again" in outcomes[0][1]
    assert refused[0] not in story.n2.snapshots


def test_a_takeover_after_a_migrate_whose_copy_did_not_arrive_starts_from_before_it_and_says_so() -> None:
    story = Lending()
    n3 = story.world.nodes["n3"]
    story.later(story.world.now + 99.0, lambda: cut_from_peers(story, n3, 1000.0))
    story.later(story.world.now + 100.0, story.lend)
    story.later(story.world.now + 260.0, lambda: power_lost(story, story.n2, 500.0))
    story.tell(300.0, "takeover", story.staging, master="n3")
    story.quiet = story.world.now + 900.0
    story.go()
    assert list(story.outcomes.values()) == ["committed"] * 4
    *_, migrate, takeover = (message.id for message in story.messages)
    ((_, copy),) = story.plans[takeover].restore
    assert story.world.taken_at[copy] < story.ended[migrate]
    assert copy.partition("@")[2] in json.loads(story.world.kv[names.history_key(story.staging.name, takeover)].value)["data"]


def test_a_round_of_a_destroyed_app_that_waits_to_be_sent_is_not() -> None:
    """It would be the newest copy of the next app that has its name."""
    story = Story(replace(QUIET, copying=1.0))
    app, n2 = story.apps[0], story.world.nodes["n2"]
    story.tell(1.0, "deploy", master="n1", slave="n2")
    story.quiet = story.world.now + 600.0  # rounds are made each minute
    line = (app.volume, n2.address)
    waiting: list[str] = []

    def stands(node: Node) -> None:
        node.sending.add(line)
        waiting.extend(name for name in node.snapshots if name not in n2.snapshots)
        story.people.publish(app, "destroy", {})
        story.later(story.world.now + 60.0, lambda: node.sending.discard(line))

    story.later(story.world.now + 50.0, lambda: story.when("n1", f"send {app.volume}", 1, stands))
    story.later(story.quiet, lambda: None)
    story.go()
    assert waiting
    assert not set(waiting) & set(n2.snapshots)
