"""Switch: requests wait."""

from __future__ import annotations

from dataclasses import dataclass

from handler.core.steps.base import Step


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


# --- takeover: the master is dead, or nearly so --------------------------------------------------------------------


@dataclass(frozen=True)
class AwaitStopped(Step):
    """Give the former master, if it lives, the time to stop."""

    source: str
    sentence = "wait a moment for {source} to say that it has stopped"


@dataclass(frozen=True)
class SayStopped(Step):
    """Tell the new master that nothing runs here any more."""

    to: str
    sentence = "tell {to} that nothing runs here any more"
