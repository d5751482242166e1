"""Leaders that hear nothing, die, or lose all that they had: what they leave behind keeps nobody from anything."""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest
from faults import disk_lost, isolated, journal_full, power_lost
from memory_consul import Store
from memory_docker import Compose
from story import Story
from world import TTL, Node, World

from handler import holds
from handler.core.kv import Op
from handler.core.model import Container


@pytest.mark.parametrize("healthy_after", [1.0, 9.0])
def test_a_leader_that_hears_nothing_of_consul_stops_its_trial_before_the_old_copy_starts(
    monkeypatch: pytest.MonkeyPatch, healthy_after: float
) -> None:
    """Its calls hang for as long as it lets them, whenever it is cut off; sessions end as early as Consul may end them."""
    containers = Compose.containers

    def starting(self: Compose, project: str) -> tuple[Container, ...]:
        found = containers(self, project)
        young = self.node.name == "n2" and found and self.world.now - self.node.containers[project].since < healthy_after
        return tuple(replace(one, health="starting") for one in found) if young else found

    monkeypatch.setattr(Compose, "containers", starting)
    monkeypatch.setattr(World, "renew", lambda self, session: self.sessions.update({session: self.now + TTL}))
    for fifth in range(50):
        story = Story()
        story.tell(1.0, "deploy", master="n1", slave="n3")
        story.tell(60.0, "deploy", master="n2", slave="n1")

        def hangs(node: Node, story: Story = story) -> None:
            isolated(story, node, 250.0)
            node.hangs = 30.0

        def soon(node: Node, story: Story = story, seconds: float = fifth / 5) -> None:
            story.later(story.world.now + seconds, lambda: hangs(node))

        story.when("n2", "before begun wait until deploy", 1, soon)
        story.go()


def dies(story: Story, node: Node) -> None:
    power_lost(story, node, 250.0)


def loses_all(story: Story, node: Node) -> None:
    disk_lost(story, node, 250.0)


@pytest.mark.parametrize(("words", "fault"), [("journal: before begun fetch", dies), ("before begun start the containers", loses_all)])
def test_others_lead_again_after_a_leader_that_knows_of_nothing(words: str, fault: Callable[[Story, Node], None]) -> None:
    """It had begun nothing yet, or lost its disk in a trial: it has nothing to take back, and nobody else can say that."""
    story = Story()
    story.tell(1.0, "deploy", master="n1", slave="n3")
    story.tell(60.0, "deploy", master="n2", slave="n1")
    story.when("n2", words, 1, lambda node: fault(story, node))
    story.tell(150.0, "deploy", master="n1", slave="n3")
    story.tell(500.0, "deploy", master="n3", slave="n1")
    story.go()
    assert list(story.outcomes.values()) == ["committed", "aborted", "committed", "committed"]


def test_a_leader_that_lost_its_disk_says_first_that_its_trial_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Then it sees to how it has to be by the commit before, be that as slow as an image is to pull."""
    story, pull, slow = Story(), Compose.pull, list[Node]()
    story.tell(1.0, "deploy", master="n1", slave="n2")
    story.tell(60.0, "deploy", master="n2", slave="n1")
    back: list[float] = []

    def pulled(self: Compose, directory: str, services: Sequence[str], *, refresh: bool) -> None:
        if self.node in slow:
            self.look("pull slowly", 900.0)
        pull(self, directory, services, refresh=refresh)

    def lost(node: Node) -> None:
        slow.append(node)
        disk_lost(story, node, 10.0)
        back.append(story.world.now)

    monkeypatch.setattr(Compose, "pull", pulled)
    story.when("n2", "before begun start the containers", 1, lost)
    story.when("n1", "aborted done start the containers", 1, lambda _: back.append(story.world.now))
    story.go()
    assert back[1] - back[0] < 60.0


def test_a_master_that_is_back_lifts_the_hold_of_a_takeover_whose_leader_died() -> None:
    story = Story()
    app = story.apps[0]
    story.tell(1.0, "deploy", master="n1", slave="n3")
    story.later(story.world.now + 60.0, lambda: power_lost(story, story.world.nodes["n1"], 100.0))
    story.tell(80.0, "takeover", master="n3")
    story.when("n3", "before begun load the data", 1, lambda node: power_lost(story, node, 900.0))
    story.quiet = story.world.now + 1200.0
    seen: list[tuple[bool, str]] = []

    def look() -> None:
        seen.append((app.hold in story.world.kv, story.world.nodes["n1"].containers[app.project].state))

    story.later(story.world.now + 400.0, look)
    story.go()
    assert list(story.outcomes.values()) == ["committed", "aborted"]
    assert seen == [(False, "running")]


def test_an_operation_ends_although_its_leader_died_and_the_disk_of_who_looks_on_is_full() -> None:
    story = Story()
    n1, n3 = (story.world.nodes[name] for name in ("n1", "n3"))
    story.tell(1.0, "deploy", master="n1")
    story.later(story.world.now + 50.0, lambda: journal_full(story, n3, 200.0))
    story.quiet = story.world.now + 600.0
    story.tell(60.0, "deploy", master="n2", slave="n1")
    story.when("n2", "before begun pull images", 1, lambda node: power_lost(story, node, 500.0))
    story.when("n2", "before begun pull images", 1, lambda _: power_lost(story, n1, 500.0))
    ended: list[str] = []
    story.later(story.world.now + 200.0, lambda: ended.extend(story.outcomes.values()))
    story.go()
    assert ended == ["committed", "aborted"]


def test_a_person_s_hold_and_page_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where one changed what an operation left, and when one is set in the very moment in which that is lifted."""
    world, node = World(1, ("n1",)), "n1"
    store = Store(world, world.nodes[node])
    world.write("op/a/e1/outcome", "{}")
    left, page, persons = (
        {"why": "takeover e1", "mode": "hold", "event": "e1"},
        {"why": "takeover e1", "mode": "page", "event": "e1"},
        {"why": "takeover of the whole site", "mode": "hold"},
    )

    def after(value: dict[str, str], between: Callable[[], None] = lambda: None) -> str:
        world.write("maintenance/a", json.dumps(value))
        transact = Store.transact

        def late(self: Store, ops: Sequence[Op]) -> bool:
            monkeypatch.setattr(Store, "transact", transact)
            between()
            return transact(self, ops)

        monkeypatch.setattr(Store, "transact", late)
        world.start("test", world.nodes[node], lambda: holds.lift_left_over(store, "a"))
        world.pause(60.0)
        monkeypatch.setattr(Store, "transact", transact)
        found = world.kv.get("maintenance/a")
        return found.value if found else ""

    assert after(left) == ""
    assert json.loads(after(page)) == page
    assert json.loads(after(persons)) == persons
    assert json.loads(after(left, lambda: world.write("maintenance/a", json.dumps(persons)))) == persons
