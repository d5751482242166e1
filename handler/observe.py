"""From what Consul says to one immutable :class:`Operation`: the only place where an operation is made. Called by its leader."""

from __future__ import annotations

from datetime import UTC, datetime

from handler import errors
from handler.core.model import Event, Kind, Operation, Placement
from handler.ports import Ports
from handler.residence import Residence, residence


def observe(ports: Ports, event: Event) -> Operation:
    """The operation that brings the app from where it lives to ``event``; ``BadInput`` when it cannot be done."""
    lives = residence(ports.store, event.app) or Residence()
    before = lives.placement
    after = Placement() if event.kind is Kind.DESTROY else Placement(event.master, event.slave)
    nodes = ports.members.nodes()
    if before.master and not (before.master in nodes and nodes[before.master].alive):
        raise errors.BadInput(f"{before.master}, where {event.app} lives, is not alive: its data cannot be moved from there")
    concerned = dict.fromkeys(filter(None, (before.master, before.slave, after.master, after.slave)))
    now = datetime.fromtimestamp(ports.clock.now(), UTC)
    return Operation(
        event=event,
        before=before,
        after=after,
        deploy_id=f"{now:%Y%m%d%H%M%S}-{event.id[:4]}",
        previous_deploy_id=lives.deploy_id,
        volumes=tuple(str(volume) for volume in lives.record.get("volumes") or ()),
        addresses=tuple((name, nodes[name].address) for name in concerned if name in nodes),
        started=now.isoformat(timespec="seconds"),
    )


def leader(ports: Ports, event: Event) -> str:
    """The node that leads an event's operation: its target; for a destroy the present master."""
    if event.kind is not Kind.DESTROY:
        return event.master
    return (residence(ports.store, event.app) or Residence()).placement.master
