"""What else a node on a :class:`world.World` has, in memory: git, its files, the proxies and the clock."""

from __future__ import annotations

import errno
import hashlib
import math
from collections.abc import Mapping, Sequence
from typing import Any

from memory_consul import Port
from memory_docker import ADDRESS, BOOTED, PORT, Disk, split
from world import START

from handler import errors
from handler.core import names
from handler.ports import Guard

TOLD = 3.0
"""Seconds for a hold to come from Consul."""
UPDATE = "update.sh"


class Code(Disk):
    """``Code``: every repository has the same compose file, and an ``update.sh``."""

    def fetch(self, repo: str, branch: str, directory: str, commit: str = "") -> str:
        self.act(f"git clone {repo} {branch} {commit}", self.world.random.uniform(0.2, 3.0))
        self.may_fail("clone")
        self.node.deploys[split(directory)] = {"docker-compose.yml": "services", UPDATE: "#!/bin/sh"}
        return commit or f"{self.world.random.getrandbits(160):040x}"


class Deploys(Disk):
    """``Deploys``; the token is in memory, the rest on disk."""

    def path(self, app: str, deploy_id: str) -> str:
        return f"/deploy/{app}-{deploy_id}"

    def list(self, app: str) -> tuple[str, ...]:
        return tuple(sorted(deploy_id for name, deploy_id in self.node.deploys if name == app))

    def read(self, app: str, deploy_id: str, name: str) -> str | None:
        return self.node.deploys.get((app, deploy_id), {}).get(name)

    def write(self, app: str, deploy_id: str, name: str, text: str) -> None:
        self.act(f"write {app} {deploy_id} {name}")
        self.need_space()
        if (app, deploy_id) not in self.node.deploys:
            raise FileNotFoundError(errno.ENOENT, self.path(app, deploy_id))
        self.node.deploys[app, deploy_id][name] = text

    def remove(self, app: str, deploy_id: str) -> None:
        self.act(f"remove deploy {app} {deploy_id}")
        self.node.deploys.pop((app, deploy_id), None)

    def run(self, app: str, deploy_id: str, words: Sequence[str], seconds: int, guard: Guard) -> None:
        self.act(f"run {words[0]} of {app} {deploy_id} for {seconds} s at most")
        guard()
        if words[0] not in self.node.deploys.get((app, deploy_id), {}):
            raise errors.Permanent(f"{words[0]} of {app} is not there")
        self.may_fail("update")
        self.node.volumes.setdefault(f"{names.project_name(app)}_data", []).append(BOOTED + deploy_id)

    def token(self, app: str) -> str:
        return f"/run/cluster/own/{app}"

    def own(self, app: str, deploy_id: str) -> None:
        self.act(f"own {app} {deploy_id}")
        self.node.tokens[app] = deploy_id

    def disown(self, app: str) -> None:
        self.act(f"disown {app}")
        self.node.tokens.pop(app, None)

    def owned(self, app: str) -> str | None:
        return self.node.tokens.get(app)


class Proxies(Port):
    """Proxies do what they are told; what visitors see of them is tested on the real ones."""

    def begin(self) -> None:
        pass

    def check(self, app: str, site: str, haproxy: Mapping[str, Any]) -> None:
        """Of all that a part may have, ``nonsense`` is refused."""
        if "nonsense" in f"{site} {haproxy}":
            raise errors.BadInput(f"the proxies refuse the part of {app}: nonsense")

    def prepare(self, app: str, site: str) -> None:
        self.act(f"prepare the routes of {app}")

    def settle(self, app: str, *, committed: bool) -> None:
        self.act(f"settle the routes of {app}, committed: {committed}")

    def hash_password(self, password: str) -> str:
        return hashlib.sha256(password.encode()).hexdigest()

    def hold(self, app: str, event: str) -> None:  # noqa: ARG002
        """Of an app without a record there is nothing to hold."""
        self.act(f"hold {app}")
        if names.hold_key(app) not in self.world.kv:
            self.node.held[app] = math.inf if names.record_key(app) in self.world.kv else self.world.now + TOLD

    def release(self, app: str) -> None:
        """What Consul does not say any more is held for some seconds."""
        unseen = self.node.held.get(app) == math.inf
        (self.act if unseen else self.look)(f"release {app}")
        if unseen:
            self.node.held[app] = self.world.now + TOLD

    def tick(self) -> None:
        pass

    def holds(self, app: str) -> bool:
        return names.hold_key(app) in self.world.kv or self.world.now < self.node.held.get(app, 0.0)

    def busy(self, upstreams: Sequence[tuple[str, int]]) -> int:
        return 0


class Probe(Port):
    """``Probe``."""

    def answers(self, address: str, port: int, seconds: float) -> bool:  # noqa: ARG002
        return (address, port) == (ADDRESS, PORT) and any(found.state == "running" for found in self.node.containers.values())


class Journal(Disk):
    """``Journal``."""

    def events(self, app: str) -> tuple[str, ...]:
        return tuple(sorted(event for name, event in self.node.journal if name == app))

    def done(self, app: str, event: str) -> frozenset[str]:
        return self.node.journal.get((app, event), frozenset())

    def mark(self, app: str, event: str, entry: str) -> None:
        self.act(f"journal: {entry}")
        self.need_space()
        if self.world.now < self.node.journal_full_until:
            raise OSError(errno.ENOSPC, "No space left on device")
        self.node.journal[app, event] = self.node.journal.get((app, event), frozenset()) | {entry}

    def erase(self, app: str, event: str) -> None:
        self.act(f"journal: {event} is erased")
        self.node.journal.pop((app, event), None)

    def forget(self, app: str, keep: Sequence[str]) -> None:
        for name, event in list(self.node.journal):
            if name == app and event not in keep:
                self.act(f"journal: {event} is forgotten")
                self.node.journal.pop((name, event), None)


class Clock(Port):
    """``Clock``."""

    def now(self) -> float:
        return START + self.world.now + self.node.ahead

    def monotonic(self) -> float:
        return self.world.now

    def sleep(self, seconds: float) -> None:
        self.world.pause(seconds)
