"""Run the benchmarks and write bench/results/latest.rst."""

import os
import platform
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lab"))

from bench import failure, move, routes, simulation, start
from clusterlab import cluster, images

RESULTS = Path(__file__).parent / "results" / "latest.rst"
EXPLAINED = """\
Measured
========

Times are in milliseconds where nothing else is said: minimum, median, maximum. The ratio is that of the medians; both were taken in the same run, in turns.

"""
MACHINE = f"""
Python {platform.python_version()} ({platform.python_compiler()}), {os.cpu_count()} cores.
"""


def main() -> int:
    rates = simulation.measure()
    cluster.up(3)
    try:
        rows = [start.measure(images.SERVICES), move.measure(), *failure.measure(), *routes.measure(), rates]
    finally:
        cluster.down()
    head = ("what", "measured", "reference", "ratio", "aim")
    widths = [max(len(row[i]) for row in (head, *rows)) for i in range(len(head))]
    rule = "  ".join("=" * width for width in widths)
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in (head, *rows)]
    text = "\n".join([rule, lines[0], rule, *lines[1:], rule]) + "\n" + MACHINE
    RESULTS.write_text(EXPLAINED + text)
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
