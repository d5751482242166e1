"""The worker's own hold, before consul-template says it: it ends when nothing is under way, and not before."""

import json
import math

from builders import APP, operation
from memory import ports
from world import World

from handler.core import names, record
from handler.node import resume_app

OP = operation(("a", ""), ("a", ""))


def test_a_hold_of_the_worker_s_own_is_released_when_nothing_is_under_way() -> None:
    world = World(1, ("a",))
    node = world.nodes["a"]
    here = ports(world, node)
    world.write(names.record_key(APP), json.dumps({"master": "a", "deploy_id": "20260101000000-aaaa", "volumes": []}))
    here.proxies.hold(APP, OP.event.id)
    world.write(names.op_key(APP, OP.event.id, "plan"), record.operation(OP))
    resume_app(here, APP)
    assert node.held[APP] == math.inf, "its operation is open"
    world.write(names.op_key(APP, OP.event.id, "plan"), None)
    resume_app(here, APP)
    assert node.held[APP] < math.inf
