"""The two sides of each contract: the in-memory port that the simulation runs on, and the adapter on the real thing."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from memory import ports
from programs import consul_client, need
from repositories import git_repository
from sides import AgentSide, CheckoutSide, ConsulSide, NodeSide, ProxiesSide, StorageSide
from world import Snapshot, World

from handler.adapters.clock import SystemClock
from handler.adapters.consul import Consul, ConsulMembers, ConsulServices, ConsulStore
from handler.adapters.files import DeployDirectories, FileJournal
from handler.adapters.git import Git
from handler.adapters.lease import ConsulLeases
from handler.adapters.proxies import NodeProxies
from handler.core import names
from handler.ports import Clock, Journal
from handler.proxies.paths import Paths

SIDES = ["memory", pytest.param("real", marks=pytest.mark.component)]


@pytest.fixture
def world() -> World:
    return World(0, ["n1", "n2", "n3"])


@pytest.fixture
def deaf() -> Iterator[str]:
    """Address of somebody who takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


@pytest.fixture(params=SIDES)
def side(request: pytest.FixtureRequest, world: World) -> ConsulSide:
    """Consul's KV and locks."""
    if request.param == "memory":
        here, cut, silent = ports(world, world.nodes["n1"]), world.nodes["n2"], world.nodes["n3"]
        cut.cut_until = silent.cut_until = silent.hangs = float("inf")
        return ConsulSide(
            here.store,
            here.leases,
            ports(world, cut).store,
            ports(world, silent).store,
            lambda seconds, call: world.at(world.now + seconds, call),
            lambda: world.now,
            lambda: world.pause(0.1),
            lambda session: world.end_session(session, delay=True),
        )
    agent = Consul(request.getfixturevalue("consul"))
    return ConsulSide(
        ConsulStore(agent),
        ConsulLeases(agent, "here"),
        ConsulStore(Consul("http://127.0.0.1:1")),
        ConsulStore(Consul(request.getfixturevalue("deaf"))),
        lambda seconds, call: threading.Timer(seconds, call).start(),
        time.monotonic,
        lambda: time.sleep(0.1),
        lambda session: agent.ask(lambda c: c.session.destroy(session)),
    )


