"""What plans are, and the parts that several of them share."""

from __future__ import annotations

from dataclasses import dataclass

from handler.core import steps as s
from handler.core.model import Operation
from handler.core.transitions import Recipe

Steps = tuple[s.Step, ...]


@dataclass(frozen=True)
class Undo:
    """Do ``steps`` if ``after`` was begun."""

    after: s.Step
    steps: Steps


@dataclass(frozen=True)
class Plan:
    """The part of one node. It has several, so that every way an operation can go is written down before anything is done.

    ``before``     until the outcome is known; any error in it ends in an abort
    ``undo``       what the leader takes back before it may declare the abort; nothing that a commit would miss, as it may be one
    ``rewind``     what the leader takes back once it is sure that the operation is aborted: data
    ``committed``  the tail after a commit
    ``aborted``    the tail after an abort; brings back what was
    ``again``      what makes the app serve when the outcome is ``committed`` although this node had stopped it already

    What an abort takes back depends on how far the operation came: each :class:`Undo` names the step that makes it necessary, so
    that an operation which failed while it was prepared touches nothing that serves. ``leads`` is true on the node that holds the lease;
    ``vetoes`` is false on a node whose failure is no reason for an abort.
    """

    recipe: str
    before: Steps = ()
    undo: tuple[Undo, ...] = ()
    rewind: tuple[Undo, ...] = ()
    committed: Steps = ()
    aborted: tuple[Undo, ...] = ()
    again: Steps = ()
    leads: bool = False
    vetoes: bool = True


ROUTES_BACK = Undo(s.PrepareRoutes(), (s.SettleRoutes(committed=False),))


# --- the leader's ---------------------------------------------------------------------------------------------------


def prepare(op: Operation) -> Steps:
    """All that can fail before anything is stopped."""
    return (s.FetchCode(op.deploy_id), s.CheckApp(), s.ClaimNames(), s.PullImages(), s.BuildImages())


def start(op: Operation, scripts: Steps = ()) -> Steps:
    """From the data to the commit; ``scripts`` run on the data before the app does."""
    update: Steps = (s.RunUpdate(),) if op.event.update else ()
    return (
        s.TakeOwnership(op.deploy_id),
        *scripts,
        *update,
        s.StartApp(op.deploy_id),
        s.AwaitHealthy(op.deploy_id),
        s.Commit(op.target),
    )


def again(op: Operation) -> Steps:
    """The new version once more, when it was committed although this node believed otherwise and stopped it."""
    return (s.TakeOwnership(op.deploy_id), s.StartApp(op.deploy_id), s.AwaitHealthy(op.deploy_id))


def serve(op: Operation) -> Steps:
    """What the master does after its commit."""
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


def in_place(op: Operation, recipe: str, first: Steps = (), load: Steps = (), scripts: Steps = ()) -> Plan:
    """The master stays; its code, its data or both are replaced. ``first`` is done while it serves, ``load`` when its state is safe."""
    code, routes = (prepare(op), (s.PrepareRoutes(),)) if op.new_code else ((), ())
    started = (*load, *start(op, scripts))
    sends: Steps = (s.AwaitSends(op.volumes, ""),) if op.after.slave != op.before.slave else ()
    before = (*sends, *code, *first, s.HoldRequests(), s.StopApp(), s.SnapshotVolumes(op.volumes), *routes, *started)
    cleaned: Steps = (s.ReleaseClaims(), s.RemoveCheckouts((op.previous_deploy_id,)))
    return Plan(
        recipe=recipe,
        leads=True,
        before=before,
        undo=(Undo(started[0], (s.StopTrial(),)),),
        rewind=(Undo(started[0], (s.RestoreVolumes(),)),),
        committed=serve(op),
        aborted=(
            ROUTES_BACK,
            *back(op),
            Undo(started[0], (s.DropTrialVolumes(),)),
            *((Undo(s.FetchCode(op.deploy_id), cleaned),) if op.new_code else ()),
            Undo(before[0], (s.WriteHistory(),)),
        ),
        again=again(op),
    )


# --- everybody's ----------------------------------------------------------------------------------------------------


def back(op: Operation) -> tuple[Undo, ...]:
    """The old version serves again, on its untouched or restored volumes."""
    old = op.previous_deploy_id
    gone: Steps = (s.AwaitTrialGone(op.target),) if op.moves else ()
    return (
        Undo(s.StopApp(), (*gone, s.TakeOwnership(old), s.StartApp(old), s.AwaitHealthy(old))),
        Undo(s.HoldRequests(), (s.LiftHold(),)),
    )


def leave(op: Operation, *, stays: bool = False) -> Steps:
    """Not being master (any longer): nothing runs, nothing is live, nothing is announced, nothing is scheduled.

    A node that ``stays`` as the slave says itself what is scheduled: a step that is tried again comes after those that followed it.
    """
    schedules: Steps = () if stays or not op.volumes else (s.Unschedule(op.volumes),)
    volumes: Steps = (s.RemoveVolumes(op.volumes),) if op.volumes else ()
    return (s.RemoveContainers(), s.GiveUpOwnership(), s.DeregisterService(), *schedules, *volumes)


def onlooker(recipe: str, committed: Steps = ()) -> Plan:
    """Nothing is asked of this node before the outcome, so that whatever is wrong with it is no reason for an abort."""
    return Plan(recipe=recipe, before=(s.AwaitOutcome(),), committed=committed, vetoes=False)


def stand_by(op: Operation) -> Plan:
    """Be the slave, from now on or still."""
    return onlooker(Recipe.STAND_BY.value, (*leave(op, stays=True), *stand_by_tail(op)))


def stand_by_tail(op: Operation) -> Steps:
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


def forget_tail(op: Operation, me: str) -> Steps:
    """Neither master nor slave any more. Snapshots go only when they are not the last second copy."""
    if op.after.slave:
        return (s.RemoveCheckouts(()), s.ForgetCopies(op.volumes, op.after.slave))
    if op.moves and me != op.source:
        return (s.RemoveCheckouts(()), s.ForgetCopies(op.volumes, op.source))
    return (s.RemoveCheckouts(()),)


def nothing(_op: Operation) -> Plan:
    """Not concerned, but for the case that the leader is gone and nobody else is there to say so."""
    return onlooker(Recipe.NOTHING.value)
