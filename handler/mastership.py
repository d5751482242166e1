"""Whether a node is still the master for which a step after an outcome is meant. Used by :mod:`handler.execute` before each such step.

The node may have been cut off, or down, since the operation began; others may have ended it, and put the app elsewhere.
"""

from __future__ import annotations

from handler import lost
from handler.context import Context
from handler.core import entries
from handler.core.model import Kind, Role
from handler.core.steps import (
    AwaitHealthy,
    AwaitTrialGone,
    AwaitVerifiedCopy,
    CopyToSlave,
    RegisterService,
    ScheduleCopies,
    StartApp,
    Step,
    TakeOwnership,
)
from handler.residence import COMMITTED, Operations, Residence, operations, residence

SERVING = (AwaitTrialGone, TakeOwnership, StartApp)
"""Without these the app does not serve, and nobody else does them: after the outcome they are tried again until they work. What they did
goes with the power, whatever the journal says."""
STARTING = (*SERVING, AwaitHealthy, CopyToSlave, AwaitVerifiedCopy)
"""Not done either while an operation that began later decides what runs."""
ANNOUNCING = (RegisterService, ScheduleCopies)
"""Done although a later operation has begun: when that one is aborted, nobody else does it."""


def left_out(ctx: Context, step: Step, *, superseded: bool) -> bool:
    """Whether a step of the tail is not this node's any more; waits for Consul, and raises ``StoreUnavailable`` when it stays away.

    ``superseded`` when a later operation has begun before this part of the operation was taken up again.
    """
    if isinstance(step, STARTING):
        serving = isinstance(step, (*SERVING, AwaitHealthy))
        return superseded or bool(ctx.persist(lambda: _may_not_start(ctx, serving=serving)))
    return isinstance(step, ANNOUNCING) and bool(ctx.persist(lambda: _replaced(ctx, operations(ctx.ports.store, ctx.app))))


def _may_not_start(ctx: Context, *, serving: bool) -> bool:
    """Of one moment: a takeover that is committed between two questions would be neither open nor a commit yet."""
    ops = operations(ctx.ports.store, ctx.app)
    return _replaced(ctx, ops) or _being_replaced(ctx, ops) or (serving and _without_data(ctx, ops))


def _replaced(ctx: Context, ops: Operations) -> bool:
    """Another node is the master, or a later commit says what is announced."""
    lives = residence(ctx.ports.store, ctx.app, ops)
    if lives is None:
        return False
    return lives.placement.role(ctx.me) is not Role.MASTER or (ctx.outcome() == COMMITTED and lives.event != ctx.op.event.id)


def _without_data(ctx: Context, ops: Operations) -> bool:
    """The node is the master, and its disk is an empty one: it must not start, and nobody has to wait for that. What a trial that is
    taken back has brought in, where nothing was, is not the app's data either.
    """
    lives = residence(ctx.ports.store, ctx.app, ops) or Residence()
    if lives.placement.role(ctx.me) is not Role.MASTER:
        return False
    tried = set() if ctx.outcome() == COMMITTED else entries.all_absent(ctx.ports.journal.done(ctx.app, ctx.op.event.id))
    return bool(tried & set(lives.volumes) or lost.complaint(ctx.ports, ctx.app, lives))


def _being_replaced(ctx: Context, ops: Operations) -> bool:
    """A takeover by another node, which does not wait for this one, has no outcome yet."""
    return any(op.event.kind is Kind.TAKEOVER and op.target != ctx.me for op in ops.open())
