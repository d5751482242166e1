"""Faults planted in the handler, each of which the simulation has to find: proof that it has teeth.

A table of name -> (what is patched, what the runs are drawn from). The second part only makes the runs fit, so that few are needed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pytest
from run import Profile

from handler import aside, context, execute, holds, lost, node, observe, pursue
from handler.actions import ACTIONS, migrate, start, switch
from handler.context import Context
from handler.core import composefile, entries, names, points, record, retention
from handler.core import steps as s
from handler.core.copies import Held
from handler.core.kv import CheckAbsent, Set
from handler.core.model import Kind, Operation
from handler.ports import Entry
from handler.purges import Purges

Patch = Callable[[pytest.MonkeyPatch], None]

_ALWAYS = CheckAbsent("a key that nobody writes")


EVERYTHING = Profile()


@dataclass(frozen=True)
class Planted:
    patch: Patch
    profile: Profile = EVERYTHING


def _does_nothing(step: type[s.Step]) -> Patch:
    return lambda patch: patch.setitem(ACTIONS, step, lambda _ctx, _step: None)


def _instead(target: object, name: str, value: Any) -> Patch:
    return lambda patch: patch.setattr(target, name, value)


def _latest_snapshot(ctx: Context, _step: s.Step) -> None:
    for volume in ctx.op.volumes:
        complete = sorted(one.name for one in ctx.ports.volumes.stock().get(volume, ()) if one.complete)
        if complete:
            ctx.ports.volumes.restore(complete[-1], volume)


def _abort_over_a_commit(ctx: Context, why: str) -> bool:
    value = context.outcome("aborted", ctx.me, why=why)
    return ctx.ports.store.transact([Set(names.op_key(ctx.app, ctx.op.event.id, "outcome"), value)])


def _done_before_it_is_done(ctx: Context, phase: str, step: s.Step, seconds: float) -> None:
    journal, event = ctx.ports.journal, ctx.op.event.id
    if entries.done(phase, step) in journal.done(ctx.app, event) and not isinstance(step, execute.SERVING):
        return
    ctx.guard()
    journal.mark(ctx.app, event, entries.begun(phase, step))
    journal.mark(ctx.app, event, entries.done(phase, step))
    ctx.persist(lambda: ACTIONS[type(step)](ctx, step), seconds)


def _concluded_before_the_tail(patch: pytest.MonkeyPatch) -> None:
    tail = execute._tail

    def first(ctx: Context, *arguments: Any, **more: Any) -> bool:
        ctx.ports.journal.mark(ctx.app, ctx.op.event.id, entries.CONCLUDED)
        return tail(ctx, *arguments, **more)

    patch.setattr(execute, "_tail", first)


def _snapshot_before_the_stop(patch: pytest.MonkeyPatch) -> None:
    hold = ACTIONS[s.HoldRequests]

    def hold_and_snapshot(ctx: Context, step: s.HoldRequests) -> None:
        hold(ctx, step)
        switch.snapshot_volumes(ctx, s.SnapshotVolumes(ctx.op.volumes))

    patch.setitem(ACTIONS, s.HoldRequests, hold_and_snapshot)


def _no_restore_in_place(patch: pytest.MonkeyPatch) -> None:
    restore = ACTIONS[s.RestoreVolumes]
    patch.setitem(ACTIONS, s.RestoreVolumes, lambda ctx, step: restore(ctx, step) if ctx.op.moves else None)


def _forgets_at_once(ctx: Context, step: s.ForgetCopies) -> None:
    for volume in step.volumes:
        for one in ctx.ports.volumes.stock().get(volume, ()):
            ctx.ports.volumes.drop(one.name)


def _purge_keeps(needed: Callable[[Sequence[Held], Iterable[str]], Iterable[str]], *, point: bool = True) -> Patch:
    """``needed`` instead of retention's own; with or without the points that the volumes share."""

    def patched(patch: pytest.MonkeyPatch) -> None:
        patch.setattr(retention, "needed", needed)
        if not point:
            patch.setattr(retention, "shared", lambda *_: ())

    return patched


_NEEDED = retention.needed


def _but_what_others_have(held: Sequence[Held], named: Iterable[str]) -> Iterable[str]:
    return _NEEDED([replace(one, hosts=()) for one in held], named)


def _but_the_last(held: Sequence[Held], named: Iterable[str]) -> Iterable[str]:
    return {*(one.name for one in held if one.hosts), *named}


