"""``Compose``, and ``Probe`` of what it started: in memory; tests/lab/test_ports.py runs the same on a real node.

Left out is what takes a command's time, or builds: in memory no command runs, and nothing is built.
"""

import uuid
from dataclasses import dataclass

import pytest
from sides import NodeSide

from handler.core import composefile, names
from handler.core.model import Container
from handler.errors import CommandFailed, Permanent
from handler.settings import DRIVERS

FILE = "docker-compose.yml"
DEPLOY = "20260101000000-aaaa"


@dataclass(frozen=True)
class App:
    """One service ``web`` that listens on port 80, one volume ``data``; prepared as a deploy does it."""

    node: NodeSide
    name: str

    @property
    def project(self) -> str:
        return names.project_name(self.name)

    @property
    def volume(self) -> str:
        return names.volume_name(self.name, "data")

    @property
    def directory(self) -> str:
        return self.node.deploys.path(self.name, DEPLOY)

    @property
    def web(self) -> Container:
        (found,) = self.node.compose.containers(self.project)
        return found

    def prepare(self) -> None:
        deploys = self.node.deploys
        self.node.publish(self.name, DEPLOY)
        deploys.write(self.name, DEPLOY, ".env", composefile.dotenv(None, self.name, [FILE]))
        spec = composefile.read(self.node.compose.config(self.directory), self.name, DRIVERS)
        override = composefile.override(spec, self.name, DEPLOY, deploys.token(self.name))
        deploys.write(self.name, DEPLOY, composefile.OVERRIDE, override)
        deploys.write(self.name, DEPLOY, ".env", composefile.dotenv(None, self.name, [FILE, composefile.OVERRIDE]))

    def up(self) -> None:
        self.node.compose.up(self.directory, lambda: None)

    def run(self, *command: str) -> None:
        self.node.compose.execute(self.project, "web", command, 30.0)


@pytest.fixture
def app(node: NodeSide) -> App:
    """Prepared; nothing runs, and nothing may yet."""
    made = App(node, f"contract{uuid.uuid4().hex[:8]}_main.12345")
    made.prepare()
    return made


@pytest.fixture
def running(app: App) -> App:
    app.node.deploys.own(app.name, DEPLOY)
    app.up()
    return app


def test_nothing_is_read_or_started_where_nothing_is(node: NodeSide) -> None:
    nowhere = node.deploys.path("contract_main.12345", DEPLOY)
    with pytest.raises(CommandFailed):
        node.compose.config(nowhere)
    with pytest.raises(CommandFailed):
        node.compose.up(nowhere, lambda: None)


def test_a_project_that_is_not_there_can_be_stopped_and_removed(node: NodeSide) -> None:
    project = f"contract{uuid.uuid4().hex[:8]}"
    assert node.compose.containers(project) == ()
    node.compose.stop(project, 1)
    node.compose.remove(project)
    node.compose.unpause([f"{project}-web-1"])
    assert node.compose.containers(project) == ()


def test_images_of_a_prefix_are_removed_but_those_to_keep(node: NodeSide) -> None:
    """What other apps built stays, also that of one whose name begins the same."""
    one = names.project_name(f"contract{uuid.uuid4().hex[:8]}_main.12345")
    prefix, other = f"cluster/{one}-", f"cluster/{one}5-web:d1"
    node.compose.remove_images(prefix, [])
    for name in (f"{prefix}web:d1", f"{prefix}web:d2", f"{prefix}db:d1", other):
        node.tag(name)
    for _ in range(2):
        node.compose.remove_images(prefix, ["d2", "d3"])
        assert node.images() == {f"{prefix}web:d2", other}
    node.compose.remove_images(prefix, [])
    assert node.images() == {other}


def test_a_compose_file_that_does_not_parse_is_refused(app: App) -> None:
    app.node.deploys.write(app.name, DEPLOY, FILE, "[")
    with pytest.raises(CommandFailed):
        app.node.compose.config(app.directory)


