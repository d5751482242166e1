"""Carry out one node's plan of one operation: steps in order, journalled; the outcome; the tail that belongs to it.

Called by :mod:`handler.pursue`. May be called again after any crash: steps that are done are not done again, and a leader that
finds itself restarted in the middle gives up by the same way as one that failed.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from contextlib import suppress

from handler import errors
from handler.actions import ACTIONS
from handler.context import Context
from handler.core import entries, history, limits, names, record
from handler.core.entries import BEFORE, CONCLUDED, UNDO
from handler.core.kv import Create
from handler.core.plan import Plan, Undo
from handler.core.steps import AwaitHealthy, AwaitOutcome, Commit, CommitDestroy, DropTrialVolumes, StartApp, Step
from handler.mastership import SERVING, left_out
from handler.residence import ABORTED, COMMITTED
from handler.trial import CLEANED

log = logging.getLogger(__name__)

_RETRY = 15.0
"""Seconds for which a step before the outcome is tried again when the error is temporary."""


def execute(ctx: Context, plan: Plan, *, known: str | None = None, superseded: bool = False) -> bool:
    """Do this node's part; returns whether it is complete (else a later call finishes the tail).

    ``known`` is the outcome as far as the caller has seen it. ``superseded`` when the operation has ended and a later one has begun: then
    what runs is that one's business.
    """
    data = history.data(ctx.op)
    log.info("%s: %s %s -> %s%s", ctx.app, ctx.op.event.kind, ctx.op.event.id, plan.recipe, f"; its data: {data}" if data else "")
    for number, step in enumerate(plan.before, 1):
        log.info("%s:   %d. %s", ctx.app, number, step)
    why: str | None = "it was committed before"
    if plan.leads and known == COMMITTED:
        outcome = COMMITTED
    else:
        why = _before(ctx, plan, known)
        outcome = _settle(ctx, plan, why, known)
    ctx.lease_over()
    if entries.owed(ctx.ports.journal.done(ctx.app, ctx.op.event.id)):
        return False
    tail: list[Step] = []
    if outcome == COMMITTED:
        tail += [*(plan.again if why is not None and plan.leads else ()), *plan.committed]
    else:
        tail += _applicable(ctx, plan.aborted)
    complete = _tail(ctx, outcome, tail, superseded=superseded)
    if complete:
        conclude(ctx)
    log.info("%s: %s %s: %s%s", ctx.app, ctx.op.event.kind, ctx.op.event.id, outcome, f": {why}" if why else "")
    return complete


def _leave_start(ctx: Context, outcome: str, step: Step, *, superseded: bool) -> None:
    """A start that did not work yet is left to ``resume_app``, which starts what has no token when no operation is open.

    One that worked while the node was being replaced is taken back at once.
    """
    done = ctx.ports.journal.done(ctx.app, ctx.op.event.id)
    if isinstance(step, StartApp) and entries.done(outcome, step) not in done:
        ctx.ports.deploys.disown(ctx.app)
    if isinstance(step, AwaitHealthy) and not superseded and entries.done(outcome, StartApp(step.deploy_id)) in done:
        ctx.ports.deploys.disown(ctx.app)
        ctx.ports.compose.stop(ctx.project, limits.STOP)


def conclude(ctx: Context) -> None:
    """Nothing more will be done here for this operation, be it done, failed or skipped."""
    ctx.ports.journal.mark(ctx.app, ctx.op.event.id, CONCLUDED)


def concluded(ctx: Context) -> bool:
    """Whether this node's part of the operation was completed before."""
    return CONCLUDED in ctx.ports.journal.done(ctx.app, ctx.op.event.id)


def _before(ctx: Context, plan: Plan, known: str | None) -> str | None:
    """Do the steps until the outcome; returns None, or why they ended early."""
    found = known or ctx.outcome_or_none()
    if found is not None and plan.leads:
        return "the operation had its outcome already"
    if found == ABORTED:
        return "the operation was aborted before this node had done its part"
    if plan.leads and (ctx.lease is None or any(_begun(ctx, step) for step in plan.before)):
        return f"the handler of {ctx.me} was restarted in the middle"
    try:
        for step in plan.before:
            _perform(ctx, BEFORE, step, _RETRY)
    except errors.ClusterError as error:
        log.error("%s: %s", ctx.app, error)  # noqa: TRY400 the trace tells nothing to the person on duty
        ctx.tail = getattr(error, "tail", "") or ctx.tail
        return str(error)
    except Exception as error:
        log.exception("%s: unexpected error", ctx.app)
        return f"unexpected {type(error).__name__}: {error}"
    return None


