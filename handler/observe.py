"""From what Consul and this node's disk say to one immutable :class:`Operation`: the only place where one is made. Called by its leader."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from handler import claims, errors, lost
from handler.core import copies, names, points, record, rollback
from handler.core.model import Event, Kind, Node, Operation, Origin, Placement
from handler.ports import Ports
from handler.residence import Operations, Residence, operations, residence


@dataclass(frozen=True)
class Seen:
    """What an operation is made from. ``lives`` is empty for an app that was never deployed."""

    ports: Ports
    event: Event
    lives: Residence
    nodes: Mapping[str, Node]

    def alive(self, node: str) -> bool:
        """Whether the cluster hears of that node."""
        return node in self.nodes and self.nodes[node].alive


def observe(ports: Ports, event: Event) -> Operation:
    """The operation that brings the app from where it lives to ``event``; ``BadInput`` when it cannot be done."""
    seen = Seen(ports, event, residence(ports.store, event.app) or Residence(), ports.members.nodes())
    if seen.lives.broken:
        found = f"the volumes in app/{event.app} are {seen.lives.record['volumes']!r}"
        raise errors.BadInput(f"{found}, which is no list of volumes' names: mend it, then send the event again")
    now = datetime.fromtimestamp(ports.clock.now(), UTC)
    blank = Operation(
        event=event,
        before=seen.lives.placement,
        after=Placement(event.master, event.slave),
        deploy_id=f"{now:%Y%m%d%H%M%S}-{event.id[:4]}",
        previous_deploy_id=seen.lives.deploy_id,
        volumes=seen.lives.volumes,
        started=now.isoformat(timespec="seconds"),
    )
    op = _KINDS[event.kind](seen, blank)
    builds_on_it = event.kind in lost.NEEDING and op.before.master == ports.members.me()
    if builds_on_it and (why := lost.complaint(ports, event.app, seen.lives)):
        raise errors.BadInput(why)
    if op.before.master:  # what the app gave up goes where it goes, and ends with it
        op = replace(op, volumes=tuple(dict.fromkeys((*op.volumes, *claims.volumes_of(ports.store, event.app)))))
    origin = (op.origin.master,) if op.origin else ()
    concerned = dict.fromkeys(filter(None, (op.before.master, op.before.slave, op.after.master, op.after.slave, *origin)))
    return replace(op, addresses=tuple((name, seen.nodes[name].address) for name in concerned if name in seen.nodes))


def _deploy(seen: Seen, op: Operation) -> Operation:
    master = op.before.master
    if master and not seen.alive(master):
        raise errors.BadInput(
            f"{master}, where {op.app} lives, is not alive: its data cannot be moved from there. "
            f"When {master} will not come back soon, a takeover event starts the app from its newest copy"
        )
    return op


def _destroy(_seen: Seen, op: Operation) -> Operation:
    return replace(op, after=Placement())


def _rollback(seen: Seen, op: Operation) -> Operation:
    """In place, on the master: to the code and data of an earlier deploy, or to earlier data of this one."""
    op = replace(op, after=op.before)
    if not points.is_time(op.event.to):
        return _to_deploy(seen, op)
    here = _copies(seen, op)
    found = points.newest(here, op.event.to)
    if not found or found.keys() != set(op.volumes) or not points.one_moment(found.values()):
        known = ", ".join(points.shared(here)[:10])
        raise errors.BadInput(
            f"there is no snapshot of all volumes of {op.app} on {op.target} from {op.event.to} or before; there are: {known or 'none'}"
        )
    return replace(op, deploy_id=op.previous_deploy_id, restore=tuple(sorted(found.items())))


def _to_deploy(seen: Seen, op: Operation) -> Operation:
    try:
        back = rollback.to_deploy(operations(seen.ports.store, op.app).ended(), seen.lives.deploy_id, op.event.to)
    except rollback.UnknownDeployError as error:
        raise errors.BadInput(f"{op.app}: {error}") from error
    missing = [name for name in back.snapshots.values() if not seen.ports.volumes.complete(name)]
    if missing:
        raise errors.BadInput(
            f"{op.target} does not have {', '.join(missing)}, the data of deploy {op.event.to}: "
            f"move {op.app} to a node that has it, then roll back"
        )
    volumes = tuple(sorted({*op.volumes, *back.snapshots}))
    return replace(op, commit=back.commit, volumes=volumes, restore=tuple(sorted(back.snapshots.items())))


def _copies(seen: Seen, op: Operation) -> dict[str, list[str]]:
    """Each volume's complete snapshots here, in the order of their arrival; of what was put aside only what a person names exactly."""
    stock = seen.ports.volumes.stock()
    return {
        volume: [one.name for one in stock.get(volume, ()) if one.copy or (one.complete and points.time_of(one.name) == op.event.to)]
        for volume in op.volumes
    }


