"""One row of the table."""

from collections.abc import Sequence
from statistics import median


def shown(seconds: Sequence[float], unit: int = 1000) -> str:
    return " / ".join(f"{unit * value:.0f}" for value in (min(seconds), median(seconds), max(seconds)))


def row(what: str, measured: Sequence[float], reference: Sequence[float], aim: str, unit: int = 1000) -> tuple[str, ...]:
    return (what, shown(measured, unit), shown(reference, unit), f"{median(measured) / median(reference):.2f}", aim)