def _perform(ctx: Context, phase: str, step: Step, seconds: float) -> None:
    clock, event = ctx.ports.clock, ctx.op.event.id
    if entries.done(phase, step) in ctx.ports.journal.done(ctx.app, event) and not isinstance(step, SERVING):
        return
    ctx.guard()
    _mark(ctx, phase, entries.begun(phase, step))
    if ctx.lease and not ctx.failed:
        ctx.lease.say(record.dumps(lock_value(ctx, str(step))))
    began = clock.monotonic()
    ctx.persist(lambda: ACTIONS[type(step)](ctx, step), seconds)
    took = clock.monotonic() - began
    _mark(ctx, phase, entries.done(phase, step))
    if phase == BEFORE:
        ctx.timings.append(history.timing(step, ctx.me, took))
    log.info("%s: %s: %s (%.2f s)", ctx.app, event[:8], step, took)


def _mark(ctx: Context, phase: str, entry: str) -> None:
    """A full disk must keep neither a trial from being stopped nor its data from going away; until the old version serves, what is undone
    twice is undone.
    """
    try:
        ctx.ports.journal.mark(ctx.app, ctx.op.event.id, entry)
    except OSError as error:
        if phase not in (UNDO, ABORTED):
            raise
        log.error("%s: not in the journal: %s: %s", ctx.app, entry, error)  # noqa: TRY400 the trace tells nothing


def lock_value(ctx: Context, step: str) -> dict[str, object]:
    """What ``lock/<app>`` says about its holder: who, since when, doing what."""
    return {"node": ctx.me, "event": ctx.op.event.id, "step": step, "since": ctx.op.started}


def _begun(ctx: Context, step: Step) -> bool:
    return entries.begun(BEFORE, step) in ctx.ports.journal.done(ctx.app, ctx.op.event.id)


def _applicable(ctx: Context, undos: Iterable[Undo]) -> list[Step]:
    return [step for undo in undos if _begun(ctx, undo.after) for step in undo.steps]


def _settle(ctx: Context, plan: Plan, why: str | None, known: str | None) -> str:
    """The outcome; when this node's part failed, first take back the trial, then declare the abort, then take back the data.

    Waits without end while Consul gives no answer: an outcome that cannot be learned may be a commit.
    """
    if why is None:
        return _ended(ctx, plan, why)[0]
    learned = known or _learned(ctx, plan)
    if learned == COMMITTED:
        return COMMITTED  # what runs is what shall run
    ctx.failed = True
    if learned == ABORTED and _taken_back(ctx):
        if entries.owed(ctx.ports.journal.done(ctx.app, ctx.op.event.id)):
            _put_back(ctx, plan)
        return ABORTED
    _take_back(ctx, plan.undo)
    outcome, cleaned = _ended(ctx, plan, why)
    if outcome == ABORTED and not cleaned:
        _put_back(ctx, plan)
    if plan.leads:
        ctx.say(CLEANED, {"node": ctx.me})
    return outcome


def _ended(ctx: Context, plan: Plan, why: str | None) -> tuple[str, bool]:
    """The outcome, by our abort if need be, and whether the leader has taken back its data before: the old version writes to it since."""
    if why is not None and not plan.vetoes:
        with suppress(errors.Aborted):  # as those wait whose part did not fail: when the leader is gone, somebody has to declare the abort
            ACTIONS[AwaitOutcome](ctx, AwaitOutcome())
    while True:
        try:
            if why is not None and plan.vetoes and ctx.abort(why):
                _note_abort(ctx, why)
            outcome = ctx.outcome()
            if outcome:
                return outcome, outcome == ABORTED and ctx.hear(CLEANED) is not None
        except errors.Temporary as error:
            log.warning("%s: the outcome cannot be learned, so nothing is started: %s", ctx.app, error)
        ctx.ports.clock.sleep(1.0)