@pytest.fixture(scope="session")
def agents(consul: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """Addresses of a second agent of the cluster, and of one that knows no server."""
    folders = tmp_path_factory.mktemp("there"), tmp_path_factory.mktemp("cut")
    with consul_client(folders[0], "there", consul) as (there, _), consul_client(folders[1], "cut") as (cut, _):
        yield there, cut


@pytest.fixture(params=SIDES)
def cluster(request: pytest.FixtureRequest, tmp_path: Path) -> AgentSide:
    """Consul's agents."""
    if request.param == "memory":
        return _agents_in_memory()
    address = request.getfixturevalue("consul")
    here, (there, cut) = Consul(address), map(Consul, request.getfixturevalue("agents"))

    @contextmanager
    def third() -> Iterator[str]:
        with consul_client(tmp_path, "third", address) as (_, kill):
            yield "third"
            kill()

    return AgentSide(
        time.monotonic,
        lambda: time.sleep(0.1),
        ConsulMembers(here, "here"),
        ConsulServices(here),
        ConsulServices(there),
        ConsulMembers(cut, "cut"),
        ConsulServices(cut),
        third,
    )


def _agents_in_memory() -> AgentSide:
    world = World(0, ["here", "there", "third", "cut"])
    here, there, cut = (ports(world, world.nodes[name]) for name in ("here", "there", "cut"))
    world.nodes["cut"].cut_until = float("inf")

    @contextmanager
    def third() -> Iterator[str]:
        yield "third"
        world.power_loss(world.nodes["third"], 1e9)

    return AgentSide(
        lambda: world.now,
        lambda: world.pause(0.1),
        here.members,
        here.services,
        there.services,
        cut.members,
        cut.services,
        third,
    )


@pytest.fixture(params=["memory", "real"])
def journal(request: pytest.FixtureRequest, world: World, tmp_path: Path) -> Journal:
    return ports(world, world.nodes["n1"]).journal if request.param == "memory" else FileJournal(tmp_path)


@pytest.fixture(params=["memory", "real"])
def clock(request: pytest.FixtureRequest, world: World) -> Clock:
    return ports(world, world.nodes["n1"]).clock if request.param == "memory" else SystemClock()


@pytest.fixture(params=SIDES)
def checkout(request: pytest.FixtureRequest, world: World, tmp_path: Path) -> Iterator[CheckoutSide]:
    """git and the deploy directories."""
    if request.param == "memory":
        here = ports(world, world.nodes["n1"])

        def fail() -> str:
            world.failing = lambda what: what == "clone"
            return "main"

        yield CheckoutSide(here.code, here.deploys, "git://git.example.com/some", fail)
        return
    with git_repository(tmp_path) as url:
        (tmp_path / "deploy").mkdir()
        yield CheckoutSide(Git(), DeployDirectories(tmp_path / "deploy", tmp_path / "own"), url, lambda: "nowhere")


@pytest.fixture
def storage(world: World) -> StorageSide:
    """In memory; tests/lab/test_ports.py runs the same tests on Buttervolume, btrfs and Docker."""
    here, there = world.nodes["n1"], world.nodes["n2"]
    nodes = {"here": here, "there": there}

    def break_off(snapshot: str) -> None:
        here.snapshots[snapshot] = Snapshot((), complete=False)

    def schedule_by_hand(volume: str, action: str, minutes: int) -> None:
        here.schedules.setdefault(volume, {})[action] = minutes
        here.unpaused.add((volume, action))

    return StorageSide(
        ports(world, here).volumes,
        ports(world, there).volumes,
        here.address,
        there.address,
        lambda where, volume, word: nodes[where].volumes[volume].append(word),
        lambda where, volume: list(nodes[where].volumes[volume]),
        break_off,
        schedule_by_hand,
        lambda volume: {action for name, action in here.unpaused if name == volume},
    )


@pytest.fixture
def node(world: World) -> NodeSide:
    """In memory; tests/lab/test_ports.py runs the same tests on a node of the lab."""
    one = world.nodes["n1"]
    here = ports(world, one)
    return NodeSide(
        lambda: world.now,
        lambda: world.pause(0.1),
        here.compose,
        here.deploys,
        here.volumes,
        here.probe,
        lambda app, deploy_id: here.code.fetch("git://git.example.com/some", "main", here.deploys.path(app, deploy_id)) and None,
        lambda volume, word: one.volumes[volume].append(word),
        lambda volume: list(one.volumes[volume]),
        one.images.add,
        lambda: set(one.images),
    )


@pytest.fixture(params=SIDES)
def front(request: pytest.FixtureRequest, world: World, tmp_path: Path) -> ProxiesSide:
    """In memory, and the node's files, whose programs do not run; tests/lab/test_ports.py has them run."""
    if request.param == "memory":
        return ProxiesSide(
            lambda: world.now,
            lambda: world.pause(0.1),
            ports(world, world.nodes["n1"]).proxies,
            lambda app, held: world.write(names.hold_key(app), "{}" if held else None),
        )
    need("caddy")
    paths = Paths(tmp_path / "proxy", tmp_path / "run", "node1")
    proxies = NodeProxies(paths, lambda _ports: None)
    paths.staging.mkdir(parents=True)
    for name in ("domains.map", "hold.map"):  # consul-template writes them at its start
        (paths.staging / name).touch()

    def say(app: str, held: bool) -> None:
        (paths.staging / "domains.map").write_text(f"# app: {app} e1\n{app} n1\n")
        (paths.staging / "hold.map").write_text(f"# app: {app} hold:e2\n" if held else "")

    def pass_time() -> None:
        time.sleep(0.1)
        proxies.tick()

    return ProxiesSide(time.monotonic, pass_time, proxies, say)
