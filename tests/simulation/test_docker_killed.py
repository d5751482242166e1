"""What a node does for itself when its dockerd was killed, and its worker starts again."""

import json

import pytest
from apps import APPS
from faults import docker_silent, handler_killed
from memory import ports
from memory_docker import Compose
from story import Story
from world import Container, Node, World

from handler.core import names
from handler.core.model import Container as Seen
from handler.node import resume_app


def docker_killed(story: Story, node: Node) -> None:
    """Its successor answers later than the worker starts; what it found running stays down."""
    story.quiet = story.world.now + 60.0
    docker_silent(story, node, 8.0)
    for container in node.containers.values():
        container.state = "exited"
    handler_killed(story, node, 0.5)


def test_an_app_that_a_killed_dockerd_left_down_is_started_when_docker_answers() -> None:
    story = Story()
    story.tell(1.0, "deploy", master="n2", slave="n3")
    story.later(story.world.now + 100.0, lambda: docker_killed(story, story.world.nodes["n2"]))
    story.go()
    assert story.world.nodes["n2"].containers[story.apps[0].project].state == "running"


def test_an_app_that_a_killed_dockerd_left_down_in_an_operation_is_started_when_that_has_failed() -> None:
    story = Story()
    story.tell(1.0, "deploy", master="n2", slave="n3")
    story.tell(60.0, "deploy", master="n2", slave="n3")
    story.when("n2", "before begun build images", 2, lambda node: docker_killed(story, node))
    story.go()
    assert list(story.outcomes.values()) == ["committed", "aborted"]
    assert story.world.nodes["n2"].containers[story.apps[0].project].state == "running"


@pytest.mark.parametrize(("other", "then"), [("exited", "running"), ("running", "exited")])
def test_an_app_of_which_a_part_came_back_is_left_to_a_person(monkeypatch: pytest.MonkeyPatch, other: str, then: str) -> None:
    """A person may have stopped the rest; all of it down is what a dockerd leaves that died."""
    world, app, deploy_id = World(1, ("n1",)), APPS[0], "20260101000000-aaaa"
    node = world.nodes["n1"]
    world.write(names.record_key(app.name), json.dumps({"master": "n1", "deploy_id": deploy_id, "volumes": []}))
    node.deploys[app.name, deploy_id] = {"docker-compose.yml": "services:"}
    node.tokens[app.name] = deploy_id
    node.containers[app.project] = Container(deploy_id, "exited", 0.0)
    found = Compose.containers
    database = Seen(f"{app.project}-db-1", "db", other)
    monkeypatch.setattr(Compose, "containers", lambda self, project: (*found(self, project), database))
    world.start("test", node, lambda: resume_app(ports(world, node), app.name, anew=True))
    world.pause(60.0)
    assert node.containers[app.project].state == then