def _learned(ctx: Context, plan: Plan) -> str | None:
    """The outcome as far as it can be known. Once we have tried to commit it may be ours: then we wait as long as the lease is sure."""
    committing = any(_begun(ctx, step) for step in plan.before if isinstance(step, (Commit, CommitDestroy)))
    while True:
        try:
            ctx.guard()
            return ctx.outcome()
        except errors.LeaseLost:
            return None  # others may have aborted, and wait for the trial to end
        except errors.Temporary:
            if not committing or ctx.lease is None:
                return None
        ctx.ports.clock.sleep(0.5)


def _taken_back(ctx: Context) -> bool:
    """All that the abort takes back was taken back once, as Consul knows although the journal may not: the old version serves since."""
    try:
        return ctx.hear(CLEANED) is not None
    except errors.Temporary:
        return False


def _take_back(ctx: Context, undos: Iterable[Undo]) -> None:
    """Until it is done: nothing goes on before that."""
    for step in _applicable(ctx, undos):
        while not _attempt(ctx, step):
            ctx.ports.clock.sleep(5.0)


def _put_back(ctx: Context, plan: Plan) -> None:
    """The data as it was. What fails for now is tried until it works; where the disk is an empty one, say, a person has to do something
    first, and must be able to: so that is owed, and this node goes on to hear what they say.
    """
    journal, event = ctx.ports.journal, ctx.op.event.id
    while True:
        try:
            for step in _applicable(ctx, plan.rewind):
                _perform(ctx, UNDO, step, limits.TAIL)
            if entries.owed(journal.done(ctx.app, event)):
                journal.mark(ctx.app, event, entries.PAID)
        except errors.Permanent as error:
            log.error("%s: the data cannot be put back, so nothing starts: %s", ctx.app, error)  # noqa: TRY400
            with suppress(OSError):
                ctx.ports.deploys.disown(ctx.app)
                return journal.mark(ctx.app, event, entries.OWED)
        except (errors.ClusterError, OSError) as error:
            log.error("%s: the data is not put back yet: %s", ctx.app, error)  # noqa: TRY400
        else:
            return None
        ctx.ports.clock.sleep(5.0)


def _note_abort(ctx: Context, why: str) -> None:
    """A first version of the history, since the node that writes the full one may be gone."""
    outcome = {"outcome": ABORTED, "why": why, "tail": ctx.tail[-4000:]}
    value = history.entry(ctx.op, ctx.me, outcome, None, ctx.timings, ctx.tail)
    ctx.ports.store.transact([Create(names.history_key(ctx.app, ctx.op.event.id), record.dumps(value))])


def _attempt(ctx: Context, step: Step) -> bool:
    try:
        _perform(ctx, UNDO, step, limits.TAIL)
    except (errors.ClusterError, OSError) as error:
        log.error("%s: cannot %s, and nothing goes on before that: %s", ctx.app, step, error)  # noqa: TRY400
        return False
    return True


def _tail(ctx: Context, outcome: str, steps: Iterable[Step], *, superseded: bool) -> bool:
    """Every step, also when one before it failed: they are independent enough, and the rest must not wait for a person.

    Only what follows a start that failed waits for the start, but for the failed version's volumes, with which the next one would begin.
    What is the master's is asked for before each step: a node may have been
    cut off since it was one.
    """
    complete, failed = True, False
    for step in steps:
        try:
            if failed and not isinstance(step, DropTrialVolumes):
                continue
            if left_out(ctx, step, superseded=superseded):
                _leave_start(ctx, outcome, step, superseded=superseded)
                continue
            _perform(ctx, outcome, step, step.patience)
        except Exception as error:
            if isinstance(error, errors.ClusterError):
                log.error("%s: %s: %s", ctx.app, step, error)  # noqa: TRY400
            else:
                log.exception("%s: %s: unexpected error", ctx.app, step)
            failed |= isinstance(step, SERVING)
            later = isinstance(error, (errors.Temporary, OSError))  # a disk that is full has room again some day
            complete &= not (later or (step.insists and isinstance(error, errors.ClusterError)))
    return complete and not failed
