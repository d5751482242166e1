"""Whole operations of the shipped handler on two to five nodes in memory, with crashes, power losses, cuts and failures: the invariants hold.

``make simulate SEEDS=100000`` makes as many runs as asked; ``make simulate SEED=17`` makes one again and shows all that happened.
"""

import pytest
from many import Progress, many, one
from planted import PLANTED
from run import Run

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


def test_the_same_seed_makes_the_same_run() -> None:
    first, second = Run(11), Run(11)
    first.go()
    second.go()
    assert first.world.trace == second.world.trace


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_fault_is_found(monkeypatch: pytest.MonkeyPatch, report: list[str], name: str) -> None:
    """The simulation has teeth."""
    PLANTED[name].patch(monkeypatch)
    tried = 0
    for result in many(range(ENOUGH), PLANTED[name].profile):
        tried += 1
        if result.why:
            report.append(f"planted and found after {tried} runs: {name}: {result.why[:90]}")
            return
    pytest.fail(f"not found in {tried} runs: {name}")
