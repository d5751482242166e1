"""Docker Compose of a node on a :class:`world.World`, in memory, and the disk and the dockerd that it needs."""

from __future__ import annotations

import errno
from collections.abc import Sequence
from typing import Any

from memory_consul import Port
from world import Container

from handler import errors
from handler.core import names
from handler.core.composefile import OVERRIDE
from handler.core.model import Container as Seen
from handler.ports import Guard

ADDRESS, PORT = "172.18.0.9", 80
"""Where each app listens, on each node."""
BOOTED = "+"
"""Starts a word that a version itself writes into its volume when it first starts, or by ``update.sh``."""


def split(directory: str) -> tuple[str, str]:
    """(app, deploy id): deploy ids have one dash inside."""
    app, day, rest = directory.removeprefix("/deploy/").rsplit("-", 2)
    return app, f"{day}-{rest}"


class Disk(Port):
    """What needs space."""

    def full(self) -> bool:
        return self.world.now < self.node.full_until

    def need_space(self) -> None:
        """As a write to a file does."""
        if self.full():
            raise OSError(errno.ENOSPC, "No space left on device")

    def may_fail(self, what: str) -> None:
        """As a program does."""
        super().may_fail(what)
        if self.full():
            raise errors.CommandFailed(f"{what} failed", "No space left on device")


class Docker(Disk):
    """What is asked of dockerd, or of its plugin."""

    def ask(self, what: str, seconds: float = 0.0, *, change: bool = True) -> None:
        (self.act if change else self.look)(what, seconds)
        if self.world.now < self.node.silent_until:
            raise errors.Temporary(f"Docker does not answer: {what}")

    def command(self, what: str) -> None:
        """As ``docker compose``, which only ends with an error."""
        self.may_fail(what)
        if self.world.now < self.node.silent_until:
            raise errors.CommandFailed(f"{what} failed", "Cannot connect to the Docker daemon")


class Compose(Docker):
    """``Compose``: each app is one service with one volume."""

    def config(self, directory: str) -> dict[str, Any]:
        app, deploy_id = split(directory)
        if (app, deploy_id) not in self.node.deploys:
            raise errors.CommandFailed(f"{directory} is not there")
        if "services" not in self.node.deploys[app, deploy_id]["docker-compose.yml"]:
            raise errors.CommandFailed("the compose file does not parse")
        project = names.project_name(app)
        web = {
            "image": "x",
            "environment": {"CADDYFILE": f"http://{project}.example.com {{\n    proxy / http://$CONTAINER:80\n}}\n"},
            "networks": {"cluster_default": None},
            "healthcheck": {"test": ["CMD", "true"]},
        }
        return {"services": {"web": web}, "volumes": {"data": {"driver": "btrfs", "name": f"{project}_data"}}}

    def pull(self, directory: str, services: Sequence[str], *, refresh: bool) -> None:  # noqa: ARG002
        self.look(f"pull {directory} {' '.join(services)}", self.world.random.uniform(0.1, 5.0))
        self.command("pull")

    def build(self, directory: str, guard: Guard) -> None:
        self.look(f"build {directory}")
        guard()

    def up(self, directory: str, guard: Guard) -> None:
        app, deploy_id = split(directory)
        self.act(f"up {directory}", self.world.random.uniform(0.1, 2.0))
        guard()
        self.command("up")
        if (app, deploy_id) not in self.node.deploys:
            raise errors.CommandFailed(f"{directory} is not there")
        guarded = f"/run/cluster/own/{app}" in self.node.deploys[app, deploy_id].get(OVERRIDE, "")
        if guarded and app not in self.node.tokens:
            raise errors.CommandFailed("bind source path does not exist")
        project = names.project_name(app)
        data = self.node.volumes.setdefault(f"{project}_data", [])
        old = self.node.containers.get(project)
        if not old or old.deploy_id != deploy_id:
            data.append(BOOTED + deploy_id)
        self.node.containers[project] = Container(deploy_id, "running", self.world.now, guarded)

    def stop(self, project: str, seconds: int) -> None:
        self.ask(f"stop {project}", self.world.random.uniform(0.05, 2.0) if seconds else 0.0)
        if project in self.node.containers:
            self.node.containers[project].state = "exited"

    def running(self, project: str) -> tuple[str, ...]:
        return tuple(one.name for one in self.containers(project) if one.state == "running")

    def pause(self, containers: Sequence[str]) -> None:
        self.ask(f"pause {' '.join(containers)}")
        self.may_fail("pause")
        self._turn(containers, "running", "paused")

    def unpause(self, containers: Sequence[str]) -> None:
        self.ask(f"unpause {' '.join(containers)}")
        self._turn(containers, "paused", "running")

    def _turn(self, containers: Sequence[str], before: str, after: str) -> None:
        for project, found in self.node.containers.items():
            if f"{project}-web-1" in containers and found.state == before:
                found.state = after

    def execute(self, project: str, service: str, command: Sequence[str], seconds: float) -> None:  # noqa: ARG002
        """Of all commands, ``false`` fails."""
        self.act(f"{' '.join(command)} in {project} {service}")
        found = self.node.containers.get(project)
        if not found or found.state != "running":
            raise errors.Permanent(f"the service {service} does not run")
        if command[0] == "false":
            raise errors.CommandFailed("false ended with 1")
        self.may_fail("execute")

    def remove(self, project: str) -> None:
        self.ask(f"remove {project}")
        self.node.containers.pop(project, None)

    def containers(self, project: str) -> tuple[Seen, ...]:
        self.ask(f"containers {project}", change=False)
        found = self.node.containers.get(project)
        if not found:
            return ()
        health = ""
        if found.state == "running":
            sick = "unhealthy" if found.deploy_id in self.world.sick else "healthy"
            health = sick if self.world.now - found.since > self.world.slow.get(found.deploy_id, 0.3) else "starting"
        address = "" if found.state == "exited" else ADDRESS
        return (Seen(f"{project}-web-1", "web", found.state, health, 0, 0, address),)

    def logs(self, project: str, lines: int) -> str:
        self.ask(f"logs {project}", change=False)
        return f"last {lines} lines"

    def remove_images(self, app_tag_prefix: str, keep: Sequence[str]) -> None:
        self.ask(f"remove images {app_tag_prefix} but {keep}", change=False)
        self.node.images -= {tag for tag in self.node.images if tag.startswith(app_tag_prefix) and tag.rpartition(":")[2] not in keep}
