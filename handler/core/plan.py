"""What one node does in one operation: from its recipe (:mod:`handler.core.transitions`) to steps.

A plan has five parts, so that every way an operation can go is written down before anything is done:

``before``     until the outcome is known; any error in it ends in an abort
``undo``       what the leader takes back before it may declare the abort
``committed``  the tail after a commit
``aborted``    the tail after an abort; brings back what was
``again``      what makes the app serve when the outcome is ``committed`` although this node had stopped it already

What an abort takes back depends on how far the operation came: each :class:`Undo` names the step that makes it necessary, so
that an operation which failed while it was prepared touches nothing that serves.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from handler.core import steps as s
from handler.core.model import Kind, Operation
from handler.core.transitions import MATRIX, Recipe

Steps = tuple[s.Step, ...]


@dataclass(frozen=True)
class Undo:
    """Do ``steps`` if ``after`` was begun."""

    after: s.Step
    steps: Steps


@dataclass(frozen=True)
class Plan:
    """The part of one node; ``leads`` is true on the target, which holds the lease."""

    recipe: str
    before: Steps = ()
    undo: tuple[Undo, ...] = ()
    committed: Steps = ()
    aborted: tuple[Undo, ...] = ()
    again: Steps = ()
    leads: bool = False


def plan(op: Operation, me: str) -> Plan:
    """The part of node ``me`` in ``op``."""
    if op.event.kind is Kind.DESTROY:
        return _destroy(op, me)
    return _DEPLOY[MATRIX[op.before.role(me), op.after.role(me)]](op)


_ROUTES_BACK = Undo(s.PrepareRoutes(), (s.SettleRoutes(committed=False),))


# --- deploy, by recipe ---------------------------------------------------------------------------------------------


def _redeploy(op: Operation) -> Plan:
    """Master stays master: prepare beside the running app, then replace it."""
    return Plan(
        recipe=Recipe.REDEPLOY.value,
        leads=True,
        before=(
            *_prepare(op),
            s.HoldRequests(),
            s.StopApp(),
            s.SnapshotVolumes(op.volumes),
            s.PrepareRoutes(),
            *_start(op),
        ),
        undo=(Undo(s.TakeOwnership(op.deploy_id), (s.StopTrial(), s.RestoreVolumes())),),
        committed=_serve(op),
        aborted=(_ROUTES_BACK, *_back(op), *_forget_trial(op)),
        again=_again(op),
    )


def _receive(op: Operation) -> Plan:
    """Become master with the data of another node, or with none for a new app.

    Nobody waits for a new app; and Caddy, which asks for its certificates at once, would ask before a node leads the ACME server to it.
    """
    handover: Steps = (
        s.PrepareRoutes(),
        s.SayPrepared(op.source),
        s.AwaitReleased(op.source),
        s.VerifyCopies(),
        s.RestoreVolumes(),
    )
    return Plan(
        recipe=MATRIX[op.before.role(op.target), op.after.role(op.target)].value,
        leads=True,
        before=(*_prepare(op), *(handover if op.moves else ()), *_start(op)),
        undo=(Undo(s.TakeOwnership(op.deploy_id), (s.StopTrial(), s.GiveUpOwnership())),),
        committed=_serve(op),
        aborted=(
            _ROUTES_BACK,
            Undo(s.RestoreVolumes() if op.moves else s.StartApp(op.deploy_id), (s.DropTrialVolumes(),)),
            *_forget_trial(op),
        ),
        again=_again(op),
    )


def _hand_over(op: Operation) -> Plan:
    """Be master no longer: copy, stop, release; afterwards stand by or forget."""
    target = op.target
    return Plan(
        recipe=Recipe.HAND_OVER.value if op.after.slave == op.source else Recipe.LEAVE.value,
        before=(
            s.PreCopy(op.volumes, target, "while the app runs"),
            s.AwaitPrepared(target),
            s.PreCopy(op.volumes, target, "once more before the switch"),
            s.HoldRequests(),
            s.StopApp(),
            s.SnapshotVolumes(op.volumes),
            s.SendSnapshots(target),
            s.SayReleased(target),
            s.AwaitOutcome(),
        ),
        committed=(*_leave(op), *(_stand_by_tail(op) if op.after.slave == op.source else _forget_tail(op, op.source))),
        aborted=_back(op),
    )


def _stand_by(op: Operation) -> Plan:
    return Plan(
        recipe=Recipe.STAND_BY.value,
        before=(s.AwaitOutcome(),),
        committed=(*_leave(op), *_stand_by_tail(op)),
    )


def _forget(op: Operation) -> Plan:
    return Plan(
        recipe=Recipe.FORGET.value,
        before=(s.AwaitOutcome(),),
        committed=(*_leave(op), *_forget_tail(op, op.before.slave)),
    )


def _nothing(_op: Operation) -> Plan:
    return Plan(recipe=Recipe.NOTHING.value)


_DEPLOY: dict[Recipe, Callable[[Operation], Plan]] = {
    Recipe.REDEPLOY: _redeploy,
    Recipe.HAND_OVER: _hand_over,
    Recipe.LEAVE: _hand_over,
    Recipe.RECEIVE: _receive,
    Recipe.START: _receive,
    Recipe.STAND_BY: _stand_by,
    Recipe.FORGET: _forget,
    Recipe.NOTHING: _nothing,
}


# --- destroy -------------------------------------------------------------------------------------------------------


def _destroy(op: Operation, me: str) -> Plan:
    """Containers, volumes, schedules, record and service go; snapshots, the last one just taken, stay."""
    gone = (*_leave(op), s.RemoveCheckouts(()))
    if me == op.source:
        return Plan(
            recipe="destroy",
            leads=True,
            before=(s.HoldRequests(), s.StopApp(), s.SnapshotVolumes(op.volumes), s.CommitDestroy()),
            committed=(*gone, s.ReleaseClaims(), s.WriteHistory()),
            aborted=(*_back(op), Undo(s.StopApp(), (s.WriteHistory(),))),
        )
    return Plan(recipe="forget", before=(s.AwaitOutcome(),), committed=gone)


# --- parts that several plans share --------------------------------------------------------------------------------


def _prepare(op: Operation) -> Steps:
    return (s.FetchCode(op.deploy_id), s.CheckApp(), s.ClaimNames(), s.PullImages(), s.BuildImages())


def _start(op: Operation) -> Steps:
    return (
        s.TakeOwnership(op.deploy_id),
        *((s.RunUpdate(),) if op.event.update else ()),
        s.StartApp(op.deploy_id),
        s.AwaitHealthy(op.deploy_id),
        s.Commit(op.target),
    )


def _again(op: Operation) -> Steps:
    """The new version once more, when it was committed although this node believed otherwise and stopped it."""
    return (s.TakeOwnership(op.deploy_id), s.StartApp(op.deploy_id), s.AwaitHealthy(op.deploy_id))


def _back(op: Operation) -> tuple[Undo, ...]:
    """The old version serves again, on its untouched or restored volumes."""
    old = op.previous_deploy_id
    gone: Steps = (s.AwaitTrialGone(op.target),) if op.moves else ()
    return (
        Undo(s.StopApp(), (*gone, s.TakeOwnership(old), s.StartApp(old), s.AwaitHealthy(old))),
        Undo(s.HoldRequests(), (s.LiftHold(),)),
    )


def _serve(op: Operation) -> Steps:
    """What the new master does after its commit."""
    slave = op.after.slave
    copy: Steps = (s.CopyToSlave(slave), s.AwaitVerifiedCopy(slave)) if slave else ()
    return (
        s.SettleRoutes(committed=True),
        s.RegisterService(),
        s.ScheduleCopies(slave or "nobody", op.address(slave)),
        *copy,
        s.ReleaseClaims(),
        s.RemoveCheckouts((op.deploy_id,)),
        s.WriteHistory(),
    )


def _forget_trial(op: Operation) -> tuple[Undo, ...]:
    """What the target leaves behind after an abort: nothing of the new deploy."""
    keep = (op.previous_deploy_id,) if op.previous_deploy_id else ()
    return (Undo(s.FetchCode(op.deploy_id), (s.ReleaseClaims(), s.RemoveCheckouts(keep), s.WriteHistory())),)


def _leave(op: Operation) -> Steps:
    """Not being master (any longer): nothing runs, nothing is live, nothing is announced."""
    volumes: Steps = (s.Unschedule(op.volumes), s.RemoveVolumes(op.volumes)) if op.volumes else ()
    return (s.RemoveContainers(), s.GiveUpOwnership(), s.DeregisterService(), *volumes)


def _stand_by_tail(op: Operation) -> Steps:
    """The slave: the new version's code and images ready, a verified copy, purges."""
    return (
        s.VerifyFirstCopy(op.target),
        s.FetchCode(op.deploy_id),
        s.CheckApp(),
        s.PullImages(),
        s.BuildImages(),
        s.SchedulePurge(op.volumes),
        s.RemoveCheckouts((op.deploy_id,)),
    )


def _forget_tail(op: Operation, me: str) -> Steps:
    """Neither master nor slave any more. Snapshots go only when they are not the last second copy."""
    if op.after.slave:
        return (s.RemoveCheckouts(()), s.ForgetCopies(op.volumes, op.after.slave))
    if op.moves and me != op.source:
        return (s.RemoveCheckouts(()), s.ForgetCopies(op.volumes, op.source))
    return (s.RemoveCheckouts(()),)
