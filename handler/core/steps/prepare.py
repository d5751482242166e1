"""Prepare: the app still serves."""

from __future__ import annotations

from dataclasses import dataclass

from handler.core.steps.base import Step


@dataclass(frozen=True)
class FetchCode(Step):
    """Clone the branch into the directory of this deploy."""

    deploy_id: str
    sentence = "fetch the code of deploy {deploy_id}"
    insists = True


@dataclass(frozen=True)
class CheckApp(Step):
    """Read and check the compose file; write the override file and ``.env``."""

    sentence = "check the compose file and the proxies' parts"


@dataclass(frozen=True)
class ClaimNames(Step):
    """Make domains, frontends, volumes and the other names this app's own."""

    sentence = "claim names"


@dataclass(frozen=True)
class PullImages(Step):
    """Pull images that are not here yet."""

    sentence = "pull images"
    insists = True


@dataclass(frozen=True)
class BuildImages(Step):
    """Build under tags of this deploy."""

    sentence = "build images"
    insists = True


@dataclass(frozen=True)
class PrepareRoutes(Step):
    """This node's Caddy knows the app before the proxies send requests to it."""

    sentence = "prepare the routes"


@dataclass(frozen=True)
class SettleRoutes(Step):
    """The routes are what the record says."""

    committed: bool
    sentence = "settle the routes (committed: {committed})"


@dataclass(frozen=True)
class SayPrepared(Step):
    """Tell the source that the target is ready."""

    sentence = "tell {source} that all is prepared"
    source: str


@dataclass(frozen=True)
class AwaitSends(Step):
    """Wait for what is on its way to other nodes than ``but``."""

    volumes: tuple[str, ...]
    but: str
    sentence = "wait until no copy is on its way to others"


@dataclass(frozen=True)
class PreCopy(Step):
    """Send snapshots while the app runs, until a round is short."""

    volumes: tuple[str, ...]
    to: str
    when: str
    sentence = "copy volumes {volumes} to {to} {when}"


@dataclass(frozen=True)
class AwaitPrepared(Step):
    """Wait until the target is ready."""

    target: str
    sentence = "wait until {target} is prepared"


# --- migrate: the app that gives its data serves on ----------------------------------------------------------------


@dataclass(frozen=True)
class SnapshotOrigin(Step):
    """One snapshot of each volume of the app that gives its data, which is paused for that moment."""

    app: str
    sentence = "snapshot the volumes of {app}"


@dataclass(frozen=True)
class SendOrigin(Step):
    """Send these snapshots, and tell the exact names."""

    to: str
    sentence = "send these snapshots to {to}"


@dataclass(frozen=True)
class DropOrigin(Step):
    """The snapshots are of no use any more."""

    app: str
    sentence = "drop the snapshots of {app}"
