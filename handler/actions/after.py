"""After the outcome: announce, copy, schedule on the master; clean up on the others; history."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from contextlib import suppress

from handler import aside, chronicle, claims, errors, lost, snapshot
from handler.actions.start import check_complete
from handler.context import Context
from handler.core import checks, copies, history, limits, names, record
from handler.core import steps as s
from handler.core.kv import Delete, DeleteTree, Op
from handler.core.model import Role
from handler.residence import Residence, is_still, operations, residence

log = logging.getLogger(__name__)

PURGE = {"purge:1h:1d:1w:4w:1y": 1440}
"""Minutes: once a day, keeping hours for a day, days for a week, weeks for four, then one for a year."""

EVERY = 60
"""Minutes between replications (or snapshots)."""

_TRIES = 3


def register_service(ctx: Context, step: s.RegisterService) -> None:  # noqa: ARG001
    """On the master only."""
    spec = ctx.spec(ctx.op.deploy_id)
    definitions = checks.definitions(ctx.app, spec.checks, spec.own_checks, ctx.op.after.slave)
    ctx.ports.services.register(ctx.app, ctx.op.address(ctx.me), definitions)


def deregister_service(ctx: Context, step: s.DeregisterService) -> None:  # noqa: ARG001
    """On everybody else."""
    ctx.ports.services.deregister(ctx.app)


def schedule_copies(ctx: Context, step: s.ScheduleCopies) -> None:
    """Replicate to the slave, or take snapshots when there is none; volumes that the app gave up are not copied any more."""
    copies = {f"replicate:{step.address}": EVERY} if step.address else {"snapshot": EVERY}
    current = ctx.spec(ctx.op.deploy_id).volumes
    for volume in ctx.without_others(sorted({*current, *ctx.op.volumes})):
        ctx.ports.volumes.schedule(volume, {**copies, **PURGE} if volume in current else {})


def schedule_purge(ctx: Context, step: s.SchedulePurge) -> None:
    """What the master replicates piles up on the slave otherwise."""
    for volume in ctx.without_others(_all_volumes(ctx, step.volumes)):
        ctx.ports.volumes.schedule(volume, PURGE)


def unschedule(ctx: Context, step: s.Unschedule) -> None:
    """Nothing left of former roles."""
    for volume in ctx.without_others(step.volumes):
        ctx.ports.volumes.schedule(volume, {})


def _all_volumes(ctx: Context, known: tuple[str, ...]) -> list[str]:
    lives = residence(ctx.ports.store, ctx.app) or Residence()
    return sorted({*known, *lives.volumes})


def copy_to_slave(ctx: Context, step: s.CopyToSlave) -> None:
    """A placement is complete with its second copy. A slave that is down does not fail the deploy."""
    slave = ctx.ports.members.nodes().get(step.to)
    try:
        if not slave or not slave.alive:
            raise errors.Permanent(f"{step.to} is down: there is no second copy until it is back")
        if why := lost.complaint(ctx.ports, ctx.app, residence(ctx.ports.store, ctx.app) or Residence()):
            raise errors.Permanent(why)
        ctx.say("sent", {"snapshots": _send_newest(ctx, slave.address)})
    except errors.Permanent as error:
        ctx.say("sent", {"error": str(error)})
        raise


def _send_newest(ctx: Context, host: str) -> Mapping[str, str]:
    """All volumes at one point; a new one when what a migrate gives has overtaken it on its way."""
    for _ in range(_TRIES):
        point = snapshot.take(ctx.ports, ctx.app, ctx.op.deploy_id, ctx.spec(ctx.op.deploy_id).volumes)
        with suppress(errors.Overtaken):
            for name in point.snapshots.values():
                ctx.ports.volumes.send(name, host, lambda: _still_in_service(ctx), meanwhile=lambda: _still_wanted(ctx))
            return point.snapshots
    raise errors.Temporary(f"{_TRIES} copies of {ctx.app} to {host} were overtaken by what migrates send there")


def _still_in_service(ctx: Context) -> None:
    if not is_still(ctx.ports.store, ctx.app, ctx.op.event.id):
        raise errors.Permanent(f"{ctx.app} was changed meanwhile: who did that sends the copy")


def _still_wanted(ctx: Context) -> None:
    """A full copy takes hours, in which a person may want to go back to the version before, or the slave may have to take over."""
    with suppress(errors.Temporary):
        if ctx.overtaken():
            raise errors.Permanent(f"another operation of {ctx.app} comes next; the copy is not waited for any more")


def await_verified_copy(ctx: Context, step: s.AwaitVerifiedCopy) -> None:
    """The slave's own word, not the sender's."""
    sent = ctx.hear("sent")
    if sent is None:
        raise errors.Permanent(f"nothing was sent to {step.slave} yet")  # so the slave has nothing to say either
    if sent.get("error"):
        return  # said already
    found = ctx.wait_for("copied", step.slave, limits.COPY, tail=True)
    if found.get("error"):
        raise errors.Permanent(f"{step.slave} has no complete copy: {found['error']}")


def verify_first_copy(ctx: Context, step: s.VerifyFirstCopy) -> None:
    """On the slave."""
    try:
        sent = ctx.wait_for("sent", step.master, limits.COPY, tail=True)
        if sent.get("error"):
            raise errors.Permanent(f"{step.master} could not send a first copy: {sent['error']}")
        check_complete(ctx, sent["snapshots"])
    except errors.Permanent as error:
        ctx.say("copied", {"error": str(error), "node": ctx.me})
        raise
    for name in sent["snapshots"].values():
        ctx.ports.volumes.adopt(name, ctx.op.address(step.master))
    ctx.say("copied", {"snapshots": sent["snapshots"], "node": ctx.me})


def remove_containers(ctx: Context, step: s.RemoveContainers) -> None:  # noqa: ARG001
    """The record says that the app does not live here."""
    ctx.ports.compose.remove(ctx.project)


def give_up_ownership(ctx: Context, step: s.GiveUpOwnership) -> None:  # noqa: ARG001
    """Its containers cannot start here any more."""
    ctx.ports.deploys.disown(ctx.app)


def remove_volumes(ctx: Context, step: s.RemoveVolumes) -> None:
    """Live volumes go; what was not snapshotted in this operation is snapshotted first, all at one point, since nobody else may have it.

    Containers that could not be removed may write: what came after that snapshot would go with the volume.
    """
    volumes = ctx.ports.volumes
    if not all(one.down for one in ctx.ports.compose.containers(ctx.project)):
        raise errors.Temporary(f"{ctx.app} still runs here")
    taken = (ctx.hear("snapshots") or {}) if ctx.me == ctx.op.source else {}
    live = [volume for volume in ctx.without_others(step.volumes) if volumes.exists(volume)]
    only_here = [volume for volume in live if volume not in taken]
    for volume, name in chronicle.keep(ctx.ports, ctx.app, ctx.op.event.id, only_here).items():
        log.warning("%s: kept the last state of %s as %s", ctx.app, volume, name)
    for volume in live:
        volumes.remove(volume)


def remove_checkouts(ctx: Context, step: s.RemoveCheckouts) -> None:
    """Directories and images of other deploys."""
    for deploy_id in ctx.ports.deploys.list(ctx.app):
        if deploy_id not in step.keep:
            ctx.ports.deploys.remove(ctx.app, deploy_id)
    ctx.ports.compose.remove_images(f"cluster/{ctx.project}-", step.keep)


def forget_copies(ctx: Context, step: s.ForgetCopies) -> None:
    """Only after the slave has said that its copy is complete; where there is none, the source of a move has its released snapshots.

    What was put aside is no copy, and stays. A node that was down meanwhile, or waited, may be the slave again, by a later operation: then
    what it has is the copy.
    """
    volumes = tuple(volume for volume in step.volumes if volume in (ctx.hear("snapshots") or {}))
    if ctx.op.after.slave:
        found = ctx.wait_for("copied", step.slave, limits.COPY, tail=True)
        if found.get("error"):
            raise errors.Permanent(f"kept the copies here, since {step.slave} has none: {found['error']}")
        volumes = _safe_there(ctx, step, found.get("snapshots") or {})
    lives = residence(ctx.ports.store, ctx.app) or Residence()
    if lives.placement.role(ctx.me) is not Role.NOTHING:
        return
    stock = ctx.ports.volumes.stock()
    for one in [one for volume in ctx.without_others(volumes) for one in stock.get(volume, ()) if not one.aside]:
        ctx.ports.volumes.drop(one.name)
    if missing := sorted(set(step.volumes) - set(volumes)):
        raise errors.Permanent(f"kept the copies of {', '.join(missing)} here, since {step.slave} has not said that it has one")


def _safe_there(ctx: Context, step: s.ForgetCopies, copied: Mapping[str, str]) -> tuple[str, ...]:
    """The volumes of which the slave has a copy now. What it ``copied`` in this operation is believed for a while: it looks again later."""
    if ctx.ports.clock.now() - history.began(ctx.op) < limits.COPY:
        return tuple(volume for volume in step.volumes if volume in copied)
    entry = ctx.ports.store.get(names.node_key(step.slave))
    said = copies.said_of({step.slave: record.loads(entry.value if entry else None)}, step.slave, ctx.app)
    return tuple(volume for volume in step.volumes if copies.snapshot_of(said, volume))


def put_copies_aside(ctx: Context, step: s.PutCopiesAside) -> None:
    """The next app that has these volumes' names begins without data, whatever becomes of it."""
    aside.put(ctx.ports, ctx.app, ctx.op.event.id, step.volumes)


