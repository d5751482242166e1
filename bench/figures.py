"""One row of the table."""

from collections.abc import Sequence
from statistics import median


def shown(seconds: Sequence[float]) -> str:
    return " / ".join(f"{1000 * value:.0f}" for value in (min(seconds), median(seconds), max(seconds)))


def row(what: str, measured: Sequence[float], reference: Sequence[float], aim: str) -> tuple[str, ...]:
    return (what, shown(measured), shown(reference), f"{median(measured) / median(reference):.2f}", aim)