def test_the_configuration_has_services_and_the_full_names_of_volumes(app: App) -> None:
    config = app.node.compose.config(app.directory)
    assert set(config["services"]) == {"web"}
    assert config["volumes"]["data"]["name"] == app.volume
    assert config["volumes"]["data"]["driver"] in DRIVERS


def test_what_is_here_is_not_pulled_and_what_is_not_built_is_not_built(app: App) -> None:
    """No registry knows the image, and no directory has a Dockerfile."""
    app.node.compose.pull(app.directory, ["web"], refresh=False)
    app.node.compose.build(app.directory, lambda: None)


def test_what_is_here_starts_although_its_registry_is_away_and_is_to_be_asked_always(app: App) -> None:
    """On the real side the service has ``pull_policy: always``, and no registry has its image."""
    app.node.deploys.own(app.name, DEPLOY)
    app.up()
    assert app.web.state == "running"


def test_nothing_starts_without_the_owner_token(app: App) -> None:
    """Neither new containers nor those that were stopped."""
    with pytest.raises(CommandFailed):
        app.up()
    assert all(one.state != "running" for one in app.node.compose.containers(app.project))
    app.node.deploys.own(app.name, DEPLOY)
    app.up()
    assert app.web.state == "running"
    app.node.compose.stop(app.project, 5)
    app.node.deploys.disown(app.name)
    with pytest.raises(CommandFailed):
        app.up()
    assert app.web.state != "running"


def test_a_started_service_is_seen_becomes_healthy_and_answers_until_it_is_stopped(running: App) -> None:
    node, web = running.node, running.web
    assert (web.name, web.service, web.state) == (names.container_name(running.name, "web"), "web", "running")
    assert web.address
    node.eventually(lambda: running.web.health == "healthy")
    node.eventually(lambda: node.probe.answers(web.address, 80, 1.0))
    assert not node.probe.answers(web.address, 81, 1.0)
    assert not node.probe.answers("", 80, 1.0)
    assert isinstance(node.compose.logs(running.project, 10), str)
    node.compose.stop(running.project, 5)
    assert not running.web.address
    assert not node.probe.answers(web.address, 80, 1.0)


def test_what_was_stopped_is_kept_and_started_again_with_its_data(running: App) -> None:
    running.node.write(running.volume, "word")
    before = running.node.read(running.volume)
    running.run("touch", "/kept")
    for _ in range(2):
        running.node.compose.stop(running.project, 5)
        assert running.web.state == "exited"
    running.up()
    assert running.web.state == "running"
    running.run("test", "-e", "/kept")
    assert running.node.read(running.volume) == before


def test_what_is_frozen_goes_on_or_is_stopped(running: App) -> None:
    compose, name = running.node.compose, running.web.name
    assert compose.running(running.project) == (name,)
    compose.pause([name])
    assert running.web.state == "paused"
    assert compose.running(running.project) == ()
    for _ in range(2):
        compose.unpause([name])
        assert running.web.state == "running"
    compose.pause([name])
    compose.stop(running.project, 1)
    assert running.web.state == "exited"
    compose.unpause([name])
    assert running.web.state == "exited"
    assert compose.running(running.project) == ()


def test_a_command_that_fails_or_has_nothing_to_run_in_is_an_error(running: App) -> None:
    running.run("true")
    with pytest.raises(Permanent):
        running.run("false")
    running.node.compose.stop(running.project, 5)
    with pytest.raises(Permanent):
        running.run("true")


def test_volumes_outlive_their_containers(running: App) -> None:
    node = running.node
    node.write(running.volume, "word")
    for _ in range(2):
        node.compose.remove(running.project)
        assert node.compose.containers(running.project) == ()
        assert "word" in node.read(running.volume)
    running.up()
    assert "word" in node.read(running.volume)
    assert node.volumes.exists(running.volume)
