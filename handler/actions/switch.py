"""Switch: on the source, from the first pre-copy to the released data, and the way back."""

from __future__ import annotations

import logging
from collections.abc import Callable

from handler import errors, holds, lost, trial
from handler.context import Context
from handler.core import limits, names, record
from handler.core import steps as s
from handler.residence import ABORTED, Residence, residence

log = logging.getLogger(__name__)


def await_sends(ctx: Context, step: s.AwaitSends) -> None:
    """What was sent for the present placement must not arrive in the next one, nor after a destroy: what comes last is the newest copy."""
    clock, but = ctx.ports.clock, ctx.op.address(step.but)
    deadline = clock.monotonic() + limits.SENDS
    while under_way := [f"{volume} to {host}" for volume, host in ctx.ports.volumes.sending(step.volumes) if host != but]:
        ctx.guard()
        ctx.stop_if_aborted()
        if clock.monotonic() > deadline:
            raise errors.Permanent(f"a copy is on its way, {', '.join(under_way)}: send the event again when it has arrived")
        clock.sleep(1.0)


def pre_copy(ctx: Context, step: s.PreCopy) -> None:
    """Rounds of snapshot and send, until one is short: the next delta, for which the app stops, is about as small.

    Each volume gets a time of its own, since the app writes meanwhile: should the move end here, these must not be taken for a point from
    which to start. One volume alone is a point all the same: its snapshot is of one moment, as btrfs makes it in one step.
    """
    _check_data(ctx)
    clock, volumes, host = ctx.ports.clock, ctx.ports.volumes, ctx.op.address(step.to)
    for number in range(1, limits.ROUNDS + 1):
        began = clock.monotonic()
        taken = [volumes.snapshot([volume])[volume] for volume in _present(ctx, step.volumes)]
        for snapshot in taken:
            volumes.send(snapshot, host, ctx.guard, meanwhile=ctx.stop_if_aborted)
        took = clock.monotonic() - began
        log.info("%s: copy round %d to %s took %.2f s", ctx.app, number, step.to, took)
        if took < limits.SHORT_ROUND or ctx.outcome() == ABORTED:
            return


def _check_data(ctx: Context) -> None:
    lives = residence(ctx.ports.store, ctx.app) or Residence()
    if ctx.op.event.kind in lost.NEEDING and (why := lost.complaint(ctx.ports, ctx.app, lives)):
        raise errors.Permanent(why)


def _present(ctx: Context, volumes: tuple[str, ...]) -> list[str]:
    """Those of the app's volumes that are live; a failed version's, which something still uses, are not its data."""
    left = trial.left(ctx.ports, ctx.app)
    return [volume for volume in volumes if volume not in left and ctx.ports.volumes.exists(volume)]


def await_prepared(ctx: Context, step: s.AwaitPrepared) -> None:
    """Nothing is stopped before the target has cloned, checked, pulled and built."""
    _wait_for_leader(ctx, "prepared", step.target)


def await_outcome(ctx: Context, step: s.AwaitOutcome) -> None:  # noqa: ARG001
    """Until committed (returns) or aborted (raises ``Aborted``)."""
    found = _wait_for_leader(ctx, "outcome", ctx.op.target)
    if found["outcome"] == ABORTED:
        raise errors.Aborted(found.get("why", "aborted"))


def _wait_for_leader(ctx: Context, part: str, leader: str) -> dict[str, str]:
    """Wait for a word of the leader; when its lease has been free for a while, declare the abort ourselves.

    Unlike other waits this one has no end of its own: an outcome that cannot be learned may be a commit, so nothing may start.
    """
    clock, store = ctx.ports.clock, ctx.ports.store
    prefix = names.op_prefix(ctx.app, ctx.op.event.id)
    free_since: float | None = None
    index = 0
    while True:
        try:
            found = {entry.key.removeprefix(prefix): entry.value for entry in store.tree(prefix)}
            if part in found:
                return record.loads(found[part])
            if "outcome" in found:
                raise errors.Aborted(record.loads(found["outcome"]).get("why", "aborted"))
            lock = store.get(names.lock_key(ctx.app))
            free = not (lock and lock.session)
            free_since = (clock.monotonic() if free_since is None else free_since) if free else None
            if free_since is not None and clock.monotonic() - free_since >= limits.LEADER_GONE:
                ctx.abort(f"{leader} lost its lease before it said {part}")
                free_since = None
            index = store.wait(prefix, index, limits.LOOK_AGAIN)
        except errors.Temporary as error:
            log.warning("%s: cannot learn %s of the operation, so nothing is started or stopped: %s", ctx.app, part, error)
            free_since = None
            clock.sleep(1.0)


