"""Takeover: between the new master and the former one, which may be dead, cut off, or only slow."""

from __future__ import annotations

import logging

from handler import errors
from handler.context import Context
from handler.core import limits, names
from handler.core import steps as s

log = logging.getLogger(__name__)

STOPPED = "stopped"
"""Part of the hand-over: the former master runs nothing of the app any more."""


def await_stopped(ctx: Context, step: s.AwaitStopped) -> None:
    """Until the former master has stopped, or the cluster has not heard of it for a while.

    One that is alive is waited for; when it does not answer, only a forced takeover goes on. A cut-off one may still serve its side:
    nobody can know from here, see docs/guarantees.rst.
    """
    clock, store = ctx.ports.clock, ctx.ports.store
    began = last_seen = clock.monotonic()
    index = 0
    while not ctx.hear(STOPPED):
        ctx.guard()
        now = clock.monotonic()
        node = ctx.ports.members.nodes().get(step.source)
        last_seen = now if node and node.alive else last_seen
        if now - last_seen > limits.SILENT:
            log.warning("%s: %s is silent; if it is only cut off, it serves until it learns of this", ctx.app, step.source)
            return
        if now - began > limits.STOPPED:
            if not ctx.op.event.force:
                raise errors.Permanent(f"{step.source} is back, but does not stop {ctx.app}: is its worker running?")
            log.warning("%s: %s did not say that it has stopped; this takeover is forced and goes on", ctx.app, step.source)
            return
        index = store.wait(names.op_prefix(ctx.app, ctx.op.event.id), index, 1.0)


def say_stopped(ctx: Context, step: s.SayStopped) -> None:  # noqa: ARG001
    """From here the new master may start."""
    ctx.say(STOPPED, {"node": ctx.me})
