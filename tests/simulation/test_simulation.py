"""Whole operations of the shipped handler on two to five nodes in memory, with crashes, power losses, cuts and failures: the invariants hold.

``make simulate SEEDS=100000`` makes as many runs as asked; ``--seed=N`` replays one with its trace.
"""

import multiprocessing
import os
import sys
from collections.abc import Callable

import pytest
from run import Broken, Run

from handler import execute, node, pursue
from handler.actions import ACTIONS
from handler.core import steps as s

MAX_SHOWN = 3


def complaint(seed: int) -> tuple[int, str]:
    """What is wrong with a run; empty when nothing is."""
    try:
        Run(seed).go()
    except Broken as error:
        return seed, str(error)
    return seed, ""


def test_the_invariants_hold_in_every_run(request: pytest.FixtureRequest) -> None:
    one, count = request.config.getoption("--seed"), request.config.getoption("--seeds")
    seeds = range(count) if one is None else [one]
    shown: list[str] = []
    with multiprocessing.get_context("fork").Pool(os.cpu_count()) as pool:
        for done, (seed, why) in enumerate(pool.imap_unordered(complaint, seeds, chunksize=20), 1):
            if why:
                shown.append(f"seed {seed}: {why}")
            if len(shown) >= MAX_SHOWN:
                break
            if sys.stdout.isatty() and done % 100 == 0:
                print(f"\r{done} of {len(seeds)} runs", end="", flush=True)  # noqa: T201
    assert not shown, "\n\n".join(shown)


# --- the simulation has teeth: faults that are planted in the handler are found --------------------------------------


def no_token(patch: pytest.MonkeyPatch) -> None:
    """Containers start without asking who owns the app: after a power loss Docker would do that by itself."""
    patch.setattr(node, "residence", lambda store, app: None)


def nothing_is_taken_back(patch: pytest.MonkeyPatch) -> None:
    patch.setitem(ACTIONS, s.StopTrial, lambda _ctx, _step: None)


def hold_is_not_lifted(patch: pytest.MonkeyPatch) -> None:
    patch.setitem(ACTIONS, s.LiftHold, lambda _ctx, _step: None)


def source_is_not_stopped(patch: pytest.MonkeyPatch) -> None:
    patch.setitem(ACTIONS, s.StopApp, lambda _ctx, _step: None)


def latest_instead_of_the_named_snapshot(patch: pytest.MonkeyPatch) -> None:
    def restore(ctx: object, _step: s.Step) -> None:
        for volume in ctx.op.volumes:
            complete = [name for name in ctx.ports.volumes.copies(volume) if ctx.ports.volumes.complete(name)]
            if complete:
                ctx.ports.volumes.restore(complete[0], volume)

    patch.setitem(ACTIONS, s.RestoreVolumes, restore)


def old_copy_does_not_wait_for_the_trial(patch: pytest.MonkeyPatch) -> None:
    patch.setitem(ACTIONS, s.AwaitTrialGone, lambda _ctx, _step: None)


def new_leader_does_not_wait_for_the_trial(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(pursue, "_trials_are_gone", lambda _ports, _event: True)


def journal_is_believed_after_a_power_loss(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(execute, "SERVING", ())


def abort_whatever_the_outcome_is(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(execute, "_settle", _give_up(execute._settle))


def _give_up(settle: Callable) -> Callable:
    def always(ctx: object, plan: object, why: str | None) -> str:
        found = settle(ctx, plan, why)
        return "aborted" if not plan.leads else found

    return always


@pytest.mark.parametrize(
    "fault",
    [
        no_token,
        nothing_is_taken_back,
        hold_is_not_lifted,
        source_is_not_stopped,
        latest_instead_of_the_named_snapshot,
        old_copy_does_not_wait_for_the_trial,
        new_leader_does_not_wait_for_the_trial,
        journal_is_believed_after_a_power_loss,
        abort_whatever_the_outcome_is,
    ],
)
def test_a_planted_fault_is_found(monkeypatch: pytest.MonkeyPatch, fault: Callable[[pytest.MonkeyPatch], None]) -> None:
    fault(monkeypatch)
    with multiprocessing.get_context("fork").Pool(os.cpu_count()) as pool:
        found = next((seed for seed, why in pool.imap_unordered(complaint, range(3000), chunksize=10) if why), None)
    assert found is not None
