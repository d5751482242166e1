"""What one seed in many thousands found, told again: so that it happens in every run of the tests."""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest
from faults import disk_full, docker_silent, handler_killed, handler_stalls, isolated, journal_full, power_lost
from memory_consul import Store
from memory_docker import Compose
from run import Profile, Run
from world import TTL, Node, World

from handler import errors, holds
from handler.core import limits, names
from handler.core.kv import Op
from handler.core.model import Container
from handler.ports import Entry

QUIET = Profile(messages=(0,), most_faults=0, nodes=(3,), apps=(1,), copying=0.0)
"""Nothing happens but what a story tells."""


class Story(Run):
    """Three nodes and one app; ``tell`` and ``when`` say what happens."""

    def tell(self, after: float, kind: str, **payload: object) -> None:
        """Somebody sends a message so many seconds after the beginning."""
        self.later(self.world.now + after, lambda: self.people.publish(self.apps[0], kind, payload))

    def when(self, name: str, words: str, times: int, what: Callable[[Node], None]) -> None:
        """Do something when a node calls a port with these words, at the so-manieth time."""
        before, left = self.world.on_step, [times]

        def step(node: Node, said: str) -> None:
            before(node, said)
            if node.name == name and words in said:
                left[0] -= 1
                if not left[0]:
                    what(node)

        self.world.on_step = step


def test_without_a_failure_each_operation_is_committed() -> None:
    story = Story(1, QUIET)
    story.tell(1.0, "deploy", master="n1", slave="n2")
    story.tell(60.0, "deploy", master="n2", slave="n1", update=True)
    story.tell(120.0, "rollback", to="2023-11-14T22:31:00")
    story.tell(180.0, "destroy")
    story.tell(240.0, "deploy", master="n3")
    story.go()
    assert list(story.outcomes.values()) == ["committed"] * 5


def test_a_handler_that_is_killed_while_its_node_is_cut_off_stops_its_trial_when_it_starts() -> None:
    """The others take the node for dead, and start the old copy."""
    story = Story(1, QUIET)
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
    story = Story(1, QUIET)
    story.tell(1.0, "deploy", master="n2", slave="n3")
    story.tell(60.0, "deploy", master="n2", slave="n1")
    story.when("n2", "before begun commit", 2, lambda node: isolated(story, node, 250.0))
    story.tell(180.0, "takeover", master="n3")
    story.go()
    assert list(story.outcomes.values()) == ["committed", "aborted", "committed"]
    assert story.records[story.apps[0].name]["master"] == "n3"


def test_a_slave_that_was_down_keeps_its_copies_although_an_operation_that_it_missed_had_freed_it() -> None:
    """It is the slave again when it is back, and the master has nothing newer there. Seed 4322 of 6,000."""
    story = Story(1, QUIET)
    n2 = story.world.nodes["n2"]
    story.tell(1.0, "deploy", master="n3", slave="n2")
    story.tell(60.0, "deploy", master="n1", slave="n3")
    story.when("n1", "before begun start the containers", 1, lambda _: power_lost(story, n2, 200.0))
    story.tell(120.0, "deploy", master="n3", slave="n2")
    story.go()
    assert list(story.outcomes.values()) == ["committed"] * 3
    assert n2.snapshots


def test_a_node_that_waits_to_forget_keeps_its_copies_when_it_becomes_the_slave_meanwhile() -> None:
    story = Story(1, QUIET)
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
    story = Story(1, QUIET)
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
    story = Story(1, QUIET)
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
    story = Story(1, QUIET)
    story.tell(1.0, "deploy", master="n2", slave="n3")
    story.when("n2", "before begun wait until deploy", 1, lambda node: disk_full(story, node, 12.0))
    story.when("n2", "release lock/", 1, lambda node: isolated(story, node, 3.0))
    story.when("n2", "release lock/", 1, lambda _: story.tell(0.0, "deploy", master="n2", slave="n3"))
    story.go()
    assert list(story.outcomes.values()) == ["aborted", "committed"]


def test_what_was_taken_back_once_is_not_taken_back_again_when_the_old_version_serves() -> None:
    """The journal's disk is full, that of the volumes is not: Consul knows what the journal does not."""
    story = Story(1, QUIET)
    story.tell(1.0, "deploy", master="n2", slave="n3")
    story.tell(60.0, "deploy", master="n2", slave="n3")
    story.when("n2", "before begun start the containers", 2, lambda node: journal_full(story, node, 90.0))
    story.go()
    assert list(story.outcomes.values()) == ["committed", "aborted"]


