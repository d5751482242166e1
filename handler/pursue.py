"""The story of an app on one node: bring what is to what should be, by leading the operation of its intent or joining it.

    observe -> plan -> execute

Called by :mod:`handler.worker` whenever an event, an intent or the time says that there may be something to do; called with nothing
to do, it does nothing.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from dataclasses import replace

from handler import aside, chronicle, errors, snapshot, trial
from handler.context import Context
from handler.core import limits, names, record
from handler.core.kv import CheckAbsent, CheckSession, Create, Op
from handler.core.model import Event, Kind, Operation
from handler.core.plan import plan
from handler.execute import conclude, concluded, execute
from handler.node import stop_if_replaced
from handler.observe import leader, observe
from handler.ports import Lease, Ports
from handler.residence import ABORTED, COMMITTED, Operations, Residence, operations, residence

log = logging.getLogger(__name__)


def pursue(ports: Ports, drivers: tuple[str, ...], app: str) -> bool:
    """Do all that this node has to do for ``app`` now; returns False when something has to be tried again later.

    Raises ``StoreUnavailable`` when Consul cannot be asked: then nothing is begun.
    """
    stop_if_replaced(ports, app)
    tried: set[str] = set()
    while True:
        event, ops = _intent(ports, app), operations(ports.store, app)
        _forget_journals(ports, ops)
        due = {op.event.id for op in ops.begun() if not concluded(Context(op, ports, drivers))}
        if due - tried:
            _join_all(ports, drivers, ops)
            tried |= due
            continue  # others may have begun meanwhile
        if event is None or not ops.is_new(event.id):
            return not due
        if due and _unjoined(ports, ops):
            return False  # with a full disk, say, we cannot take part; without a pause that would be tried again and again
        if leader(ports, event, ops) == ports.members.me():
            lead(ports, drivers, event)
        else:
            _await_begin(ports, event)


def _join_all(ports: Ports, drivers: tuple[str, ...], ops: Operations) -> None:
    """Take part in every operation that has begun and in which our part is not complete.

    An operation that ended, and that others followed, is skipped unless we were in the middle of it: what came after knows better.
    """
    begun, missed = ops.begun(), []
    for number, op in enumerate(begun):
        ctx, later = Context(op, ports, drivers), begun[number + 1 :]
        if concluded(ctx):
            continue
        found = ctx.outcome()
        if not found or not later or _due(ctx, drivers, found, later):
            execute(ctx, plan(op, ctx.me), known=found, superseded=bool(found and later))
        elif found == COMMITTED and op.target != ctx.me and not ports.journal.done(ops.app, op.event.id):
            missed.append(ctx)
        else:
            _skip(ctx, found)
    for ctx in missed:
        _catch_up(ctx)


def _due(ctx: Context, drivers: tuple[str, ...], found: str, later: list[Operation]) -> bool:
    """Whether our part in an operation that ended, and that others followed, is to be done all the same: what we were in the middle of,
    unless we have taken part in a commit since, and the abort of what we led, as others wait for our word that its trial is gone.
    """
    if ctx.ports.journal.done(ctx.app, ctx.op.event.id):
        return not _took_part_later(ctx.ports, drivers, later)
    return found == ABORTED and ctx.op.target == ctx.me


def _catch_up(ctx: Context) -> None:
    """A commit of others that we have missed, and that others followed: when these were all aborted, it says how to be."""
    if ctx.op.event.id == (residence(ctx.ports.store, ctx.app) or Residence()).event:
        execute(ctx, plan(ctx.op, ctx.me), known=COMMITTED, superseded=True)
    else:
        _skip(ctx, COMMITTED)


def _skip(ctx: Context, found: str) -> None:
    """What came after knows better; only that what is here of a destroyed app is no copy, nobody else can say. When that does not work it
    is tried again later, which keeps nobody from what came after.
    """
    try:
        if found == COMMITTED and ctx.op.event.kind is Kind.DESTROY:
            aside.put(ctx.ports, ctx.app, ctx.op.event.id, ctx.op.volumes)
    except (errors.ClusterError, OSError) as error:
        log.error("%s: the copies of what was destroyed are not put aside yet: %s", ctx.app, error)  # noqa: TRY400
    else:
        conclude(ctx)


def _forget_journals(ports: Ports, ops: Operations) -> None:
    """Of operations that Consul does not know any more; but not what a migrate into another app, which has no lock of this one, has noted
    while it froze the containers.
    """
    with suppress(OSError):  # a full disk has no room for that either
        ports.journal.forget(ops.app, [snapshot.JOURNAL, *ops.events])


def _took_part_later(ports: Ports, drivers: tuple[str, ...], later: list[Operation]) -> bool:
    """We have taken part in a commit that followed: what is left of an older operation would clean away what that one has made."""
    ours = (Context(op, ports, drivers) for op in later if ports.journal.done(op.app, op.event.id))
    return any(ctx.outcome() == COMMITTED and ctx.op.concerns(ctx.me) for ctx in ours)


def _intent(ports: Ports, app: str) -> Event | None:
    """The newest accepted event. Always read before what Consul knows of the operations: one that has ended must not look new."""
    entry = ports.store.get(names.intent_key(app))
    event, _ = record.read_intent(entry.value if entry else None)
    return event


def _still_new(ports: Ports, event: Event) -> Operations | None:
    """What Consul knows of the app's operations, as long as the event is the intent, and its operation has neither begun nor ended."""
    current, ops = _intent(ports, event.app), operations(ports.store, event.app)
    return ops if current and current.id == event.id and ops.is_new(event.id) else None


