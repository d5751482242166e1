"""To which commit and snapshots a rollback to an earlier deploy goes, from the operations that are remembered. Pure.

A deploy's data is what the operation that ended it snapshotted while it was stopped: its last state, as its last visitors saw it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from handler.core import record


class UnknownDeployError(ValueError):
    """There is no such deploy to go back to; the message says which there are."""


@dataclass(frozen=True)
class Ended:
    """One operation that has its outcome. ``snapshots`` (volume -> name) were taken while the app was stopped.

    ``volumes`` are those that the app has since.
    """

    committed: bool
    deploy_id: str
    replaced: str
    commit: str
    snapshots: Mapping[str, str]
    volumes: tuple[str, ...] = ()

    @classmethod
    def read(cls, parts: Mapping[str, str]) -> Ended:
        """From the values of an operation's hand-over keys; what people broke counts as not there."""
        outcome, plan = record.loads(parts.get("outcome")), record.loads(parts.get("plan"))
        known: dict[str, Any] = outcome.get("record") or {}
        volumes = known.get("volumes")
        return cls(
            committed=outcome.get("outcome") == "committed",
            deploy_id=str(known.get("deploy_id") or ""),
            replaced=str(plan.get("previous_deploy_id") or ""),
            commit=str(known.get("commit") or ""),
            snapshots=record.loads(parts.get("snapshots")),
            volumes=tuple(map(str, volumes)) if isinstance(volumes, list) else (),
        )


@dataclass(frozen=True)
class Back:
    """Where to go: the commit, and a snapshot for each volume; of those in ``lost`` the last state was not kept."""

    commit: str
    snapshots: Mapping[str, str]
    lost: tuple[str, ...] = ()


def possible(ended: Sequence[Ended]) -> dict[str, Back]:
    """The deploys that were in service and were replaced, oldest first; ``ended`` are the remembered operations, oldest first."""
    committed = [op for op in ended if op.committed and op.deploy_id]
    begun = {op.deploy_id: op for op in committed if op.commit}
    ends = {op.replaced: op.snapshots for op in committed if op.replaced != op.deploy_id}
    return {name: _back(op, ends[name]) for name, op in begun.items() if name in ends}


def _back(op: Ended, snapshots: Mapping[str, str]) -> Back:
    return Back(op.commit, snapshots, tuple(volume for volume in op.volumes if volume not in snapshots))


def to_deploy(ended: Sequence[Ended], current: str, deploy_id: str) -> Back:
    """The way back to ``deploy_id``. Raises :class:`UnknownDeployError`."""
    known = possible(ended)
    if deploy_id == current:
        raise UnknownDeployError(f"deploy {deploy_id} is in service; to go back to earlier data of it, give a time")
    if deploy_id not in known:
        raise UnknownDeployError(f"there is no deploy {deploy_id} to go back to; there are: {', '.join(known) or 'none'}")
    back = known[deploy_id]
    if back.lost:
        raise UnknownDeployError(
            f"the data of deploy {deploy_id} was not there any more when that ended: no snapshot of {', '.join(back.lost)}; "
            f"to go back to data of before, give a time"
        )
    return back