def docker_killed(story: Story, node: Node) -> None:
    """Its successor answers later than the worker starts; what it found running stays down."""
    story.quiet = story.world.now + 60.0
    docker_silent(story, node, 8.0)
    for container in node.containers.values():
        container.state = "exited"
    handler_killed(story, node, 0.5)


def test_an_app_that_a_killed_dockerd_left_down_is_started_when_docker_answers() -> None:
    story = Story(1, QUIET)
    story.tell(1.0, "deploy", master="n2", slave="n3")
    story.later(story.world.now + 100.0, lambda: docker_killed(story, story.world.nodes["n2"]))
    story.go()
    assert story.world.nodes["n2"].containers[story.apps[0].project].state == "running"


def test_an_app_that_a_killed_dockerd_left_down_in_an_operation_is_started_when_that_has_failed() -> None:
    story = Story(1, QUIET)
    story.tell(1.0, "deploy", master="n2", slave="n3")
    story.tell(60.0, "deploy", master="n2", slave="n3")
    story.when("n2", "before begun build images", 2, lambda node: docker_killed(story, node))
    story.go()
    assert list(story.outcomes.values()) == ["committed", "aborted"]
    assert story.world.nodes["n2"].containers[story.apps[0].project].state == "running"


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
        story = Story(1, QUIET)
        story.tell(1.0, "deploy", master="n1", slave="n3")
        story.tell(60.0, "deploy", master="n2", slave="n1")

        def hangs(node: Node, story: Story = story) -> None:
            isolated(story, node, 250.0)
            node.hangs = 30.0

        def soon(node: Node, story: Story = story, seconds: float = fifth / 5) -> None:
            story.later(story.world.now + seconds, lambda: hangs(node))

        story.when("n2", "before begun wait until deploy", 1, soon)
        story.go()


def test_what_was_taken_back_is_not_taken_back_again_whichever_question_consul_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """The journal knows nothing, as its disk is full: the old version has served for a while, and its data must stay."""
    get = Store.get
    for silent in range(1, 12):
        story, asked = Story(1, QUIET), [0]
        story.tell(1.0, "deploy", master="n2", slave="n3")
        story.tell(60.0, "deploy", master="n2", slave="n3")
        story.when("n2", "before begun start the containers", 2, lambda node, story=story: journal_full(story, node, 120.0))
        story.quiet = story.world.now + 300.0

        def answer(self: Store, key: str, story: Story = story, asked: list[int] = asked, silent: int = silent) -> Entry | None:
            if self.node.name == "n2" and key.rpartition("/")[2] in ("outcome", "cleaned") and "aborted" in story.outcomes.values():
                asked[0] += 1
                if asked[0] == silent:
                    raise errors.StoreUnavailable("no answer to this one")
            return get(self, key)

        monkeypatch.setattr(Store, "get", answer)
        story.go()
        assert list(story.outcomes.values()) == ["committed", "aborted"]
        assert asked[0] >= silent


def test_others_lead_again_after_a_node_that_died_before_it_had_begun_anything() -> None:
    """It has nothing to take back, and nobody else can say that."""
    story = Story(1, QUIET)
    story.tell(1.0, "deploy", master="n1", slave="n3")
    story.tell(60.0, "deploy", master="n2", slave="n1")
    story.when("n2", "journal: before begun fetch", 1, lambda node: power_lost(story, node, 150.0))
    story.tell(130.0, "deploy", master="n1", slave="n3")
    story.tell(400.0, "deploy", master="n3", slave="n1")
    story.go()
    assert list(story.outcomes.values()) == ["committed", "aborted", "committed", "committed"]


def test_others_lead_again_after_a_node_has_lost_its_disk_in_a_trial() -> None:
    """The machine that takes its place and its name knows of nothing."""
    story = Story(1, QUIET)
    story.tell(1.0, "deploy", master="n1", slave="n3")
    story.tell(60.0, "deploy", master="n2", slave="n1")

    def dies(node: Node) -> None:
        power_lost(story, node, 250.0)
        for lost in (node.journal, node.containers, node.volumes, node.snapshots, node.deploys, node.schedules):
            lost.clear()  # type: ignore[attr-defined]

    story.when("n2", "before begun start the containers", 1, dies)
    story.tell(150.0, "deploy", master="n1", slave="n3")
    story.tell(500.0, "deploy", master="n3", slave="n1")
    story.go()
    assert list(story.outcomes.values()) == ["committed", "aborted", "committed", "committed"]


def test_a_master_that_is_back_lifts_the_hold_of_a_takeover_whose_leader_died() -> None:
    story = Story(1, QUIET)
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


