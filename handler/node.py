"""What a node does for itself: say that it is there, and after a start bring its apps to what Consul says. Used by the worker."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Collection

from handler import __version__, aside, chronicle, claims, holds, lost
from handler.core import limits, names
from handler.core.model import Role
from handler.notice import say
from handler.ports import Ports
from handler.residence import Residence, operations, residence
from handler.settings import Settings
from handler.snapshot import recover
from handler.unfinished import end_again, operation_open

log = logging.getLogger(__name__)

_STARTING = " starting"


def announce(ports: Ports, here: Settings) -> None:
    """Write ``node/<name>``, when it says something new."""
    node = ports.members.nodes().get(here.node)
    disk = shutil.disk_usage(here.volumes_dir) if here.volumes_dir.is_dir() else None
    value = {
        "address": node.address if node else "",
        "version": __version__,
        "driver": here.driver,
        "disk_percent": round(100 * disk.used / disk.total) if disk else None,
    }
    say(ports.store, here.node, value)


def stop_if_replaced(ports: Ports, app: str) -> None:
    """The first thing that a node does for an app: what it ran before it was cut off, or asleep, must not serve one moment longer.

    Called by :mod:`handler.pursue`. A trial copy of an operation that this node leads is not meant.
    """
    if ports.deploys.owned(app) is None:
        return
    ops, me = operations(ports.store, app), ports.members.me()
    lives = residence(ports.store, app, ops)
    if lives is None or lives.placement.role(me) is Role.MASTER:
        return
    if any(op.target == me for op in ops.open()):
        return
    log.warning("%s: this node has been replaced as its master by %s: stop it", app, lives.placement.master or "nobody")
    ports.compose.stop(names.project_name(app), limits.STOP)
    ports.deploys.disown(app)


def resume_app(ports: Ports, app: str, *, anew: bool = False) -> bool:
    """Run the app if this node is its master, and only then; else nothing of it may be live here. From time to time, and ``anew`` when
    the worker has started: then dockerd may have started again as well, which leaves containers down that have no restart policy, and
    after a crash others. At other times what a person has stopped stays so. Returns whether it looked; what does not is to be asked again.

    While an operation of the app is open, its own rules decide, not these. Raises ``StoreUnavailable`` when Consul cannot say who
    the master is: then nothing is started and nothing is stopped.
    """
    recover(ports, app)
    ops = operations(ports.store, app)
    if operation_open(ports, ops):
        end_again(ports, app)
        return False
    lives = residence(ports.store, app, ops)
    if lives is None:
        return True
    ports.proxies.release(app)
    if lives.placement.role(ports.members.me()) is Role.MASTER:
        if why := lost.complaint(ports, app, lives):
            log.error("%s", why)
        else:
            _run(ports, app, lives.deploy_id, anew=anew)
        if anew:
            claims.take_unowned(ports.store, app)
        holds.lift_left_over(ports.store, app)
    else:
        last = ops.operation(lives.event)
        _clean_up(ports, app, lives, last.volumes if last else ())
        if anew and not lives.record and last:
            aside.put(ports, app, lives.event, last.volumes)
    return True


def _run(ports: Ports, app: str, deploy_id: str, *, anew: bool) -> None:
    if ports.deploys.owned(app) == deploy_id and not (anew and _all_down(ports, app)):
        return
    if deploy_id not in ports.deploys.list(app):
        log.error("%s: its code (deploy %s) is not on this node any more: deploy it again", app, deploy_id)
        return
    log.info("%s: this node is its master: start deploy %s", app, deploy_id)
    ports.deploys.own(app, f"{deploy_id}{_STARTING}")  # so that a start that fails, or is cut short, is tried again
    ports.compose.up(ports.deploys.path(app, deploy_id), lambda: None)
    ports.deploys.own(app, deploy_id)


def _all_down(ports: Ports, app: str) -> bool:
    return all(one.down for one in ports.compose.containers(names.project_name(app)))


def _clean_up(ports: Ports, app: str, lives: Residence, last: Collection[str]) -> None:
    """What is left of a master that was replaced while it was away; what only it has is kept as a snapshot and named in the history.
    ``last`` are the volumes that the last commit was about, those of an app that was destroyed, too.
    """
    project, volumes = names.project_name(app), ports.volumes
    found = {*volumes.live(project), *(volume for volume in {*lives.volumes, *last} if volumes.exists(volume))}
    live = claims.without_others(ports.store, app, sorted(found)) if found else []
    if ports.deploys.owned(app) is None and not live and not ports.compose.containers(project):
        return
    log.warning("%s: this node is not its master: its containers are removed, its volumes %s kept as snapshots", app, ", ".join(live))
    ports.compose.remove(project)
    ports.deploys.disown(app)
    ports.services.deregister(app)
    chronicle.keep(ports, app, lives.event, live)
    for volume in live:
        volumes.remove(volume)
        if lives.placement.role(ports.members.me()) is not Role.SLAVE:
            volumes.schedule(volume, {})