def _source_aborts_by_itself(patch: pytest.MonkeyPatch) -> None:
    settle = execute._settle

    def settled(ctx: Context, plan: Any, why: str | None, known: str | None) -> str:
        found = settle(ctx, plan, why, known)
        return found if plan.leads else "aborted"

    patch.setattr(execute, "_settle", settled)


def _hold_stays(patch: pytest.MonkeyPatch) -> None:
    _does_nothing(s.LiftHold)(patch)
    patch.setattr(holds, "lift_left_over", lambda _store, _app: None)


def _whoever_s(hold: Entry | None) -> str:
    return str(record.loads(hold.value if hold else None).get("why", "")).rpartition(" ")[2]


def _forgets_what_it_has_seen(patch: pytest.MonkeyPatch) -> None:
    intent = record.intent
    patch.setattr(record, "intent", lambda event, _seen: intent(event, [event.id]))


def _rollback_takes(data: Callable[[observe.Seen, Operation], Mapping[str, str]]) -> Patch:
    """The code of the deploy that was asked for, with other data (volume -> snapshot)."""
    to_deploy = observe._to_deploy
    return _instead(observe, "_to_deploy", lambda seen, op: replace(to_deploy(seen, op), restore=tuple(sorted(data(seen, op).items()))))


def _all_are_ours(patch: pytest.MonkeyPatch) -> None:
    """A node with the code of an app starts it, whoever its master is."""

    def resume(ports: Any, app: str, _plain: Callable[..., bool] = node.resume_app, **more: bool) -> bool:
        listed = ports.deploys.list(app)
        if listed and ports.deploys.owned(app) is None:
            node._run(ports, app, listed[-1], anew=False)
            return True
        return _plain(ports, app, **more)

    patch.setattr("daemons.resume_app", resume)


def _takes_the_oldest(patch: pytest.MonkeyPatch) -> None:
    takeover = observe._takeover

    def oldest(seen: observe.Seen, op: Operation) -> Operation:
        copies = {volume: found[0] for volume, found in observe._copies(seen, op).items() if found}
        return replace(takeover(seen, op), restore=tuple(sorted(copies.items())))

    patch.setitem(observe._KINDS, Kind.TAKEOVER, oldest)


LEASES = Profile(
    faults=("handler stalls", "handler stalls", "session ends", "cut from Consul", "answer lost"),
    moments=("transact lock/", "maintenance/", "up ", ""),
    most_faults=6,
    apps=(1,),
    nodes=(2, 3),
    gaps=(0.5, 3.0, 20.0),
)
APART = Profile(faults=("isolated",), moments=("own ", "up ", "containers", ""), most_faults=6, apps=(1,), nodes=(2, 3))
DEAF = Profile(
    faults=("isolated", "handler killed"), moments=("own ", "up ", "containers"), most_faults=20, apps=(1,), nodes=(2, 3), gaps=(3.0,)
)
KILLS = Profile(faults=("handler killed", "power lost", "cut from Consul"), most_faults=6, apps=(1,), nodes=(2, 3))
FREEZING = Profile(faults=("handler killed",), moments=("unpause",), apps=(1,), nodes=(2, 3), copying=1.0)
LATE = Profile(
    faults=("cut from peers", "cut from Consul", "handler stalls", "disk full", "program fails"),
    most_faults=6,
    copying=1.0,
    apps=(1,),
    nodes=(2, 3),
    gaps=(20.0, 100.0),
)
POWER = Profile(faults=("power lost",), apps=(1,), nodes=(2, 3))
LENDING = Profile(
    faults=("version sick", "handler killed"),
    moments=("update", "up ", ""),
    most_faults=6,
    apps=(2,),
    gaps=(0.5, 3.0, 20.0),
    kinds=(("deploy", 60), ("migrate", 40)),
)
GUTTED = Profile(faults=("disk lost", "volumes lost"), most_faults=3, copying=1.0, apps=(1,), nodes=(2, 3), gaps=(20.0, 100.0))
REBORN = Profile(faults=("power lost", "cut from peers", "program fails"), moments=("send",), most_faults=6, apps=(1,), nodes=(2, 3))
DIRTY = Profile(faults=("power lost", "cut from peers"), most_faults=6, copying=1.0, apps=(1,), nodes=(2, 3), gaps=(20.0, 100.0))
TAKEN = Profile(faults=("power lost",), copying=1.0, apps=(1,), nodes=(2, 3), kinds=(("deploy", 60), ("takeover", 40)))
BACK = Profile(apps=(1,), nodes=(2, 3), kinds=(("deploy", 60), ("rollback", 40)))
FAILS = Profile(faults=("program fails", "version sick"), most_faults=6, apps=(1,), nodes=(2, 3))

