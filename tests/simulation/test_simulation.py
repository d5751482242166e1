"""Whole operations of the shipped handler on two to five nodes in memory, with crashes, power losses, cuts and failures: the invariants hold.

``make simulate SEEDS=100000`` makes as many runs as asked; ``make simulate SEED=17`` makes one again and shows all that happened.
"""

import gc
import multiprocessing
import os
import re
import subprocess
import sys

import pytest
from many import Progress, begin, many, one
from planted import PLANTED
from world import World

MAX_SHOWN = 3
ENOUGH = 3000
"""Seeds in which a planted fault has to be found."""


def test_the_invariants_hold_in_every_run(request: pytest.FixtureRequest, report: list[str]) -> None:
    seed, count = request.config.getoption("--seed"), request.config.getoption("--seeds")
    if seed is not None:
        result = one(seed, tell=True)
        assert not result.why, result.story
        return
    progress = Progress(count, shown=request.config.getoption("capture") == "no")
    wrong: list[str] = []
    for result in many(range(count)):
        progress.add(result)
        if result.why:
            wrong.append(result.story)
        if len(wrong) >= MAX_SHOWN:
            break
    report.append(str(progress))
    assert not wrong, "\n\n".join(wrong)


def test_runs_do_not_pile_up() -> None:
    """100,000 of them have to fit into memory."""
    with multiprocessing.get_context("fork").Pool(1, initializer=begin) as pool:
        assert pool.apply(worlds_after, (20,)) <= 1


def worlds_after(count: int) -> int:
    for seed in range(count):
        one(seed)
    gc.collect()
    return sum(isinstance(thing, World) for thing in gc.get_objects())


TRACES = """
import hashlib
from run import Run
for seed in range(30):
    run = Run(seed)
    run.go()
    print(hashlib.sha256(repr(run.world.trace).encode()).hexdigest())
"""


def test_a_seed_makes_the_same_run_in_every_process() -> None:
    """Else it could not be replayed: Python orders sets differently in each process."""
    path = os.pathsep.join(sys.path)
    made = [
        subprocess.run(
            [sys.executable, "-c", TRACES],
            env={**os.environ, "PYTHONHASHSEED": hashes, "PYTHONPATH": path},
            capture_output=True,
            check=True,
        )
        for hashes in ("1", "2")
    ]
    assert made[0].stdout == made[1].stdout


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_fault_is_found(monkeypatch: pytest.MonkeyPatch, report: list[str], name: str) -> None:
    """The simulation has teeth. What ends a run is an invariant, named: a fault that only makes the handler raise is planted wrongly."""
    PLANTED[name].patch(monkeypatch)
    tried = 0
    for result in many(range(ENOUGH), PLANTED[name].profile):
        tried += 1
        if result.why:
            assert re.match(r"I[1-7]: ", result.why), result.why
            report.append(f"planted and found after {tried} runs: {name}: {result.why[:90]}")
            return
    pytest.fail(f"not found in {tried} runs: {name}")
