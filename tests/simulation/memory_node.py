"""A node on a :class:`world.World`: git, Docker, Buttervolume, the disk, the proxies and the clock, in memory."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from memory_consul import Port
from world import Container, Snapshot

from handler import errors
from handler.core import names
from handler.core.copies import Held
from handler.core.model import Container as Seen
from handler.ports import Guard

START = 1_700_000_000
"""Seconds since the epoch when the world begins."""

SITE = "http://app.example.com {\n    proxy / http://$CONTAINER:80\n}\n"


class Code(Port):
    def fetch(self, repo: str, branch: str, directory: str, commit: str = "") -> str:
        self.call(f"git clone {repo} {branch}", self.world.random.uniform(0.2, 3.0))
        self.may_fail("clone")
        self.node.deploys[split(directory)] = {"docker-compose.yml": "services"}
        return "c0ffee"


def split(directory: str) -> tuple[str, str]:
    """(app, deploy id): deploy ids have one dash inside."""
    app, day, rest = directory.removeprefix("/deploy/").rsplit("-", 2)
    return app, f"{day}-{rest}"


class Compose(Port):
    def config(self, directory: str) -> dict[str, Any]:
        if split(directory) not in self.node.deploys:
            raise errors.CommandFailed(f"{directory} is not there")
        project = names.project_name(split(directory)[0])
        web = {
            "image": "x",
            "environment": {"CADDYFILE": SITE},
            "networks": {"cluster_default": None},
            "healthcheck": {"test": ["CMD", "true"]},
        }
        return {"services": {"web": web}, "volumes": {"data": {"driver": "btrfs", "name": f"{project}_data"}}}

    def pull(self, directory: str, services: Sequence[str]) -> None:
        self.call(f"pull {directory} {' '.join(services)}", self.world.random.uniform(0.1, 5.0))
        self.may_fail("pull")

    def build(self, directory: str, guard: Guard) -> None:
        self.call(f"build {directory}")
        guard()

    def up(self, directory: str, guard: Guard) -> None:
        app, deploy_id = split(directory)
        self.call(f"up {directory}", self.world.random.uniform(0.1, 2.0))
        guard()
        self.may_fail("up")
        if app not in self.node.tokens:
            raise errors.CommandFailed("bind source path does not exist")
        project = names.project_name(app)
        volume = f"{project}_data"
        self.node.volumes.setdefault(volume, [])
        self.node.containers[project] = Container(deploy_id, "running", self.world.now)

    def stop(self, project: str, seconds: int) -> None:  # noqa: ARG002
        self.call(f"stop {project}", self.world.random.uniform(0.05, 2.0))
        if project in self.node.containers:
            self.node.containers[project].state = "exited"

    def start(self, project: str) -> None:
        self.call(f"start {project}")

    def pause(self, containers: Sequence[str]) -> None:
        self.call(f"pause {' '.join(containers)}")
        self.may_fail("pause")
        self._turn(containers, "running", "paused")

    def unpause(self, containers: Sequence[str]) -> None:
        self.call(f"unpause {' '.join(containers)}")
        self._turn(containers, "paused", "running")

    def _turn(self, containers: Sequence[str], before: str, after: str) -> None:
        for project, found in self.node.containers.items():
            if f"{project}-web-1" in containers and found.state == before:
                found.state = after

    def execute(self, project: str, service: str, command: Sequence[str], seconds: float) -> None:  # noqa: ARG002
        self.call(f"{' '.join(command)} in {project} {service}")
        self.may_fail("execute")

    def remove(self, project: str) -> None:
        self.call(f"remove {project}")
        self.node.containers.pop(project, None)

    def containers(self, project: str) -> tuple[Seen, ...]:
        self.call(f"containers {project}")
        found = self.node.containers.get(project)
        if not found:
            return ()
        old = self.world.now - found.since > 1.0
        health = (
            "" if found.state != "running" else ("unhealthy" if found.deploy_id in self.world.sick else "healthy") if old else "starting"
        )
        return (Seen(f"{project}-web-1", "web", found.state, health, 0, 0, "172.18.0.9"),)

    def logs(self, project: str, lines: int) -> str:
        self.call(f"logs {project}")
        return f"last {lines} lines"

    def remove_images(self, app_tag_prefix: str, keep: Sequence[str]) -> None:
        self.call(f"remove images {app_tag_prefix} but {keep}")


class Volumes(Port):
    def exists(self, volume: str) -> bool:
        return volume in self.node.volumes

    def live(self, project: str) -> tuple[str, ...]:
        return tuple(volume for volume in self.node.volumes if volume.startswith(f"{project}_"))

    def create(self, volume: str, labels: Mapping[str, str]) -> None:  # noqa: ARG002
        self.call(f"create {volume}")
        self.node.volumes.setdefault(volume, [])

    def remove(self, volume: str) -> None:
        self.call(f"remove volume {volume}")
        if volume.removesuffix("_data") in self.node.containers:
            raise errors.Temporary("a container uses it")
        self.node.volumes.pop(volume, None)

    def snapshot(self, volumes: Sequence[str]) -> dict[str, str]:
        self.call(f"snapshot {' '.join(volumes)}")
        self.may_fail("snapshot")
        return {volume: self._keep(volume) for volume in volumes}

    def _keep(self, volume: str) -> str:
        now = datetime.fromtimestamp(START + self.world.now, UTC)
        name = f"{volume}@{now:{names.TIME_FORMAT}}"
        self.node.snapshots[name] = Snapshot(tuple(self.node.volumes[volume]))
        return name

    def send(self, snapshot: str, host: str, guard: Guard) -> None:
        self.call(f"send {snapshot} to {host}", self.world.random.uniform(0.1, 4.0))
        guard()
        peer = next(node for node in self.world.nodes.values() if node.address == host)
        if snapshot in peer.snapshots and peer.snapshots[snapshot].complete:
            return
        if not peer.up:
            raise errors.CommandFailed(f"{host} does not answer")
        peer.snapshots[snapshot] = Snapshot((), complete=False)
        self.call(f"sending {snapshot}", self.world.random.uniform(0.1, 4.0))
        self.may_fail("send")
        if not peer.up:
            raise errors.CommandFailed(f"{host} does not answer any more")
        peer.snapshots[snapshot] = Snapshot(self.node.snapshots[snapshot].data)

    def copies(self, volume: str) -> tuple[str, ...]:
        return tuple(sorted(name for name in self.node.snapshots if name.startswith(f"{volume}@")))

    def complete(self, snapshot: str) -> bool:
        self.call(f"complete? {snapshot}")
        return snapshot in self.node.snapshots and self.node.snapshots[snapshot].complete

    def adopt(self, snapshot: str, host: str) -> None:
        self.call(f"adopt {snapshot} of {host}")

    def restore(self, snapshot: str, volume: str) -> None:
        self.call(f"restore {snapshot}")
        self.may_fail("restore")
        if not (snapshot in self.node.snapshots and self.node.snapshots[snapshot].complete):
            raise errors.CommandFailed(f"{snapshot} cannot be restored")
        if volume in self.node.volumes:
            self._keep(volume)
        self.node.volumes[volume] = list(self.node.snapshots[snapshot].data)

    def drop(self, snapshot: str) -> None:
        self.call(f"drop {snapshot}")
        self.node.snapshots.pop(snapshot, None)

    def schedule(self, volume: str, actions: Mapping[str, int]) -> None:
        self.call(f"schedule {volume} {dict(actions)}")
        self.node.schedules[volume] = dict(actions)

    def pause_schedules(self, volumes: Collection[str]) -> None:
        pass

    def schedules(self) -> Mapping[str, Mapping[str, int]]:
        self.call("schedules")
        return {volume: dict(actions) for volume, actions in self.node.schedules.items()}

    def stock(self) -> Mapping[str, Sequence[Held]]:
        self.call("stock")
        found: dict[str, list[Held]] = {}
        for name, one in self.node.snapshots.items():
            found.setdefault(name.partition("@")[0], []).append(Held(name, one.complete))
        return found

    def size(self, snapshot: str, seconds: float) -> int | None:  # noqa: ARG002
        return len(self.node.snapshots[snapshot].data)


class Deploys(Port):
    def path(self, app: str, deploy_id: str) -> str:
        return f"/deploy/{app}-{deploy_id}"

    def list(self, app: str) -> tuple[str, ...]:
        return tuple(sorted(deploy_id for name, deploy_id in self.node.deploys if name == app))

    def read(self, app: str, deploy_id: str, name: str) -> str | None:
        return self.node.deploys.get((app, deploy_id), {}).get(name)

    def write(self, app: str, deploy_id: str, name: str, text: str) -> None:
        self.call(f"write {app} {deploy_id} {name}")
        self.node.deploys.setdefault((app, deploy_id), {})[name] = text

    def remove(self, app: str, deploy_id: str) -> None:
        self.call(f"remove deploy {app} {deploy_id}")
        self.node.deploys.pop((app, deploy_id), None)

    def run(self, app: str, deploy_id: str, words: Sequence[str], seconds: int, guard: Guard) -> None:
        self.call(f"run {words[0]} of {app} {deploy_id} for {seconds} s at most")
        guard()

    def token(self, app: str) -> str:
        return f"/run/cluster/own/{app}"

    def own(self, app: str, deploy_id: str) -> None:
        self.call(f"own {app} {deploy_id}")
        self.node.tokens[app] = deploy_id

    def disown(self, app: str) -> None:
        self.call(f"disown {app}")
        self.node.tokens.pop(app, None)

    def owned(self, app: str) -> str | None:
        return self.node.tokens.get(app)


class Proxies(Port):
    """Proxies do what they are told; what visitors see of them is tested on the real ones."""

    def check(self, app: str, site: str, haproxy: Mapping[str, Any]) -> None:
        pass

    def prepare(self, app: str, site: str) -> None:
        self.call(f"prepare the routes of {app}")

    def settle(self, app: str, *, committed: bool) -> None:
        self.call(f"settle the routes of {app}, committed: {committed}")

    def hash_password(self, password: str) -> str:
        return password

    def hold(self, app: str) -> None:
        self.call(f"hold {app}")

    def tick(self) -> None:
        pass

    def holds(self, app: str) -> bool:
        return names.hold_key(app) in self.world.kv

    def busy(self, upstreams: Sequence[tuple[str, int]]) -> int:  # noqa: ARG002
        return 0


class Probe(Port):
    def answers(self, address: str, port: int, seconds: float) -> bool:  # noqa: ARG002
        return True


class Journal(Port):
    def done(self, app: str, event: str) -> frozenset[str]:
        return frozenset(self.node.journal.get((app, event), ()))

    def mark(self, app: str, event: str, entry: str) -> None:
        self.call(f"journal: {entry}")
        self.node.journal.setdefault((app, event), set()).add(entry)

    def erase(self, app: str, event: str) -> None:
        self.call(f"journal: {event} is erased")
        self.node.journal.pop((app, event), None)

    def forget(self, app: str, keep: Sequence[str]) -> None:
        for name, event in list(self.node.journal):
            if name == app and event not in keep:
                del self.node.journal[name, event]


class Clock(Port):
    def now(self) -> float:
        return START + self.world.now

    def monotonic(self) -> float:
        return self.world.now

    def sleep(self, seconds: float) -> None:
        self.world.pause(seconds)
