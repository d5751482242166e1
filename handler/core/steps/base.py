"""What every step is."""

from __future__ import annotations

from dataclasses import dataclass

from handler.core import limits


@dataclass(frozen=True)
class Step:
    """Base: the sentence is a format string over the step's own fields."""

    sentence = ""
    patience = limits.TAIL
    """Seconds for which it is tried again after the outcome, while its error is temporary; it is asked for again later anyway."""
    insists = False
    """Whether it is asked for again later whatever its error is: what it needs may be outside of the cluster, or nobody else can do it."""

    def __str__(self) -> str:
        """Readable text, unique within a plan."""
        values = {key: ", ".join(v) if isinstance(v, tuple) else v for key, v in vars(self).items()}
        return self.sentence.format(**values)
