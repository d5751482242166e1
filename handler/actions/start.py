"""Start: on the target, from the released data to the commit; and taking a failed trial back."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from handler import chronicle, errors, holds
from handler.actions.prepare import COMMIT_FILE
from handler.context import Context
from handler.core import entries, health, limits, names, record
from handler.core import steps as s
from handler.core.kv import CheckSession, Delete, Op, Set
from handler.residence import ABORTED, COMMITTED, Residence, outcome, residence

log = logging.getLogger(__name__)

UPDATE, POST_MIGRATE = "update.sh", "post_migrate.sh"
_TRIES = 3
"""A commit that Consul refuses has lost its lease, or a person put a page in this very moment."""


def await_released(ctx: Context, step: s.AwaitReleased) -> None:
    """The source sends, stops and releases; its part of the durations goes into the history."""
    released = ctx.wait_for("released", step.source, limits.PEER)
    ctx.timings[:0] = released.get("steps", [])


def verify_copies(ctx: Context, step: s.VerifyCopies) -> None:  # noqa: ARG001
    """Each released snapshot must be here, read-only and received from that very snapshot; in a move there is one of each volume."""
    given, lives = _given(ctx), residence(ctx.ports.store, ctx.app) or Residence()
    if ctx.op.moves and (missing := sorted(set(lives.volumes) - given.keys())):
        raise errors.Permanent(f"{ctx.op.source} has released no snapshot of {', '.join(missing)}")
    check_complete(ctx, given)


def _given(ctx: Context) -> dict[str, str]:
    """Live volume -> snapshot that another node, another app or the operation's event gave."""
    if ctx.op.restore:
        return dict(ctx.op.restore)
    return (ctx.hear("origin") if ctx.op.origin else (ctx.hear("released") or {}).get("snapshots")) or {}


def check_complete(ctx: Context, snapshots: dict[str, str]) -> None:
    """Raise ``Permanent`` unless every snapshot (volume -> name) is complete on this node.

    An interrupted ``btrfs receive`` leaves a writable part under the final name: btrfs-receive(8).
    """
    for name in snapshots.values():
        if not ctx.ports.volumes.complete(name):
            raise errors.Permanent(f"snapshot {name} did not arrive complete on {ctx.me}")


def restore_volumes(ctx: Context, step: s.RestoreVolumes) -> None:  # noqa: ARG001
    """From the named snapshots of this operation, never from "the latest"."""
    _replace(ctx, ctx.hear("snapshots") or {})


def load_data(ctx: Context, step: s.LoadData) -> None:  # noqa: ARG001
    """Live volumes become what another node, another app or the event named."""
    given = _given(ctx)
    check_complete(ctx, given)
    _replace(ctx, given)


def _replace(ctx: Context, given: dict[str, str]) -> None:
    """What was live is kept, unless it is known or a trial's: nobody else may have it, and it is no copy of what will be."""
    volumes, known = ctx.ports.volumes, (ctx.hear("snapshots") or {}) if ctx.me == ctx.op.source else {}
    if not ctx.failed:
        chronicle.keep(ctx.ports, ctx.app, ctx.op.event.id, [one for one in given if one not in known and volumes.exists(one)])
        _note_absent(ctx, given if ctx.op.moves else [one for one in given if not volumes.exists(one)])
    for volume, name in given.items():
        volumes.restore(name, volume)
        if ctx.op.moves:
            volumes.adopt(name, ctx.op.address(ctx.op.source))


def take_ownership(ctx: Context, step: s.TakeOwnership) -> None:
    """Containers of the app can start on this node from here on."""
    if ctx.lease and ctx.op.new_code and step.deploy_id == ctx.op.deploy_id:  # with a lease: before the outcome
        _note_absent(ctx, [one for one in ctx.spec(step.deploy_id).volumes if not ctx.ports.volumes.exists(one)])
    ctx.ports.deploys.own(ctx.app, step.deploy_id)


def _note_absent(ctx: Context, volumes: Iterable[str]) -> None:
    """Before anything of the trial can make them; or when what was there is kept, and is going to be replaced."""
    for volume in volumes:
        ctx.ports.journal.mark(ctx.app, ctx.op.event.id, entries.absent(volume))


def run_update(ctx: Context, step: s.RunUpdate) -> None:  # noqa: ARG001
    """``update.sh`` of the new version, on the data, before the app starts."""
    deploy_id = ctx.op.deploy_id
    if ctx.ports.deploys.read(ctx.app, deploy_id, UPDATE) is None:
        log.warning("%s: an update is due, but the repository has no %s", ctx.app, UPDATE)
        return
    event = ctx.op.event
    ctx.ports.deploys.run(ctx.app, deploy_id, (UPDATE, "-r", event.repo, "-b", event.branch), limits.UPDATE, ctx.guard)


