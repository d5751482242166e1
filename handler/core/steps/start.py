"""Start: from the data to the outcome."""

from __future__ import annotations

from dataclasses import dataclass

from handler.core.steps.base import Step


@dataclass(frozen=True)
class VerifyCopies(Step):
    """Check that what arrived is complete."""

    sentence = "verify what arrived"


@dataclass(frozen=True)
class RestoreVolumes(Step):
    """Live volumes from exactly the snapshots of this operation."""

    sentence = "restore the volumes from the snapshots of this operation"


@dataclass(frozen=True)
class LoadData(Step):
    """Live volumes from the snapshots that the operation was told to start from."""

    what: str
    sentence = "load the data of {what}"


@dataclass(frozen=True)
class TakeOwnership(Step):
    """Put the owner token."""

    deploy_id: str
    sentence = "take ownership for deploy {deploy_id}"


@dataclass(frozen=True)
class RunPostMigrate(Step):
    """Run ``post_migrate.sh`` of the repository on the data that came from another app."""

    origin: str
    sentence = "run post_migrate.sh on the data of {origin}"


@dataclass(frozen=True)
class RunUpdate(Step):
    """Run ``update.sh`` of the repository."""

    sentence = "run update.sh"


@dataclass(frozen=True)
class StartApp(Step):
    """Start the containers of one deploy."""

    deploy_id: str
    sentence = "start the containers of deploy {deploy_id}"


@dataclass(frozen=True)
class AwaitHealthy(Step):
    """Wait for health checks, ports, or a watch window."""

    deploy_id: str
    sentence = "wait until deploy {deploy_id} is healthy"


@dataclass(frozen=True)
class Commit(Step):
    """The transaction after which the target is the master."""

    master: str
    sentence = "commit: {master} is the master"


@dataclass(frozen=True)
class CommitDestroy(Step):
    """The transaction after which the app is gone."""

    sentence = "commit: the app is destroyed"


@dataclass(frozen=True)
class AwaitOutcome(Step):
    """Wait for committed or aborted."""

    sentence = "wait for the outcome"
