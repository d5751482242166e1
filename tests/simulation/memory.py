"""All of the handler's ports on a :class:`world.World`. Each call may be the last one of its node."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from memory_buttervolume import Volumes
from memory_consul import Leases, Members, Services, Store
from memory_docker import Compose
from memory_node import Clock, Code, Deploys, Journal, Probe, Proxies
from world import Node, World

from handler.ports import Ports


def ports(world: World, node: Node) -> Ports:
    """All ports of one node."""
    store = Store(world, node)
    simple: dict[str, Callable[[World, Node], Any]] = {
        "members": Members,
        "services": Services,
        "code": Code,
        "compose": Compose,
        "volumes": Volumes,
        "deploys": Deploys,
        "proxies": Proxies,
        "probe": Probe,
        "journal": Journal,
        "clock": Clock,
    }
    return Ports(store=store, leases=Leases(world, node, store), **{name: make(world, node) for name, make in simple.items()})