PLANTED: dict[str, Planted] = {
    "commit without the fence": Planted(_instead(start, "CheckSession", lambda _key, _session: _ALWAYS), LEASES),
    "abort over a commit": Planted(_instead(Context, "abort", _abort_over_a_commit), LEASES),
    "outcome is not create-only": Planted(
        _instead(names, "create_outcome", lambda app, event, value: Set(names.op_key(app, event, "outcome"), value)), LEASES
    ),
    "leader does not fence itself": Planted(_instead(Context, "guard", lambda _ctx: None), APART),
    "no owner token": Planted(_instead(composefile, "override", lambda *_: "services: {}"), POWER),
    "whoever has the code starts the app": Planted(_all_are_ours, POWER),
    "nothing is resumed": Planted(_instead(node, "residence", lambda *_: None), POWER),
    "an app is resumed in the middle of an operation": Planted(_instead(node, "operation_open", lambda _ports, _ops: False), KILLS),
    "step is marked done first": Planted(_instead(execute, "_perform", _done_before_it_is_done), KILLS),
    "event is marked done first": Planted(_concluded_before_the_tail, KILLS),
    "event is not remembered": Planted(_forgets_what_it_has_seen, Profile(faults=("events replayed",))),
    "source is not stopped": Planted(_does_nothing(s.StopApp)),
    "source aborts by itself": Planted(_source_aborts_by_itself),
    "snapshot before the stop": Planted(_snapshot_before_the_stop),
    "the latest snapshot instead of the named one": Planted(
        lambda patch: patch.setitem(ACTIONS, s.RestoreVolumes, _latest_snapshot), FAILS
    ),
    "no restore after an abort in place": Planted(_no_restore_in_place, FAILS),
    "trial goes on after a restart": Planted(lambda patch: patch.setattr("daemons.stop_unsure", lambda *_, **__: None), DEAF),
    "trial is not taken back": Planted(_does_nothing(s.StopTrial), FAILS),
    "old copy does not wait for the trial": Planted(_does_nothing(s.AwaitTrialGone), LEASES),
    "new leader does not wait for the trial": Planted(_instead(pursue, "_trials_are_gone", lambda *_: True), LEASES),
    "hold is not lifted": Planted(_hold_stays, FAILS),
    "hold although the operation has ended": Planted(_instead(holds, "CheckAbsent", lambda _key: _ALWAYS), LEASES),
    "what a person put is an operation's": Planted(
        _instead(holds, "_event", _whoever_s), Profile(faults=("person maintains",), most_faults=6)
    ),
    "what a destroyed app left counts": Planted(_instead(aside, "put", lambda *_: None), REBORN),
    "a rollback takes the newest data": Planted(_rollback_takes(lambda seen, op: points.newest(observe._copies(seen, op))), BACK),
    "a rollback takes no data": Planted(_rollback_takes(lambda *_: {}), BACK),
    "a rollback takes what is newer than its time": Planted(_instead(points, "_not_after", lambda *_: True), BACK),
    "a takeover takes an old copy": Planted(_takes_the_oldest, TAKEN),
    "a migrate takes what is only tried": Planted(_instead(migrate, "settled", lambda *_: frozenset()), LENDING),
    "a master without its data starts": Planted(_instead(lost, "complaint", lambda *_: ""), GUTTED),
    "copies are forgotten before there is another": Planted(lambda patch: patch.setitem(ACTIONS, s.ForgetCopies, _forgets_at_once), KILLS),
    "a purge keeps nothing that is needed": Planted(_purge_keeps(lambda _held, _named: (), point=False)),
    "a purge keeps only what is named": Planted(_purge_keeps(lambda _held, named: set(named)), LATE),
    "a purge does not keep the verified copy": Planted(_instead(Purges, "_verified", lambda *_: set()), LATE),
    "a purge does not keep the parent of the next send": Planted(_purge_keeps(_but_what_others_have), LATE),
    "a purge does not keep the last snapshot": Planted(_purge_keeps(_but_the_last, point=False), LATE),
    "what was received is not on the disk": Planted(lambda patch: patch.setattr("daemons.flush_on_commit", lambda _ports: None), DIRTY),
    "what was frozen stays so after a crash": Planted(_instead(node, "recover", lambda _ports, _app: None), FREEZING),
}
