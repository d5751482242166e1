"""The Docker daemon, by its SDK: containers of a project, volumes, images, the Buttervolume plugin."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from typing import Any

import docker
import docker.errors
import requests

from handler.core.model import Container
from handler.errors import Permanent, Temporary

log = logging.getLogger(__name__)

_TIMEOUT = 60
_PROJECT = "com.docker.compose.project"
_SERVICE = "com.docker.compose.service"
_ONEOFF = "com.docker.compose.oneoff"
NETWORK = "cluster_default"
_IN_USE = 409


class Docker:
    """One daemon."""

    def __init__(self, url: str) -> None:
        self._url = url

    @cached_property
    def _client(self) -> docker.DockerClient:
        """Made when it is needed first, as it asks the daemon for its version: that may not answer yet."""
        return docker.DockerClient(base_url=self._url, timeout=_TIMEOUT)

    @contextlib.contextmanager
    def _asking(self, what: str) -> Iterator[None]:
        try:
            yield
        except docker.errors.APIError as error:
            text = f"Docker cannot {what}: {error.explanation or error}"
            raise (Temporary if error.is_server_error() or error.status_code == _IN_USE else Permanent)(text) from error
        except (docker.errors.DockerException, requests.RequestException) as error:
            raise Temporary(f"Docker does not answer: {error}") from error

    def _of(self, project: str) -> list[Any]:
        filters: dict[str, str | list[str] | bool] = {"label": [f"{_PROJECT}={project}"]}
        return list(self._client.containers.list(all=True, filters=filters, ignore_removed=True))

    def containers(self, project: str) -> tuple[Container, ...]:
        """All containers of a project but those of ``compose run``."""
        with self._asking("list containers"):
            found = [_container(c.attrs) for c in self._of(project) if c.labels.get(_ONEOFF) != "True"]
        return tuple(sorted(found, key=lambda container: container.name))

    def service_address(self, project: str, service: str) -> str:
        """The address of a running service on the cluster's network; Temporary when it has none now."""
        for container in self.containers(project):
            if container.service == service and container.address:
                return container.address
        raise Temporary(f"the service {service} of {project} does not run")

    def stop(self, project: str, seconds: int) -> None:
        """Stop all running containers of a project at the same time; a database gets its SIGTERM as soon as its clients do."""
        with self._asking("stop containers"):
            running = [c for c in self._of(project) if c.status in ("running", "restarting", "paused")]
            with ThreadPoolExecutor(max_workers=16) as pool:
                list(pool.map(lambda c: _stop(c, seconds), running))

    def running(self, project: str) -> tuple[str, ...]:
        """Names of a project's containers that run and are not frozen, those of ``compose run`` too."""
        with self._asking("list containers"):
            found = self._client.api.containers(filters={"label": [f"{_PROJECT}={project}"]})
        running = [name for one in found if one["State"] == "running" for name in one["Names"]]
        return tuple(sorted(name[1:] for name in running if name.count("/") == 1))  # others are those of links

    def pause(self, containers: Sequence[str]) -> None:
        """Freeze containers, all at the same time."""
        with self._asking("pause containers"), ThreadPoolExecutor(max_workers=16) as pool:
            list(pool.map(self._client.api.pause, containers))

    def unpause(self, containers: Sequence[str]) -> None:
        """Let containers go on, all at the same time; those that are gone, or not frozen, are left alone."""
        with self._asking("unpause containers"), ThreadPoolExecutor(max_workers=16) as pool:
            list(pool.map(self._unpause, containers))

    def _unpause(self, container: str) -> None:
        try:
            self._client.api.unpause(container)
        except docker.errors.APIError:
            with contextlib.suppress(docker.errors.NotFound):
                if self._client.api.inspect_container(container)["State"]["Paused"]:
                    raise

    def executes(self, container: str, command: Sequence[str]) -> bool:
        """Whether this very command, started by ``exec``, runs in a container: Docker cannot end one."""
        with self._asking(f"look into {container}"):
            ids = self._client.containers.get(container).attrs.get("ExecIDs") or ()
            found = [self._client.api.exec_inspect(one) for one in ids]
        programs = [[one["ProcessConfig"]["entrypoint"], *one["ProcessConfig"]["arguments"]] for one in found if one.get("Running")]
        return list(command) in programs

    def remove(self, project: str) -> None:
        """Remove the containers of a project, and its networks that nothing else uses."""
        with self._asking("remove containers"):
            for container in self._of(project):
                with contextlib.suppress(docker.errors.NotFound):
                    container.remove(force=True)
            for network in self._client.networks.list(filters={"label": [f"{_PROJECT}={project}"]}):
                try:
                    network.remove()
                except docker.errors.APIError as error:  # something else is connected; the next start of the app takes it as it is
                    log.warning("network %s stays: %s", network.name, error.explanation or error)

    def logs(self, project: str, lines: int) -> str:
        """The last lines of each container, under its name; of a driver that gives none, why not."""
        with self._asking("read logs"):
            return "\n".join(f"--- {c.name} ({c.status})\n{_last_lines(c, lines)}" for c in self._of(project))

    def missing_images(self, images: Sequence[str]) -> list[str]:
        """Those of ``images`` that are not here."""
        with self._asking("look for images"):
            return [image for image in images if not self._has_image(image)]

    def _has_image(self, image: str) -> bool:
        try:
            self._client.images.get(image)
        except docker.errors.ImageNotFound:
            return False
        return True

    def remove_images(self, prefix: str, keep: Sequence[str]) -> None:
        """Remove the images that begin with ``prefix`` and whose tag is not in ``keep``; those in use, or broken, stay."""
        with self._asking(f"remove images {prefix}*"):
            # images.list() looks at each image again and fails when another app's is removed meanwhile
            listed = [tag for image in self._client.api.images() for tag in image.get("RepoTags") or ()]
            for tag in filter(lambda tag: tag.startswith(prefix), listed):
                if tag.rpartition(":")[2] not in keep:
                    with contextlib.suppress(docker.errors.APIError):
                        self._client.images.remove(tag)

    def create_volume(self, name: str, driver: str, labels: Mapping[str, str]) -> None:
        """Create a volume; fine when it is there."""
        with self._asking(f"create volume {name}"):
            self._client.volumes.create(name=name, driver=driver, labels=dict(labels))

    def volume_driver(self, name: str) -> str:
        """The driver of the volume of that name; empty when Docker knows none."""
        with self._asking(f"look for volume {name}"):
            try:
                return str(self._client.volumes.get(name).attrs["Driver"])
            except docker.errors.NotFound:
                return ""

    def remove_volume(self, name: str) -> bool:
        """Remove a volume; False when Docker does not know it."""
        with self._asking(f"remove volume {name}"):
            try:
                self._client.volumes.get(name).remove()
            except docker.errors.NotFound:
                return False
        return True

    def plugin_socket(self, driver: str) -> str:
        """Where the volume plugin of that name listens."""
        with self._asking(f"find the plugin {driver}"):
            plugin = self._client.plugins.get(driver)  # type: ignore[no-untyped-call]
        return f"/run/docker/plugins/{plugin.id}/{plugin.attrs['Config']['Interface']['Socket']}"


def _stop(container: Any, seconds: int) -> None:
    """One of ``docker compose run --rm`` may end, and be gone, since it was listed."""
    with contextlib.suppress(docker.errors.NotFound):
        container.stop(timeout=seconds)


def _last_lines(container: Any, lines: int) -> str:
    try:
        return str(container.logs(tail=lines).decode(errors="replace").rstrip())
    except docker.errors.APIError as error:
        return f"(cannot be read: {error.explanation or error})"


def _container(attrs: Mapping[str, Any]) -> Container:
    state, labels = attrs["State"], attrs["Config"]["Labels"]
    networks = attrs["NetworkSettings"]["Networks"] or {}
    preferred = sorted(networks, key=lambda name: name != NETWORK)
    health = (state.get("Health") or {}).get("Status", "")
    return Container(
        name=attrs["Name"].lstrip("/"),
        service=labels.get(_SERVICE, ""),
        state=state["Status"],
        health="" if health == "none" else health,
        exit_code=int(state.get("ExitCode") or 0),
        restarts=int(attrs.get("RestartCount") or 0),
        address=next((networks[name]["IPAddress"] for name in preferred if networks[name].get("IPAddress")), ""),
    )
