"""Migrate: what the master of the app does that gives its data; it serves on."""

from __future__ import annotations

import logging

from handler import errors, snapshot
from handler.context import Context
from handler.core import steps as s
from handler.residence import residence

log = logging.getLogger(__name__)


def snapshot_origin(ctx: Context, step: s.SnapshotOrigin) -> None:
    """All volumes at one point; the names are in Consul before anything else happens."""
    if ctx.hear("origin") is not None or ctx.op.origin is None:
        return
    lives = residence(ctx.ports.store, step.app)
    if lives is None or lives.placement.master != ctx.me:
        raise errors.Permanent(f"{step.app} does not live on {ctx.me} any more: it was moved meanwhile, send the event again")
    if snapshot.under_way(ctx.ports, step.app):
        raise errors.Temporary(f"{step.app} is being copied at this moment")
    pairs = ctx.op.origin.volumes
    point = snapshot.take(ctx.ports, step.app, lives.deploy_id, [volume for volume, _ in pairs])
    if point.problem:
        log.warning("%s: the data of %s is as it is on the disk: %s", ctx.app, step.app, point.problem)
    ctx.say("origin", {mine: point.snapshots[volume] for volume, mine in pairs if volume in point.snapshots})


def send_origin(ctx: Context, step: s.SendOrigin) -> None:
    """In full, or in increments when that node is the app's slave anyway."""
    for name in (ctx.hear("origin") or {}).values():
        ctx.ports.volumes.send(name, ctx.op.address(step.to), ctx.guard)
    ctx.say("released", {"node": ctx.me, "steps": ctx.timings})


def drop_origin(ctx: Context, step: s.DropOrigin) -> None:  # noqa: ARG001
    """On both nodes: neither needs these snapshots as a copy of the app that they are of."""
    for name in (ctx.hear("origin") or {}).values():
        ctx.ports.volumes.drop(name)
