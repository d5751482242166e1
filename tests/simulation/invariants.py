"""The invariants, I1 to I7: one function each, which says what is wrong, or nothing.

``AFTER_CHANGE`` is asked after every step that changed something, ``AFTER_WRITE`` after those that wrote to Consul,
``ON_WRITE`` at every write, by the first part of its key, ``AT_THE_END`` when nothing moves any more. I6 is in
``invariants_copies``, and in ``invariants_data`` what I2 says of operations that bring data from elsewhere.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from invariants_data import DATA
from memory_docker import BOOTED
from people import is_a_person_s

from handler.core import copies, names
from handler.core.model import Kind, Operation
from handler.residence import residence

if TYPE_CHECKING:
    from apps import App
    from run import Run


# --- after every change ----------------------------------------------------------------------------------------------


def i1_one_copy_may_accept_writes(run: Run, app: App) -> str:
    running = []
    for node in run.nodes:
        found = node.containers.get(app.project)
        if found is not None and found.state in ("running", "paused"):
            running.append(node.name)
    if len(running) < 2 or _taken_over(run, app, running):
        return ""
    return f"I1: copies of {app.name} run on {' and '.join(running)}"


def _taken_over(run: Run, app: App, running: list[str]) -> bool:
    """The one exception: a takeover from a master that is not dead, and cannot hear of it: cut off, or alive and replaced by force.

    What has run there since before it may go on until the node hears of it; meanwhile the app may move on from its new master.
    """
    plans = [op for op in run.plans.values() if op.app == app.name and op.event.kind is Kind.TAKEOVER]
    deaf = [op for op in plans if op.event.force or run.world.nodes[op.source].unseen[1]]
    return any(_still_runs(run, app, op, running) for op in deaf)


def _still_runs(run: Run, app: App, op: Operation, running: list[str]) -> bool:
    """What was started on the source before the takeover ended is one of two copies; the other is on its target, or went on from there."""
    if len(running) != 2 or op.source not in running:
        return False
    since = run.world.nodes[op.source].containers[app.project].since
    (other,) = set(running) - {op.source}
    plans = list(run.plans.values())
    later = plans[plans.index(op) :] if run.outcomes.get(op.event.id) == "committed" else [op]
    return since < run.ended.get(op.event.id, run.world.now + 1) and other in {one.target for one in later if one.app == app.name}


def i5_no_hold_after_the_commit(run: Run, app: App) -> str:
    hold = run.world.kv.get(app.hold)
    if hold is None:
        return ""
    event = _held_by(hold.value)
    return f"I5: {app.name} is held by {event}, which is committed" if run.outcomes.get(event) == "committed" else ""


AFTER_CHANGE = (i1_one_copy_may_accept_writes,)
AFTER_WRITE = (i5_no_hold_after_the_commit,)


def i2_all_acknowledged_is_served(run: Run, app: App, data: list[str], where: str) -> str:
    """Asked at every write of a visitor, and at the end."""
    if [word for word in data if word[0] != BOOTED] != run.acked[app.name]:
        return f"I2: {where} serves {data} of {app.name}, but {run.acked[app.name]} was acknowledged"
    left = {word for word in run.aborted[app.name] if word in data}
    return f"I4: {where} serves {data} of {app.name}, but {left} was aborted" if left else ""


# --- at every write to Consul ----------------------------------------------------------------------------------------


def i4_only_a_commit_changes_where_an_app_lives(run: Run, key: str, _old: str | None, new: str | None) -> str:
    if new is None:
        return ""
    record: dict[str, Any] = json.loads(new)
    before = run.records[key.removeprefix("app/")]
    same = all(record.get(part) == before.get(part) for part in ("master", "slave", "deploy_id"))
    return "" if same or run.outcomes.get(record["event"]) == "committed" else f"I4: {key} changes without a commit: {record}"


def i4_who_commits_holds_the_lease(run: Run, key: str, _old: str | None, new: str | None) -> str:
    if not key.endswith("/outcome") or new is None or json.loads(new)["outcome"] != "committed":
        return ""
    _, app, event, _ = key.split("/")
    lock = run.world.kv.get(names.lock_key(app))
    held = json.loads(lock.value) if lock and lock.session else {}
    return "" if held.get("event") == event else f"I4: {event} is committed, and the lease is held for {held or 'nobody'}"


def i5_no_hold_begins_after_the_end(run: Run, key: str, old: str | None, new: str | None) -> str:
    event = _held_by(new) if new is not None else ""
    return f"I5: {event} has ended ({run.outcomes[event]}) and holds its app" if event in run.outcomes else ""


def i5_what_a_person_put_is_the_person_s(run: Run, key: str, old: str | None, new: str | None) -> str:
    """Nobody else changes or removes it."""
    if run.people.at_work or not is_a_person_s(old):
        return ""
    return f"I5: {key} was a person's {old} and becomes {new}"


def _held_by(hold: str) -> str:
    """The event of a hold; none of a person's."""
    return str(json.loads(hold).get("event", ""))


