"""Docker compose v2: its command for what it alone knows, the SDK for what is only about containers. Implements ``Compose``.

The project's name and files come from ``.env`` in the directory, so that the same commands work by hand there. ``--yes`` is never
passed: compose would answer "recreate the volume, its data will be lost" with it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from handler.adapters.docker import Docker
from handler.adapters.process import run
from handler.core import limits
from handler.core.model import Container
from handler.errors import CommandFailed, Permanent
from handler.ports import Guard

_CONFIG = 30.0
_UP = 300.0
_ONCE = ("", "missing", "if_not_present", "never", "build")
"""Values of ``pull_policy`` by which an image that is here is not asked for again."""


def _compose(command: str, *words: str, cwd: str, seconds: float, guard: Guard | None = None) -> str:
    argv = ["docker", "compose", "--progress", "quiet", command, *words]
    return run(argv, cwd=cwd, seconds=seconds, guard=guard, name=f"docker compose {command}")


class DockerCompose:
    """Implements ``Compose``."""

    def __init__(self, docker: Docker) -> None:
        self._docker = docker

    def config(self, directory: str) -> dict[str, Any]:
        text = _compose("config", "--format", "json", cwd=directory, seconds=_CONFIG)
        value = json.loads(text)
        if not isinstance(value, dict):
            raise Permanent("docker compose config gave no object")
        return value

    def pull(self, directory: str, services: Sequence[str], *, refresh: bool) -> None:
        wanted = self.config(directory)["services"]
        images = {name: wanted[name].get("image", "") for name in services}
        missing = set(self._docker.missing_images(sorted(set(images.values()))))
        newer = {name for name in services if refresh and wanted[name].get("pull_policy", "") not in _ONCE}
        todo = sorted(name for name, image in images.items() if image in missing or name in newer)
        if todo:
            _compose("pull", "--quiet", *todo, cwd=directory, seconds=limits.IMAGES)

    def build(self, directory: str, guard: Guard) -> None:
        _compose("build", "--quiet", cwd=directory, seconds=limits.IMAGES, guard=guard)

    def up(self, directory: str, guard: Guard) -> None:
        """Without ``--pull``, a service with ``pull_policy: always`` would start only while its registry answers."""
        try:
            _compose("up", "-d", "--no-build", "--pull", "missing", "--remove-orphans", cwd=directory, seconds=_UP, guard=guard)
        except CommandFailed as error:
            raise CommandFailed("the containers cannot be started", error.tail) from error

    def stop(self, project: str, seconds: int) -> None:
        self._docker.stop(project, seconds)

    def remove(self, project: str) -> None:
        self._docker.remove(project)

    def running(self, project: str) -> tuple[str, ...]:
        return self._docker.running(project)

    def pause(self, containers: Sequence[str]) -> None:
        self._docker.pause(containers)

    def unpause(self, containers: Sequence[str]) -> None:
        self._docker.unpause(containers)

    def execute(self, project: str, service: str, command: Sequence[str], seconds: float) -> None:
        running = [c.name for c in self._docker.containers(project) if c.service == service and c.state == "running"]
        if not running:
            raise Permanent(f"the service {service} does not run")
        if self._docker.executes(running[0], command):
            raise Permanent(f"{command[0]} in {running[0]} has not ended since the last time")
        run(["docker", "exec", running[0], *command], seconds=seconds)

    def containers(self, project: str) -> tuple[Container, ...]:
        return self._docker.containers(project)

    def logs(self, project: str, lines: int) -> str:
        return self._docker.logs(project, lines)

    def remove_images(self, app_tag_prefix: str, keep: Sequence[str]) -> None:
        self._docker.remove_images(app_tag_prefix, keep)
