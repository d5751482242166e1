"""The invariant I2 where an app goes on with data from elsewhere: that is the data which was asked for.

Each function says what is wrong, or nothing; ``DATA`` is asked at every write to an operation's keys.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from invariants_copies import complete
from memory_docker import BOOTED

from handler.core import points
from handler.core.model import Kind, Operation
from handler.core.record import read_operation

if TYPE_CHECKING:
    from run import Run

LOOKING = 2.0
"""Seconds from a look at the disk to the plan that is made from it."""


def _planned(kind: Kind, key: str, new: str | None) -> Operation | None:
    """The operation, when it is of this kind and its plan is written now."""
    op = read_operation(new) if new is not None and key.endswith("/plan") else None
    return op if op and op.event.kind is kind else None


def _words(run: Run, snapshot: str) -> list[str]:
    """What visitors wrote until it was taken."""
    return [word for word in run.world.taken[snapshot] if word[0] != BOOTED]


def i2_a_takeover_starts_from_the_app_s_own_data(run: Run, key: str, _old: str | None, new: str | None) -> str:
    """Not from that of an app of the same name that was destroyed."""
    op = _planned(Kind.TAKEOVER, key, new)
    if op is None:
        return ""
    old = [name for _, name in op.restore if run.world.taken_at[name] < run.born[op.app]]
    return f"I2: a takeover of {op.app}, deployed at {run.born[op.app]}, starts from {old[0]}" if old else ""


def i2_a_takeover_starts_from_the_newest_copy(run: Run, key: str, _old: str | None, new: str | None) -> str:
    """Of those here that are of the app's present line: what was written before its data was replaced may be all that there is."""
    op = _planned(Kind.TAKEOVER, key, new)
    if op is None:
        return ""
    node = run.world.nodes[op.target]
    since, acked = run.replaced.get(op.app, 0.0), run.acked[op.app]

    def held(name: str) -> int:
        words = _words(run, name)
        return len(words) if words == acked[: len(words)] and run.world.taken_at[name] >= since else -1

    for volume, chosen in op.restore:
        seen = (name for name in complete(node, volume) if name not in node.aside and node.snapshots[name].at < run.world.now - LOOKING)
        most = max(map(held, seen), default=-1)
        if run.world.taken_at[chosen] >= since and held(chosen) < most:
            return (
                f"I2: a takeover of {op.app} starts from {chosen}, with {held(chosen)} of {len(acked)} writes, and {op.target} has {most}"
            )
    return ""


def i2_a_rollback_goes_to_the_data_that_was_asked_for(run: Run, key: str, _old: str | None, new: str | None) -> str:
    """All that was acknowledged until the deploy ended, and nothing later; or nothing that is named later than the time."""
    op = _planned(Kind.ROLLBACK, key, new)
    if op is None:
        return ""
    to = op.event.to
    if not op.restore:
        return f"I2: a rollback of {op.app} to {to} brings no data"
    if points.is_time(to):
        late = [name for _, name in op.restore if points.time_of(name)[: len(to)] > to]
        return f"I2: a rollback of {op.app} to {to} takes {late[0]}" if late else ""
    wrong = [name for _, name in op.restore if _words(run, name) != run.left[to]]
    return f"I2: a rollback of {op.app} to {to}, which ended with {run.left[to]}, takes {_words(run, wrong[0])}" if wrong else ""


def i2_a_migrate_brings_what_its_origin_has(run: Run, key: str, _old: str | None, new: str | None) -> str:
    """All its volumes, and nothing that a version wrote which is only tried there."""
    op = run.plans.get(key.split("/")[2]) if new is not None and key.endswith("/origin") else None
    if op is None or op.origin is None:
        return ""
    given: dict[str, str] = json.loads(new or "{}")
    if given.keys() != {mine for _, mine in op.origin.volumes}:
        return f"I2: a migrate brings {given} of {op.origin.volumes}"
    tried = {one.deploy_id for one in run.plans.values() if one.app == op.origin.app and one.new_code} - set(run.deploys[op.origin.app])
    found = [word for name in given.values() for word in run.world.taken[name] if word[0] == BOOTED and word[1:] in tried]
    return f"I2: a migrate brings data of {found}, which {op.origin.app} only tries" if found else ""


DATA = (
    i2_a_takeover_starts_from_the_app_s_own_data,
    i2_a_takeover_starts_from_the_newest_copy,
    i2_a_rollback_goes_to_the_data_that_was_asked_for,
    i2_a_migrate_brings_what_its_origin_has,
)
