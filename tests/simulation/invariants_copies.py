"""The invariant I6, of copies: one function for each of its sentences, which says what is wrong, or nothing.

``ON_DROP`` is asked before a snapshot is deleted.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from handler.core import copies, names

if TYPE_CHECKING:
    from apps import App
    from run import Run
    from world import Node

JUST = 300.0
"""Seconds; the word of a slave, or the plan of a move, is believed no longer than about that."""


def i6_the_last_second_copy_stays(run: Run, app: App, node: Node, snapshot: str) -> str:
    """Another node than the master's still has a complete one, if any had, or has said so just before its disk was lost."""
    if run.world.now - run.disk_lost < JUST:
        return ""
    master = run.records[app.name].get("master")
    if node.name == master or not node.snapshots[snapshot].complete:
        return ""
    others = [other for other in run.nodes if other.name != master]
    left = [name for other in others for name in complete(other, app.volume) if (other, name) != (node, snapshot)]
    return "" if left or not master else f"I6: there is no second copy of {app.name} any more"


def i6_what_is_needed_stays(run: Run, app: App, node: Node, snapshot: str) -> str:
    """On master and slave: what the slave says it has, what a takeover would start from, and the parent of the next send."""
    master, slave = (run.world.nodes.get(run.records[app.name].get(role) or "") for role in ("master", "slave"))
    if node not in (master, slave) or not node.snapshots[snapshot].complete:
        return ""
    if slave and snapshot == _verified(run, app, slave):
        return f"I6: {node.name} drops {snapshot}, the last verified copy"
    if snapshot == _newest(run, app, node):
        return f"I6: {node.name} drops {snapshot}, its last"
    if master and slave and snapshot == _parent(app, master, slave):
        return f"I6: {node.name} drops {snapshot}, the parent of what {master.name} sends to {slave.name} next"
    return ""


def complete(node: Node, volume: str) -> list[str]:
    """In the order in which they came to be there."""
    return [name for name, one in node.snapshots.items() if one.complete and name.startswith(volume + "@")]


def _verified(run: Run, app: App, slave: Node) -> str:
    entry = run.world.kv.get(names.node_key(slave.name))
    about = {slave.name: json.loads(entry.value)} if entry else {}
    return copies.snapshot_of(copies.said_of(about, slave.name, app.name), app.volume)


def _newest(run: Run, app: App, node: Node) -> str:
    return next((name for name in reversed(complete(node, app.volume)) if name not in node.aside), "")


def _parent(app: App, master: Node, slave: Node) -> str:
    """Buttervolume takes the last by its name of those that have a marker; it is of use if the slave still has it."""
    marked = [name for name in complete(master, app.volume) if slave.address in master.snapshots[name].hosts]
    last = max(marked, default="")
    return last if last in complete(slave, app.volume) else ""


ON_DROP = (i6_the_last_second_copy_stays, i6_what_is_needed_stays)