def run_post_migrate(ctx: Context, step: s.RunPostMigrate) -> None:
    """``post_migrate.sh`` makes the data of another app this one's: other domains, no mails to customers. Arguments as in the seed."""
    event, deploy_id = ctx.op.event, ctx.op.deploy_id
    if ctx.ports.deploys.read(ctx.app, deploy_id, POST_MIGRATE) is None:
        log.warning("%s: the repository has no %s: the data of %s is used as it is", ctx.app, POST_MIGRATE, step.origin)
        return
    words = (POST_MIGRATE, "-R", event.origin_repo, "-B", event.origin_branch, "-r", event.repo, "-b", event.branch)
    ctx.ports.deploys.run(ctx.app, deploy_id, words, limits.UPDATE, ctx.guard)


def start_app(ctx: Context, step: s.StartApp) -> None:
    """``up -d`` in the deploy's directory; containers that were kept are started again."""
    ctx.ports.compose.up(ctx.directory(step.deploy_id), ctx.guard)


def await_healthy(ctx: Context, step: s.AwaitHealthy) -> None:
    """Poll until the rules of :mod:`handler.core.health` are content; ``Permanent`` with the reason when they never will be."""
    clock, compose = ctx.ports.clock, ctx.ports.compose
    spec = ctx.spec(step.deploy_id)
    began = clock.monotonic()
    answered: set[tuple[str, int]] = set()
    while True:
        ctx.guard()
        containers = compose.containers(ctx.project)
        running = {c.name: c.address for c in containers if c.state == "running" and c.address}
        for name, port in health.to_probe(spec, containers):
            if (name, port) not in answered and ctx.ports.probe.answers(running.get(name, ""), port, 1.0):
                answered.add((name, port))
        verdict = health.judge(spec, containers, answered, clock.monotonic() - began)
        if verdict.failed:
            raise errors.Permanent(f"deploy {step.deploy_id} did not become healthy: {verdict.why}")
        if verdict.ready:
            return
        if clock.monotonic() - began > limits.HEALTHY:
            raise errors.Permanent(f"deploy {step.deploy_id} is not healthy after {limits.HEALTHY:.0f} s: {verdict.why}")
        clock.sleep(0.05)


def commit(ctx: Context, step: s.Commit) -> None:  # noqa: ARG001
    """Fence, record, outcome and hold in one transaction; from here the target is the master."""
    op = ctx.op
    text = ctx.ports.deploys.read(ctx.app, op.deploy_id, COMMIT_FILE) or ""
    date = datetime.fromtimestamp(ctx.ports.clock.now(), UTC).isoformat(timespec="seconds")
    known = (residence(ctx.ports.store, ctx.app) or Residence()).record
    value = record.app_record(op, ctx.spec(op.deploy_id), text.strip(), date, known)
    _commit(ctx, value, Set(names.record_key(ctx.app), record.dumps(value)))


def commit_destroy(ctx: Context, step: s.CommitDestroy) -> None:  # noqa: ARG001
    """The record goes, so every proxy forgets the app."""
    _commit(ctx, {}, Delete(names.record_key(ctx.app)))


def _commit(ctx: Context, value: dict[str, Any], write: Op) -> None:
    if ctx.lease is None:
        raise errors.LeaseLost(f"{ctx.app}: only the holder of the lease may commit")
    committed = outcome(COMMITTED, ctx.me, deploy_id=ctx.op.deploy_id, record=value)
    fence = CheckSession(names.lock_key(ctx.app), ctx.lease.session)
    created = names.create_outcome(ctx.app, ctx.op.event.id, committed)
    store = ctx.ports.store
    for _ in range(_TRIES):
        # an answer that got lost may have been a commit: look before trying again
        if ctx.persist(lambda: ctx.outcome() == COMMITTED or store.transact([fence, created, write, *holds.lifting(store, ctx.app)])):
            return
        found = ctx.persist(ctx.outcome)
        if found == COMMITTED:
            return
        if found == ABORTED:
            raise errors.Aborted((ctx.hear("outcome") or {}).get("why", "aborted"))
    raise errors.LeaseLost(f"{ctx.app}: Consul refused the commit, the lease is not ours any more")


def stop_trial(ctx: Context, step: s.StopTrial) -> None:  # noqa: ARG001
    """The last lines of the containers are all that stays of a failed version. It is stopped before they are asked for: a driver of logs
    may take its time, and after a lost lease the old version starts soon.
    """
    ctx.ports.compose.stop(ctx.project, 0)
    with contextlib.suppress(errors.Temporary, errors.Permanent):
        ctx.tail = ctx.tail or ctx.ports.compose.logs(ctx.project, 20)
    ctx.ports.compose.remove(ctx.project)


def drop_trial_volumes(ctx: Context, step: s.DropTrialVolumes) -> None:  # noqa: ARG001
    """What was restored or created for the trial, and was not there before; its data is where it came from."""
    absent = entries.all_absent(ctx.ports.journal.done(ctx.app, ctx.op.event.id))
    for volume in ctx.without_others(sorted(absent)):
        ctx.ports.volumes.remove(volume)