def release_claims(ctx: Context, step: s.ReleaseClaims) -> None:  # noqa: ARG001
    """Names that the app does not have (any more) are free."""
    store = ctx.ports.store
    found = claims.entries(store, ctx.app)  # before all that decides: who claims one again meanwhile writes it again
    ops = operations(store, ctx.app)
    if ops.open():
        return  # it has claimed what it needs, and will see to the rest
    lives = residence(store, ctx.app, ops) or Residence()
    kept = {*lives.record.get("claims", ()), *claims.had(lives)}
    snapshots = ctx.ports.volumes.stock() if lives.record else {}  # those of a destroyed app are put aside
    left = claims.release(store, found, kept, lambda volume: volume in snapshots or ctx.ports.volumes.exists(volume))
    if left and not lives.record:
        raise errors.Temporary(f"{', '.join(left)} is taken as long as the volume is on this node")


def write_history(ctx: Context, step: s.WriteHistory) -> None:  # noqa: ARG001
    """What happened; then the oldest operations of the app are forgotten."""
    outcome, copied, state = ctx.hear("outcome") or {}, ctx.hear("copied"), ctx.hear("snapshots")
    value = history.entry(ctx.op, ctx.me, outcome, copied, ctx.timings, ctx.tail, state)
    chronicle.write(ctx.ports.store, ctx.app, ctx.op.event.id, value)
    prune(ctx)


def prune(ctx: Context) -> None:
    """Keep the keys of the last operations, of all that came to the app meanwhile, and of the one that says where it lives."""
    store, prefix = ctx.ports.store, names.op_prefix(ctx.app)
    first: dict[str, int] = {}
    plans = []
    for entry in store.tree(prefix):
        event, _, part = entry.key.removeprefix(prefix).partition("/")
        first[event] = min(entry.index, first.get(event, entry.index))
        if part == "plan":
            plans.append(entry.index)
    horizon = sorted(plans)[-limits.HISTORY] if len(plans) >= limits.HISTORY else 0
    lives = residence(store, ctx.app) or Residence()
    for event in sorted(event for event, index in first.items() if index < horizon and event != lives.event):
        gone: list[Op] = [DeleteTree(names.op_prefix(ctx.app, event)), Delete(names.history_key(ctx.app, event))]
        store.transact(gone)
