"""Power, network, Consul and Docker fail while moves stand at every phase: each ends as if nothing had been, or as before, with its data.

Each test lets one fault meet several moves. Whoever writes meanwhile remembers what was acknowledged: it is there, once.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest
from conftest import Lab, eventually, lasts
from crash_points import OTHER, THIRD, VICTIM
from fleet import PHASES, Fleet, Mover

from clusterlab import cluster, crash
from clusterlab.run import wait_until
from handler.core import names

pytestmark = [pytest.mark.lab, pytest.mark.faults]

SOME = ("prepared", "snapshots", "started")


@pytest.fixture(scope="module")
def fleet(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    crash.install(lab.nodes)
    yield Fleet(lab, tmp_path_factory.mktemp("fleet"))
    crash.remove(lab.nodes)


def go_on(fleet: Fleet, movers: Sequence[Mover]) -> None:
    for mover in movers:
        mover.go_on()


def decided(movers: Sequence[Mover]) -> bool:
    return all(mover.outcome() for mover in movers)


def test_power_loss_of_source_and_target(lab: Lab, fleet: Fleet) -> None:
    victim = lab.node(VICTIM)
    with fleet.under_way(list(PHASES), list(PHASES)) as movers:
        cluster.kill(victim)
        try:
            go_on(fleet, movers)
            to_victim = [mover for mover in movers if mover.target == VICTIM]
            wait_until("the sources give up without their target", lambda: decided(to_victim), 120, 1)
        finally:
            cluster.start(victim)


def test_partition_of_source_and_target(lab: Lab, fleet: Fleet) -> None:
    victim = lab.node(VICTIM)
    with fleet.under_way(list(PHASES), list(PHASES)) as movers:
        cluster.cut(victim, cluster.others(victim))
        try:
            go_on(fleet, movers)
            wait_until("the others decide without it", lambda: decided(movers), 150, 1)
        finally:
            cluster.heal(victim, cluster.others(victim))


def test_partition_of_both_so_that_nobody_has_a_quorum(lab: Lab, fleet: Fleet) -> None:
    both = [lab.node(VICTIM), lab.node(OTHER)]
    with fleet.under_way(list(PHASES), []) as movers:
        for node in both:
            cluster.cut(node, cluster.others(node))
        try:
            go_on(fleet, movers)
            lasts(15.0)  # longer than a leader believes in its lease
        finally:
            for node in both:
                cluster.heal(node, cluster.others(node))


def test_partition_of_consul_s_leader(lab: Lab, fleet: Fleet) -> None:
    with fleet.under_way(SOME, SOME) as movers:
        leader = cluster.consul_leader(lab.nodes)
        cluster.cut(leader, cluster.others(leader))
        try:
            go_on(fleet, movers)
            rest = [node for node in lab.nodes if node != leader]
            wait_until(
                "the others have a leader", lambda: all(cluster.consul_leader([node]) not in (None, leader) for node in rest), 60, 0.5
            )
            lasts(12.0)  # longer than a leader of a move believes in its lease
        finally:
            cluster.heal(leader, cluster.others(leader))


@pytest.mark.parametrize("where", ["one", "all"])
def test_consul_is_restarted(lab: Lab, fleet: Fleet, where: str) -> None:
    nodes = [lab.node(VICTIM)] if where == "one" else lab.nodes
    with fleet.under_way(SOME, SOME) as movers:
        go_on(fleet, movers)
        with ThreadPoolExecutor() as pool:
            list(pool.map(lambda node: node.inside(["docker", "restart", "-t", "5", "cluster-consul-1"]), nodes))


@pytest.mark.parametrize("signal", ["TERM", "KILL"])
def test_dockerd_is_restarted(lab: Lab, fleet: Fleet, signal: str) -> None:
    """While some apps are moved, and another one just serves."""
    victim, serving = lab.node(VICTIM), lab.app("serving")
    assert serving.deploy(VICTIM, OTHER)["outcome"] == "committed"
    serving.write("before")
    started = ["docker", "inspect", "-f", "{{.State.StartedAt}}", names.container_name(serving.app, "web")]
    first = victim.inside(started).stdout
    with fleet.under_way(SOME, SOME) as movers:
        before = victim.inside(["pgrep", "-x", "dockerd"]).stdout
        go_on(fleet, movers)
        victim.inside(["pkill", f"-{signal}", "-x", "dockerd"])
        # it ends when all containers have, and the worker takes up to a minute for operations that are under way
        wait_until("another dockerd", lambda: victim.inside(["pgrep", "-x", "dockerd"], check=False).stdout not in ("", before), 150)
        # one that finds containers of a dockerd that was killed stops them first
        eventually("it answers", lambda: not victim.docker_answers(), 150)
        eventually("the other app serves again", lambda: serving.ask(THIRD)[0] != 200, 150)
        assert victim.inside(started).stdout != first
        assert serving.read(THIRD) == ["before"]