def lead(ports: Ports, drivers: tuple[str, ...], event: Event) -> None:
    """Take the lease, make the operation, and do the target's part; returns without doing anything when it cannot begin."""
    lease = _acquire(ports, event)
    if lease is None:
        return
    try:
        ops = operations(ports.store, event.app)
        op = _begin(ports, event, lease) if not _unjoined(ports, ops) and _trials_are_gone(ports, event, ops) else None
        if op is not None:
            leading = replace(ports, store=ports.store.within(lease.sure))
            execute(Context(op, leading, drivers, lease), plan(op, ports.members.me()))
    finally:
        lease.release()


def _acquire(ports: Ports, event: Event) -> Lease | None:
    """The lease, as soon as the operation before has ended; None when the event was superseded or aborted meanwhile, or when the
    operation before waits for us.
    """
    key, index = names.lock_key(event.app), 0
    value = record.dumps({"node": ports.members.me(), "event": event.id, "step": "begin"})
    while (ops := _still_new(ports, event)) is not None and not _unjoined(ports, ops):
        lease = ports.leases.acquire(key, value)
        if lease is not None:
            return lease
        index = ports.store.wait(key, index, 1.0)
    return None


def _trials_are_gone(ports: Ports, event: Event, ops: Operations) -> bool:
    """Wait for the trial copies of other nodes; when one may still run, the event is refused."""
    others = [op for op in ops.begun() if op.target != ports.members.me()]
    node = trial.await_gone(ports, event.app, others)
    if node:
        end_early(ports, event, f"a trial copy may still run on {node}, whose worker does not answer: start it")
    return not node


def _begin(ports: Ports, event: Event, lease: Lease) -> Operation | None:
    """Write the operation's plan for everybody to see; None when it cannot be done or was ended before."""
    try:
        op = observe(ports, event)
    except errors.BadInput as error:
        end_early(ports, event, str(error))
        return None
    ops: list[Op] = [
        CheckSession(names.lock_key(event.app), lease.session),
        CheckAbsent(names.op_key(event.app, event.id, "outcome")),
        Create(names.op_key(event.app, event.id, "plan"), record.operation(op)),
    ]
    return op if ports.store.transact(ops) else None


def _await_begin(ports: Ports, event: Event) -> None:
    """Wait for the leader to begin. When it does not although the app is free, end the operation in its place."""
    clock, store, app = ports.clock, ports.store, event.app
    deadline = clock.monotonic() + limits.BEGIN
    prefix, index = names.op_prefix(app), 0
    while True:
        ops = _still_new(ports, event)
        if ops is None or _unjoined(ports, ops):
            return
        lock = store.get(names.lock_key(app))
        if lock and lock.session:
            deadline = clock.monotonic() + limits.BEGIN
        who = leader(ports, event, ops)
        if not who and not (lock and lock.session):
            end_early(ports, event, f"{app} is not deployed: nothing to {event.kind}")
            return
        if clock.monotonic() > deadline:
            end_early(ports, event, f"{who} did not begin within {limits.BEGIN:.0f} s: is its worker running?")
            return
        index = store.wait(prefix, index, 5.0)


def _unjoined(ports: Ports, ops: Operations) -> bool:
    """An operation of the app has begun in which we have not taken part yet: it comes first, since others may wait for our part."""
    return any(not ports.journal.done(ops.app, op.event.id) for op in ops.begun())


def end_early(ports: Ports, event: Event, why: str) -> None:
    """The operation of an event ends before it began; nothing was changed anywhere."""
    log.error("%s: %s %s is refused: %s", event.app, event.kind, event.id, why)
    ports.store.transact(chronicle.ended_early(event, ports.members.me(), why, ports.clock.now()))