def i7_an_event_counts_once(_run: Run, key: str, old: str | None, new: str | None) -> str:
    """An outcome or a plan is written once."""
    written_twice = key.endswith(("/outcome", "/plan")) and old is not None and new is not None
    return f"I7: {key} was {old} and becomes {new}" if written_twice else ""


def i7_an_event_is_accepted_once(run: Run, _key: str, _old: str | None, new: str | None) -> str:
    """An intent that was followed by another never returns."""
    if new is None:
        return ""
    event = json.loads(new)["id"]
    if event in run.intents:
        return f"I7: event {event} is accepted twice"
    run.intents.append(event)
    return ""


ON_WRITE = {
    "op": (
        i4_who_commits_holds_the_lease,
        *DATA,
        i7_an_event_counts_once,
    ),
    "app": (i4_only_a_commit_changes_where_an_app_lives,),
    "intent": (i7_an_event_is_accepted_once,),
    "maintenance": (i5_no_hold_begins_after_the_end, i5_what_a_person_put_is_the_person_s),
}
"""By the first part of the key. (Most writes are of locks, whose holders say what they do.)"""


# --- at the end ------------------------------------------------------------------------------------------------------


def i3_every_operation_has_ended(run: Run, app: App) -> str:
    prefix = names.op_prefix(app.name)
    parts = {tuple(key.removeprefix(prefix).split("/")) for key in run.world.kv if key.startswith(prefix)}
    intent = run.world.kv.get(names.intent_key(app.name))
    wanted = {event for event, part in parts if part == "plan"} | ({json.loads(intent.value)["id"]} if intent else set())
    still = sorted(wanted - {event for event, part in parts if part == "outcome"})
    return f"I3: no outcome of {still}" if still else ""


def i4_the_app_is_where_the_last_commit_says(run: Run, app: App) -> str:
    """And runs there, unless its data is lost: then nothing runs, until somebody says from which copy it goes on."""
    lives = residence(run.reader, app.name)
    master = lives.placement.master if lives and app.name not in run.gutted else ""
    for node in run.world.nodes.values():
        container = node.containers.get(app.project)
        runs = container is not None and container.state == "running"
        if runs != (node.name == master):
            return f"I4: {app.name} lives on {master or 'no node'}, but on {node.name} it is {container}"
        if runs and container.deploy_id != lives.deploy_id:
            return f"I4: {node.name} runs {container}, not {lives.deploy_id}"
        if (app.name in node.tokens) != (node.name == master):
            return f"I4: {app.name} lives on {master or 'no node'}, and the tokens on {node.name} are {node.tokens}"
    if not master:
        return ""
    return i2_all_acknowledged_is_served(run, app, run.world.nodes[master].volumes.get(app.volume, []), master)


def i5_no_hold_is_left(run: Run, app: App) -> str:
    return f"I5: {app.name} is still held" if app.hold in run.world.kv and app.name not in run.gutted else ""


def i4_the_slave_stands_by(run: Run, app: App) -> str:
    """A takeover needs no git, and copies do not pile up."""
    lives = residence(run.reader, app.name)
    slave = run.world.nodes.get(lives.placement.slave) if lives else None
    if slave is None:
        return ""
    if (app.name, lives.deploy_id) not in slave.deploys:
        return f"I4: {slave.name} is the slave of {app.name}, and has no code of deploy {lives.deploy_id}"
    purges = [action for action in slave.schedules.get(app.volume, {}) if action.startswith(copies.PURGE)]
    return "" if purges else f"I4: {slave.name} is the slave of {app.name}, and purges nothing"


AT_THE_END = (
    i3_every_operation_has_ended,
    i4_the_app_is_where_the_last_commit_says,
    i4_the_slave_stands_by,
    i5_no_hold_is_left,
)