def test_a_node_that_has_nothing_to_do_with_it_aborts_nothing_when_its_disk_is_full() -> None:
    story = Story(1, QUIET)
    story.tell(1.0, "deploy", master="n1")
    story.later(story.world.now + 50.0, lambda: journal_full(story, story.world.nodes["n3"], 200.0))
    story.quiet = story.world.now + 300.0
    story.tell(60.0, "deploy", master="n2", slave="n1")
    story.tell(120.0, "destroy")
    story.go()
    assert list(story.outcomes.values()) == ["committed"] * 3


def test_an_operation_ends_although_its_leader_died_and_the_disk_of_who_looks_on_is_full() -> None:
    story = Story(1, QUIET)
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


def edit(world: World, entry: Entry) -> None:
    """As a person does, whom no invariant binds."""
    world.touch(entry.key)
    world.kv[entry.key] = world.below[entry.key.rpartition("/")[0] + "/"][entry.key] = entry


def test_an_unreadable_plan_is_no_reason_to_forget_what_was_begun() -> None:
    """A person's edit, say, that is taken back. What update.sh has done to the data is taken back then."""
    story = Story(1, QUIET)
    world = story.world
    story.tell(1.0, "deploy", master="n1", slave="n2")
    story.tell(60.0, "deploy", master="n1", slave="n2", update=True)

    def spoiled(node: Node) -> None:
        plan = max((entry for key, entry in world.kv.items() if key.endswith("/plan")), key=lambda entry: entry.index)
        edit(world, replace(plan, value=plan.value[:-1]))
        story.later(world.now + 60.0, lambda: edit(world, plan))
        handler_killed(story, node, 1.0)

    story.when("n1", "before done run update.sh", 1, spoiled)
    story.quiet = world.now + 300.0
    story.go()
    assert list(story.outcomes.values()) == ["committed", "aborted"]


def test_a_node_that_cannot_take_part_does_not_ask_without_a_pause() -> None:
    story = Story(1, QUIET)
    n3, calls = story.world.nodes["n3"], [0]
    story.tell(1.0, "deploy", master="n1", slave="n3")
    story.later(story.world.now + 50.0, lambda: journal_full(story, n3, 400.0))
    story.tell(60.0, "deploy", master="n1", slave="n3")
    story.tell(90.0, "deploy", master="n3", slave="n1")
    story.quiet = story.world.now + 470.0
    before = story.world.on_step

    def step(node: Node, said: str) -> None:
        before(node, said)
        calls[0] += node is n3

    def counted(since: int) -> None:
        assert calls[0] - since < 500, "in 80 seconds"

    story.world.on_step = step
    story.later(story.world.now + 95.0, lambda: story.later(story.world.now + 80.0, lambda since=calls[0]: counted(since)))
    story.go()


def test_an_event_that_ended_before_the_first_operation_is_remembered() -> None:
    story = Story(1, QUIET)
    app = story.apps[0]
    power_lost(story, story.world.nodes["n3"], 150.0)
    story.tell(1.0, "deploy", master="n3", slave="n1")
    story.tell(170.0, "deploy", master="n1", slave="n2")
    story.quiet = story.world.now + 300.0
    story.go()
    assert list(story.outcomes.values()) == ["aborted", "committed"]
    assert len([key for key in story.world.kv if key.startswith(names.history_key(app.name, ""))]) == 2


def test_a_person_s_hold_and_page_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where one changed what an operation left, and when one is set in the very moment in which that is lifted."""
    world, node = World(1, ("n1",)), "n1"
    store = Store(world, world.nodes[node])
    world.write("op/a/e1/outcome", "{}")
    left, page, persons = (
        {"why": "takeover e1", "mode": "hold"},
        {"why": "takeover e1", "mode": "page"},
        {"why": "new disk", "mode": "hold"},
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


def test_only_the_last_operations_are_remembered_on_every_node() -> None:
    """And of those that never began as many as came meanwhile."""
    story = Story(1, QUIET)
    app = story.apps[0]
    for number in range(30):
        story.tell(1.0 + 40 * number, "deploy", master="n1", slave="n2")
        story.tell(21.0 + 40 * number, "takeover", master="n2")  # refused, as the master is alive
    story.quiet = story.world.now + 1300.0
    story.go()
    events = {key.split("/")[2] for key in story.world.kv if key.startswith(names.op_prefix(app.name))}
    planned = {key.split("/")[2] for key in story.world.kv if key.startswith(names.op_prefix(app.name)) and key.endswith("/plan")}
    assert len(planned) == limits.HISTORY
    assert len(events) == 2 * limits.HISTORY
    assert len([key for key in story.world.kv if key.startswith(names.history_key(app.name, ""))]) == 2 * limits.HISTORY
    for node in story.world.nodes.values():
        assert {event for name, event in node.journal if name == app.name} == planned
