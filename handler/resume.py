"""All apps of a node: what a start of the handler has to look at before anything else.

Called by :mod:`handler.worker`, and by people as ``handler resume``.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor

from handler import errors
from handler.locks import app_lock
from handler.node import resume_app
from handler.ports import Ports
from handler.pursue import pursue
from handler.settings import Settings
from handler.snapshot import recover
from handler.trial import stop_unsure
from handler.wiring import keep_name, start, wire

log = logging.getLogger(__name__)


def main(_arguments: Sequence[str]) -> int:
    """``handler resume``: the same as the worker does at its start, once."""
    here = start()
    keep_name(here)
    ports = wire(here)

    def look(app: str) -> None:
        resume_app(ports, app, anew=True)

    resumed = resume_all(here, ports, look)
    pursued = each(here, sorted(below(ports, "intent/")), lambda app: pursue(ports, here.drivers, app))
    return 0 if resumed and pursued else 1


def make_safe(here: Settings, ports: Ports, *, committing: bool) -> None:
    """What needs no word of Consul's after a crash: stop every trial that this node may have begun, all at the same time, since others may
    start their old copies some seconds from now; let go on what was frozen for a snapshot.

    ``committing`` is that of :func:`handler.trial.stop_unsure`.
    """

    def stop(app: str) -> None:
        each(here, [app], lambda one: stop_unsure(ports, one, committing=committing))
        each(here, [app], lambda one: recover(ports, one))

    with ThreadPoolExecutor(max_workers=16) as pool:
        list(pool.map(stop, _known(here)))


def resume_all(here: Settings, ports: Ports, look: Callable[[str], object]) -> bool:
    """Bring every app of this node to what its record says; False when one could not be."""
    return each(here, sorted(below(ports, "app/") | set(_known(here))), look)


def each(here: Settings, apps: Iterable[str], work: Callable[[str], object]) -> bool:
    """Do something for one app after the other; one that fails keeps none from it. False when one failed, or ``work`` returned False.

    That Consul gives no answer goes on to the caller: it concerns all.
    """
    complete = True
    for app in apps:
        try:
            with app_lock(here, app):
                complete = work(app) is not False and complete
        except errors.StoreUnavailable:
            raise
        except errors.ClusterError as error:
            log.error("%s: cannot be resumed, tried again later: %s", app, error)  # noqa: TRY400 the trace tells nothing
            complete = False
        except Exception:
            log.exception("%s: unexpected error; tried again later", app)
            complete = False
    return complete


def below(ports: Ports, prefix: str) -> set[str]:
    """Apps that have a key below ``prefix``, as in ``intent/``."""
    return {entry.key.removeprefix(prefix) for entry in ports.store.tree(prefix)}


def _known(here: Settings) -> list[str]:
    """Apps that have a journal on this node."""
    return [path.name for path in here.journal.iterdir()] if here.journal.is_dir() else []
