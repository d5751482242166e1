"""The steps that plans are made of. A step is a value: its ``str`` is the line in the log, in the plan and in the journal.

What a step does is in :mod:`handler.actions`, in a table from class to function. Every step may be done twice: the second time
changes nothing. Steps hand results to later ones only through Consul or the disk, so that a plan survives a crash between any two.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Step:
    """Base: the sentence is a format string over the step's own fields."""

    sentence = ""

    def __str__(self) -> str:
        """Readable text, unique within a plan."""
        values = {key: ", ".join(v) if isinstance(v, tuple) else v for key, v in vars(self).items()}
        return self.sentence.format(**values)


# --- prepare: the app still serves ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class FetchCode(Step):
    """Clone the branch into the directory of this deploy."""

    deploy_id: str
    sentence = "fetch the code of deploy {deploy_id}"


@dataclass(frozen=True)
class CheckApp(Step):
    """Read and check the compose file; write the override file and ``.env``."""

    sentence = "check the compose file and the proxies' parts"


@dataclass(frozen=True)
class ClaimNames(Step):
    """Make domains and frontend names this app's own."""

    sentence = "claim domains and frontends"


@dataclass(frozen=True)
class PullImages(Step):
    """Pull images that are not here yet."""

    sentence = "pull images"


@dataclass(frozen=True)
class BuildImages(Step):
    """Build under tags of this deploy."""

    sentence = "build images"


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


# --- switch: requests wait -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class HoldRequests(Step):
    """Make all proxies hold the app's requests; wait for our own and for requests in flight."""

    sentence = "hold requests"


@dataclass(frozen=True)
class StopApp(Step):
    """Stop the containers and keep them."""

    sentence = "stop the containers"


@dataclass(frozen=True)
class SnapshotVolumes(Step):
    """One snapshot of each volume, while nothing runs."""

    volumes: tuple[str, ...]
    sentence = "snapshot volumes {volumes}"


@dataclass(frozen=True)
class SendSnapshots(Step):
    """Send these snapshots to the target."""

    to: str
    sentence = "send the snapshots to {to}"


@dataclass(frozen=True)
class SayReleased(Step):
    """Tell the target the exact names."""

    to: str
    sentence = "release the data to {to}"


@dataclass(frozen=True)
class AwaitReleased(Step):
    """Wait for the names of what was sent."""

    source: str
    sentence = "wait until {source} has released the data"


# --- start ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class VerifyCopies(Step):
    """Check that what arrived is complete."""

    sentence = "verify what arrived"


@dataclass(frozen=True)
class RestoreVolumes(Step):
    """Live volumes from exactly the snapshots of this operation."""

    sentence = "restore the volumes from the snapshots of this operation"


@dataclass(frozen=True)
class TakeOwnership(Step):
    """Put the owner token."""

    deploy_id: str
    sentence = "take ownership for deploy {deploy_id}"


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


# --- after a commit ------------------------------------------------------------------------------------------------


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
class ReleaseClaims(Step):
    """Domains and frontends that the app's record does not name are free again."""

    sentence = "give back unused domains and frontends"


# --- after an abort ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class StopTrial(Step):
    """Note the last lines of the failed containers, then remove them."""

    sentence = "stop the trial copy"


@dataclass(frozen=True)
class DropTrialVolumes(Step):
    """Live volumes of a trial copy away; nobody's requests reached them."""

    sentence = "remove the volumes of the trial copy"


@dataclass(frozen=True)
class AwaitTrialGone(Step):
    """Source, aborted: the target has taken back its trial copy."""

    target: str

    def __str__(self) -> str:
        return f"wait until the trial copy on {self.target} is gone"


@dataclass(frozen=True)
class LiftHold(Step):
    """Requests flow again."""

    sentence = "lift the hold"
