"""What a node does for itself: say that it is there, and after a start bring its apps to what Consul says. Used by the worker."""

from __future__ import annotations

import logging
import shutil

from handler import __version__
from handler.core import names
from handler.core.model import Role
from handler.execute import CONCLUDED
from handler.notice import say
from handler.ports import Ports
from handler.residence import residence
from handler.settings import Settings
from handler.snapshot import recover

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


def resume_app(ports: Ports, app: str) -> None:
    """Run the app if this node is its master, and only then; else nothing of it may run here. At a start, and from time to time.

    While an operation of the app is open, its own rules decide, not these. Raises ``StoreUnavailable`` when Consul cannot say who
    the master is: then nothing is started and nothing is stopped.
    """
    recover(ports, app)
    if operation_open(ports, app):
        return
    lives = residence(ports.store, app)
    if lives is None:
        return
    if lives.placement.role(ports.members.me()) is Role.MASTER:
        _run(ports, app, lives.deploy_id)
    else:
        _stop(ports, app)


def operation_open(ports: Ports, app: str) -> bool:
    """An operation has begun and has no outcome, or our part of it is not complete."""
    prefix = names.op_prefix(app)
    parts = {tuple(entry.key.removeprefix(prefix).split("/", 1)) for entry in ports.store.tree(prefix)}
    begun = {event for event, part in parts if part == "plan"}
    ended = {event for event, part in parts if part == "outcome"}
    ours = {event for event in begun if (done := ports.journal.done(app, event)) and CONCLUDED not in done}
    return bool((begun - ended) | ours)


def _run(ports: Ports, app: str, deploy_id: str) -> None:
    if ports.deploys.owned(app) == deploy_id:
        return
    if deploy_id not in ports.deploys.list(app):
        log.error("%s: its code (deploy %s) is not on this node any more: deploy it again", app, deploy_id)
        return
    log.info("%s: this node is its master: start deploy %s", app, deploy_id)
    ports.deploys.own(app, f"{deploy_id}{_STARTING}")  # so that a start that fails, or is cut short, is tried again
    ports.compose.up(ports.deploys.path(app, deploy_id), lambda: None)
    ports.deploys.own(app, deploy_id)


def _stop(ports: Ports, app: str) -> None:
    project = names.project_name(app)
    if ports.deploys.owned(app) is None and not ports.compose.containers(project):
        return
    log.warning("%s: this node is not its master: its containers are removed, its volumes stay", app)
    ports.compose.remove(project)
    ports.deploys.disown(app)
