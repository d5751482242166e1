"""After a commit."""

from __future__ import annotations

from dataclasses import dataclass

from handler.core.steps.base import Step


@dataclass(frozen=True)
class RegisterService(Step):
    """Service and checks at this node's Consul agent."""

    sentence = "register service and checks"


@dataclass(frozen=True)
class DeregisterService(Step):
    """No service, no checks."""

    sentence = "deregister service and checks"


@dataclass(frozen=True)
class ScheduleCopies(Step):
    """Replication (or snapshots) and purge of the live volumes."""

    slave: str
    address: str
    sentence = "schedule copies to {slave} and purges"


@dataclass(frozen=True)
class SchedulePurge(Step):
    """Only purges, for a slave."""

    volumes: tuple[str, ...]
    sentence = "schedule purges of {volumes}"


@dataclass(frozen=True)
class Unschedule(Step):
    """No schedules."""

    volumes: tuple[str, ...]
    sentence = "remove the schedules of {volumes}"


@dataclass(frozen=True)
class CopyToSlave(Step):
    """The first copy of a new placement."""

    to: str
    sentence = "send a first copy to {to}"


@dataclass(frozen=True)
class AwaitVerifiedCopy(Step):
    """Wait until the slave has said that its copy is complete."""

    slave: str
    sentence = "wait until {slave} has verified its copy"


@dataclass(frozen=True)
class VerifyFirstCopy(Step):
    """On the slave: wait for the first copy, verify it and say so."""

    master: str
    sentence = "verify the first copy from {master}"


@dataclass(frozen=True)
class WriteHistory(Step):
    """What happened, with times."""

    sentence = "write the history"


@dataclass(frozen=True)
class RemoveContainers(Step):
    """Containers and networks away; volumes stay."""

    sentence = "remove the containers"


@dataclass(frozen=True)
class GiveUpOwnership(Step):
    """Take the owner token away."""

    sentence = "give up ownership"


@dataclass(frozen=True)
class RemoveVolumes(Step):
    """Live volumes away; what this operation did not snapshot is snapshotted first."""

    volumes: tuple[str, ...]
    sentence = "remove the live volumes {volumes}"
    patience = 20.0


@dataclass(frozen=True)
class RemoveCheckouts(Step):
    """Deploy directories and built images away, but those of ``keep``."""

    keep: tuple[str, ...]
    sentence = "remove checkouts and images except [{keep}]"


@dataclass(frozen=True)
class ForgetCopies(Step):
    """Snapshots away, once ``slave`` has a verified copy."""

    volumes: tuple[str, ...]
    slave: str
    sentence = "forget the copies of {volumes} once {slave} has one"


@dataclass(frozen=True)
class PutCopiesAside(Step):
    """They stay, and are no copies of the next app that has the name."""

    volumes: tuple[str, ...]
    sentence = "put the copies of {volumes} aside"
    insists = True


@dataclass(frozen=True)
class ReleaseClaims(Step):
    """Domains and frontends that the app's record does not name are free again."""

    sentence = "give back unused names"
    patience = 0.0
