"""After an abort."""

from __future__ import annotations

from dataclasses import dataclass

from handler.core.steps.base import Step


@dataclass(frozen=True)
class StopTrial(Step):
    """Note the last lines of the failed containers, then remove them."""

    sentence = "stop the trial copy"


@dataclass(frozen=True)
class DropTrialVolumes(Step):
    """Live volumes of a trial copy away; nobody's requests reached them."""

    sentence = "remove the volumes of the trial copy"
    patience = 20.0


@dataclass(frozen=True)
class AwaitTrialGone(Step):
    """Source, aborted: the target has taken back its trial copy."""

    target: str

    def __str__(self) -> str:
        return f"wait until the trial copy on {self.target} is gone"


@dataclass(frozen=True)
class LiftHold(Step):
    """Requests flow again."""

    sentence = "lift the hold"
