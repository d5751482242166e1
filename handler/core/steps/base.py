"""What every step is."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Step:
    """Base: the sentence is a format string over the step's own fields."""

    sentence = ""

    def __str__(self) -> str:
        """Readable text, unique within a plan."""
        values = {key: ", ".join(v) if isinstance(v, tuple) else v for key, v in vars(self).items()}
        return self.sentence.format(**values)