def hold_requests(ctx: Context, step: s.HoldRequests) -> None:  # noqa: ARG001
    """Requests wait at every proxy; those in flight get a moment to end."""
    clock, proxies = ctx.ports.clock, ctx.ports.proxies
    if ctx.me == ctx.op.source:  # whose data is snapshotted while requests wait
        ctx.ports.volumes.sync()
    if not ctx.persist(lambda: holds.put(ctx.ports.store, ctx.op.event, ctx.me, clock.now())):
        raise errors.Aborted("the operation ended before its switch")
    if not ctx.ports.store.get(names.record_key(ctx.app)):
        return
    proxies.hold(ctx.app, ctx.op.event.id)  # what other nodes forward passes here, so that this is the hold that counts
    if not _until(ctx, limits.HELD, lambda: proxies.holds(ctx.app)):
        log.warning("%s: the proxies of this node do not hold it; some requests may fail", ctx.app)
    upstreams = _old_upstreams(ctx)
    if not _until(ctx, limits.DRAIN, lambda: not proxies.busy(upstreams)):
        log.warning("%s: %d requests were still in flight after %.0f s", ctx.app, proxies.busy(upstreams), limits.DRAIN)


def _old_upstreams(ctx: Context) -> tuple[tuple[str, int], ...]:
    """Where requests of the running version go; nothing when its code cannot be read any more, which must not keep it in place."""
    try:
        return ctx.spec(ctx.op.previous_deploy_id).upstreams
    except errors.Permanent as error:
        log.warning("%s: requests in flight cannot be counted: %s", ctx.app, error)
        return ()


def _until(ctx: Context, seconds: float, condition: Callable[[], bool]) -> bool:
    clock = ctx.ports.clock
    deadline = clock.monotonic() + seconds
    while not condition():
        if clock.monotonic() > deadline:
            return False
        clock.sleep(0.01)
    return True


def stop_app(ctx: Context, step: s.StopApp) -> None:  # noqa: ARG001
    """The containers stay, for the way back; without the token a restarted dockerd starts none of them."""
    ctx.ports.deploys.disown(ctx.app)
    ctx.ports.compose.stop(ctx.project, limits.STOP)


def snapshot_volumes(ctx: Context, step: s.SnapshotVolumes) -> None:
    """All at one point: nothing of the app runs. The names are in Consul before anything else happens.

    What the app gave up once, and the new version has again, will be written to as well.
    """
    if ctx.hear("snapshots") is None:
        _check_data(ctx)
        again = ctx.spec(ctx.op.deploy_id).volumes if ctx.op.new_code and ctx.me == ctx.op.target else ()
        ctx.say("snapshots", ctx.ports.volumes.snapshot(_present(ctx, tuple(dict.fromkeys((*step.volumes, *again))))))


def send_snapshots(ctx: Context, step: s.SendSnapshots) -> None:
    """The last delta."""
    for snapshot in (ctx.hear("snapshots") or {}).values():
        ctx.ports.volumes.send(snapshot, ctx.op.address(step.to), ctx.guard, meanwhile=ctx.stop_if_aborted)


def say_released(ctx: Context, step: s.SayReleased) -> None:  # noqa: ARG001
    """From here only the outcome decides who may start."""
    ctx.say("released", {"snapshots": ctx.hear("snapshots") or {}, "steps": ctx.timings, "node": ctx.me})


def await_trial_gone(ctx: Context, step: s.AwaitTrialGone) -> None:  # noqa: ARG001
    """Before the old copy starts again."""
    if node := trial.await_gone(ctx.ports, ctx.app, [ctx.op]):
        raise errors.Temporary(f"a trial copy may still run on {node}, whose worker does not answer: start it")


def lift_hold(ctx: Context, step: s.LiftHold) -> None:  # noqa: ARG001
    """The way back is complete."""
    ctx.persist(lambda: holds.lift(ctx.ports.store, ctx.app, ctx.op.event.id))
