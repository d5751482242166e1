"""The values that everything else speaks of: roles, events, operations, records. Frozen; no behaviour with effects."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


class Role(enum.StrEnum):
    """What a node is for an app."""

    MASTER = "master"
    SLAVE = "slave"
    NOTHING = "nothing"


class Kind(enum.StrEnum):
    """The kinds of events, by the names that people send them under."""

    DEPLOY = "deploy"
    DESTROY = "destroy"
    ROLLBACK = "rollback"
    TAKEOVER = "takeover"
    MIGRATE = "migrate"


@dataclass(frozen=True)
class Event:
    """One valid message of a person.

    ``id`` is Consul's event ID; ``app``, ``repo`` and ``branch`` are those of the app that is changed. ``slave`` is empty when no copy is
    wanted; ``update`` asks for ``update.sh``; ``to`` is where a rollback goes, a deploy id or a snapshot's time; ``force`` takes an
    app over from a master that is alive; ``origin_repo`` and ``origin_branch`` are the app whose data a migrate brings.
    """

    id: str
    kind: Kind
    app: str
    repo: str
    branch: str
    master: str = ""
    slave: str = ""
    update: bool = False
    to: str = ""
    force: bool = False
    origin_repo: str = ""
    origin_branch: str = ""


@dataclass(frozen=True)
class Node:
    """A member of the cluster as Consul sees it."""

    name: str
    address: str
    alive: bool


@dataclass(frozen=True)
class Placement:
    """Where an app lives: empty strings mean nowhere."""

    master: str = ""
    slave: str = ""

    def role(self, node: str) -> Role:
        """Role of ``node`` in this placement."""
        if node and node == self.master:
            return Role.MASTER
        return Role.SLAVE if node and node == self.slave else Role.NOTHING


@dataclass(frozen=True)
class Origin:
    """The app whose data a migrate brings: its name, its master, and pairs (its volume, the volume of the app that gets the data).

    ``keeps`` when the node that gets the data is that app's slave, so that the copy is of use there. ``event`` led to where that app lives.
    """

    app: str
    master: str
    volumes: tuple[tuple[str, str], ...]
    keeps: bool = False
    event: str = ""


@dataclass(frozen=True)
class Operation:
    """The work that brings an app from where it is to where an event wants it; written once to ``op/.../plan``.

    ``before`` and ``after`` are placements; ``previous_deploy_id`` is empty for a new app, and the same as ``deploy_id`` when only the
    data changes; ``addresses`` has the addresses of the nodes concerned, so that every node speaks of the same ones.
    ``commit`` is the one to deploy instead of the branch's newest; ``restore`` are pairs (volume, snapshot) to start from.
    """

    event: Event
    before: Placement
    after: Placement
    deploy_id: str
    previous_deploy_id: str = ""
    volumes: tuple[str, ...] = ()
    addresses: tuple[tuple[str, str], ...] = ()
    started: str = ""
    commit: str = ""
    restore: tuple[tuple[str, str], ...] = ()
    origin: Origin | None = None

    @property
    def app(self) -> str:
        """Name of the app."""
        return self.event.app

    @property
    def source(self) -> str:
        """The node that is master now; empty for a new app."""
        return self.before.master

    @property
    def target(self) -> str:
        """The node that shall be master; the present one for a destroy."""
        return self.after.master or self.before.master

    @property
    def moves(self) -> bool:
        """Whether another node becomes the master."""
        return bool(self.source) and self.source != self.target

    @property
    def new_code(self) -> bool:
        """Whether another deploy comes into service, and not only other data, or nothing any more."""
        return bool(self.after.master) and self.deploy_id != self.previous_deploy_id

    def concerns(self, node: str) -> bool:
        """Whether the node has or gets a role."""
        return node in (self.before.master, self.before.slave, self.after.master, self.after.slave)

    def address(self, node: str) -> str:
        """Address of a node concerned, or an empty string."""
        return dict(self.addresses).get(node, "")


@dataclass(frozen=True)
class Service:
    """One service of a compose file, as far as we look at it."""

    name: str
    builds: bool = False
    environment: dict[str, str] = field(default_factory=dict)
    networks: tuple[str, ...] = ()
    has_healthcheck: bool = False


@dataclass(frozen=True)
class Hook:
    """A command that runs inside a service's container before its volumes are snapshotted: no shell, ``seconds`` at most."""

    service: str
    command: tuple[str, ...]
    seconds: int


@dataclass(frozen=True)
class AppSpec:
    """What a checked-out compose file says, validated; see :mod:`handler.core.composefile`.

    ``volumes`` are docker's names of those on Buttervolume; ``haproxy`` is the merged ``HAPROXY`` value; ``upstreams``
    are ``(container, port)`` pairs that the proxies send requests to; ``nonmigrable`` are the volumes whose data stays out of a
    migrate; ``own_checks`` replace all checks when not None;
    ``notes`` are for the log.
    """

    services: tuple[Service, ...]
    volumes: tuple[str, ...] = ()
    caddyfile: str = ""
    haproxy: dict[str, Any] = field(default_factory=dict)
    domains: tuple[str, ...] = ()
    urls: tuple[str, ...] = ()
    checks: tuple[str, ...] = ()
    ct: str = ""
    upstreams: tuple[tuple[str, int], ...] = ()
    claims: tuple[str, ...] = ()
    nonmigrable: tuple[str, ...] = ()
    own_checks: tuple[Mapping[str, Any], ...] | None = None
    notes: tuple[str, ...] = ()
    hooks: tuple[Hook, ...] = ()


@dataclass(frozen=True)
class Container:
    """One container of an app. ``health`` is ``healthy``, ``unhealthy``, ``starting`` or empty when it has no check."""

    name: str
    service: str
    state: str
    health: str = ""
    exit_code: int = 0
    restarts: int = 0
    address: str = ""

    @property
    def down(self) -> bool:
        """Nothing of it runs, not even frozen."""
        return self.state in ("created", "exited", "dead")
