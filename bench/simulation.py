"""Operations of the simulation per second and core: all cores at it, against one process alone."""

import sys
from collections.abc import Iterable
from pathlib import Path

from bench.figures import row

ROUNDS, SEEDS = 7, 200


def measure() -> tuple[str, ...]:
    """Some rounds, in turns, of the same seeds. An operation counts when it got an outcome."""
    sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "simulation"))
    from many import Result, many, one  # noqa: PLC0415 the tests' folder is on the path only now

    def rate(results: Iterable[Result]) -> float:
        some = list(results)
        return sum(one.operations for one in some) / sum(one.seconds for one in some)

    rates = [(rate(many(range(SEEDS))), rate(map(one, range(SEEDS)))) for _ in range(ROUNDS)]
    together, alone = zip(*rates, strict=True)
    return row("simulation, operations per second and core, all cores at it; one alone", together, alone, "at least 200", 1)
