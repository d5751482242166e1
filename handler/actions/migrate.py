"""Migrate: what the master of the app does that gives its data; it serves on."""

from __future__ import annotations

import logging

from handler import errors, snapshot
from handler.context import Context
from handler.core import steps as s
from handler.residence import is_still, residence
from handler.unfinished import settled

log = logging.getLogger(__name__)


def snapshot_origin(ctx: Context, step: s.SnapshotOrigin) -> None:
    """All volumes at one point; the names are in Consul before anything else happens.

    What an operation of that app tries, and may take back, is data of neither. Its lock is not ours, so it is asked before and after.
    """
    if ctx.hear("origin") is not None or ctx.op.origin is None:
        return
    lives = residence(ctx.ports.store, step.app)
    if lives is None or lives.placement.master != ctx.me:
        raise errors.Permanent(f"{step.app} does not live on {ctx.me} any more: it was moved meanwhile, send the event again")
    if snapshot.under_way(ctx.ports, step.app):
        raise errors.Temporary(f"{step.app} is being copied at this moment")
    before = settled(ctx.ports, step.app)
    if before is None:
        raise errors.Temporary(f"an operation of {step.app} is under way: send the event again when it has ended")
    pairs = ctx.op.origin.volumes
    point = snapshot.take(ctx.ports, step.app, lives.deploy_id, [volume for volume, _ in pairs])
    missing = [volume for volume, _ in pairs if volume not in point.snapshots]
    if missing or settled(ctx.ports, step.app) != before:
        snapshot.discard(ctx.ports, point.snapshots.values())
        why = f"it has no volume {missing[0]}" if missing else "an operation of it has begun"
        raise errors.Temporary(f"{step.app} cannot be snapshotted: {why}")
    if point.problem:
        log.warning("%s: the data of %s is as it is on the disk: %s", ctx.app, step.app, point.problem)
    ctx.say("origin", {mine: point.snapshots[volume] for volume, mine in pairs})


def send_origin(ctx: Context, step: s.SendOrigin) -> None:
    """In full, or in increments when that node is the app's slave anyway: there, and only there, the last one that comes counts as the
    newest copy.
    """
    slave = bool(ctx.op.origin and ctx.op.origin.keeps)
    try:
        for name in (ctx.hear("origin") or {}).values():
            ctx.ports.volumes.send(name, ctx.op.address(step.to), lambda: _guard(ctx), in_order=slave)
    except errors.Overtaken as error:  # its name is said already, so that no other one can take its place
        raise errors.Permanent(f"{error}: send the event again") from error
    ctx.say("released", {"node": ctx.me, "steps": ctx.timings})


def _guard(ctx: Context) -> None:
    """A send may wait for another one, and meanwhile a newer version may be deployed, and may have sent its first copy."""
    ctx.guard()
    origin = ctx.op.origin
    if origin and origin.keeps and not is_still(ctx.ports.store, origin.app, origin.event):
        raise errors.Permanent(f"{origin.app} was deployed anew meanwhile: send the event again")


def drop_origin(ctx: Context, step: s.DropOrigin) -> None:  # noqa: ARG001
    """On both nodes: neither needs these snapshots as a copy of the app that they are of."""
    for name in (ctx.hear("origin") or {}).values():
        ctx.ports.volumes.drop(name)
