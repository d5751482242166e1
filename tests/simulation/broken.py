"""What ends a run as wrong: an invariant that does not hold, or an error of the handler that it did not mean to raise."""

from __future__ import annotations

import logging

from handler import errors


class Broken(BaseException):
    """An invariant does not hold. No ``Exception``, so that the handler cannot take it for an error of a step."""


class Unexpected(logging.Handler):
    """An exception that the handler did not raise on purpose is an error of it, even where it survives it; but a full disk is none."""

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        if error and not isinstance(error, (errors.ClusterError, OSError)):
            raise Broken(f"unexpected {type(error).__name__}: {error}") from error


def listen_alone() -> None:
    """Nobody else keeps what the handler logs: pytest would, with all that the errors refer to, which is a whole run each."""
    log = logging.getLogger("handler")
    log.setLevel(logging.ERROR)
    log.propagate = False
    log.handlers = [Unexpected()]