def _takeover(seen: Seen, op: Operation) -> Operation:
    """From the newest verified copy on this node, since the master is dead; the present deploy, since its code and images are here."""
    master, me = op.before.master, op.event.master
    if not master:
        raise errors.BadInput(f"{op.app} is not deployed: nothing to take over")
    if master == me:
        raise errors.BadInput(f"{me} is the master of {op.app} already")
    if seen.alive(master) and not op.event.force:
        raise errors.BadInput(
            f"{master} is alive: deploy {op.app} with master {me} moves it with all its data. If {master} cannot do that any more, "
            f'"force": true stops it if it still can be reached, and loses what was written after the newest copy'
        )
    found = points.newest(_copies(seen, op))
    missing = [volume for volume in op.volumes if volume not in found]
    if missing:
        raise errors.BadInput(f"{me} has no complete copy of {', '.join(missing)}: take {op.app} over on a node that has one")
    if not points.one_moment(found.values()) and not op.event.force:
        raise errors.BadInput(
            f"{me} has no copy of all volumes of {op.app} that is of one moment, only {', '.join(sorted(found.values()))}: "
            f'take it over on its slave, or with "force": true'
        )
    if not op.event.force and (better := _better_elsewhere(seen, op)):
        raise errors.BadInput(f'{better}, which {me} has not: take {op.app} over there, or with "force": true')
    slave = op.before.slave if op.before.slave not in ("", me) else master
    return replace(
        op,
        after=Placement(me, slave),
        deploy_id=op.previous_deploy_id,
        commit=str(seen.lives.record.get("commit") or ""),
        restore=tuple(sorted(found.items())),
    )


def _better_elsewhere(seen: Seen, op: Operation) -> str:
    """What the slave, when it is another node, says it has, and this one has not: what is here may be what an old move left."""
    slave = op.before.slave
    if slave in ("", op.event.master):
        return ""
    entry = seen.ports.store.get(names.node_key(slave))
    said = copies.said_of({slave: record.loads(entry.value if entry else None)}, slave, op.app)
    here = seen.ports.volumes.listed()
    names_there = [name for volume in op.volumes if (name := copies.snapshot_of(said, volume)) and name not in here]
    return f"{slave} says that it has {', '.join(names_there)}" if names_there else ""


def _migrate(seen: Seen, op: Operation) -> Operation:
    """In place, on the master of the app that gets the data."""
    origin = residence(seen.ports.store, names.app_name(op.event.origin_repo, op.event.origin_branch))
    name = names.app_name(op.event.origin_repo, op.event.origin_branch)
    if origin is None or not origin.placement.master:
        raise errors.BadInput(f"{name} is not deployed: there is no data to bring into {op.app}")
    if not seen.alive(origin.placement.master):
        raise errors.BadInput(f"{origin.placement.master}, where {name} lives, is not alive: its data cannot be copied")
    both = ((name, origin), (op.app, seen.lives))
    left_out = {names.volume_key(app, volume) for app, lives in both for volume in lives.record.get("nonmigrable") or ()} | {""}
    mine = {names.volume_key(op.app, volume): volume for volume in op.volumes}
    pairs = [(volume, mine[key]) for volume in origin.volumes if (key := names.volume_key(name, volume)) in mine and key not in left_out]
    if not pairs:
        raise errors.BadInput(f"{name} and {op.app} have no volume in common that may be migrated")
    keeps = op.before.master in (origin.placement.slave, origin.placement.master)
    gives = Origin(name, origin.placement.master, tuple(pairs), keeps=keeps, event=origin.event)
    return replace(op, after=op.before, deploy_id=op.previous_deploy_id, origin=gives)


_KINDS: dict[Kind, Callable[[Seen, Operation], Operation]] = {
    Kind.DEPLOY: _deploy,
    Kind.DESTROY: _destroy,
    Kind.ROLLBACK: _rollback,
    Kind.TAKEOVER: _takeover,
    Kind.MIGRATE: _migrate,
}


def leader(ports: Ports, event: Event, ops: Operations) -> str:
    """The node that leads an event's operation: the one it names as master, else the present master."""
    return event.master or (residence(ports.store, event.app, ops) or Residence()).placement.master
