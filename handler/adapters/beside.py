"""Work that takes hours and cannot be stopped, such as a send: beside whoever waits for it, who may have to go on with something else."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future, wait

from handler.errors import Aborted
from handler.ports import Guard

log = logging.getLogger(__name__)

_LOOK = 1.0


def work_beside(work: Callable[[Guard], None], guard: Guard, meanwhile: Guard) -> None:
    """Do ``work`` to its end, or until ``meanwhile``, which is asked every second, raises; what either raises goes on to the caller.

    ``work`` is given a guard: the caller's, which raises too as soon as nobody waits any more, so that nothing is begun then.
    """
    meanwhile()
    given_up, ended = threading.Event(), Future[None]()

    def sure() -> None:
        if given_up.is_set():
            raise Aborted("nobody waits for this any more")
        guard()

    def run() -> None:
        try:
            work(sure)
        except BaseException as error:  # noqa: BLE001 the caller's, if there still is one
            ended.set_exception(error)
        else:
            ended.set_result(None)
        if given_up.is_set():
            log.info("a send that nobody waited for any more has ended")

    threading.Thread(target=run, name=f"{threading.current_thread().name} beside", daemon=True).start()
    try:
        while not wait([ended], _LOOK).done:
            meanwhile()
    except BaseException:
        given_up.set()
        raise
    ended.result()
