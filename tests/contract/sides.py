"""What the contract tests use of a side, beyond the port itself."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass

from handler.ports import Code, Compose, Deploys, Leases, Members, Probe, Proxies, Services, Store, Volumes


@dataclass(frozen=True)
class ConsulSide:
    """``unreachable`` refuses, ``silent`` gives no answer; ``later`` calls after some seconds; ``end_session`` is what an operator may do;
    ``pass_time`` waits a little.
    """

    store: Store
    leases: Leases
    unreachable: Store
    silent: Store
    later: Callable[[float, Callable[[], object]], None]
    now: Callable[[], float]
    pass_time: Callable[[], None]
    end_session: Callable[[str], None]


@dataclass(frozen=True)
class Waits:
    """``pass_time`` waits a little."""

    now: Callable[[], float]
    pass_time: Callable[[], None]

    def eventually(self, condition: Callable[[], bool], seconds: float = 60) -> None:
        """What one program says, another may know a little later."""
        deadline = self.now() + seconds
        while not condition():
            assert self.now() < deadline
            self.pass_time()


@dataclass(frozen=True)
class AgentSide(Waits):
    """The agents of two nodes, ``here`` and ``there``, and of one that reaches no server. ``third`` is a node that is in the cluster
    until the block ends, and then crashes.
    """

    members: Members
    services: Services
    there: Services
    cut_members: Members
    cut_services: Services
    third: Callable[[], AbstractContextManager[str]]


@dataclass(frozen=True)
class NodeSide(Waits):
    """A node that apps can run on. ``publish`` makes a deploy directory with the compose file of :mod:`test_contract_compose`; ``write``
    and ``read`` are what an app would do with a live volume. ``tag`` makes an image of that name, ``images`` has the names of all that
    ``tag`` made and that are still there.
    """

    compose: Compose
    deploys: Deploys
    volumes: Volumes
    probe: Probe
    publish: Callable[[str, str], None]
    write: Callable[[str, str], None]
    read: Callable[[str], list[str]]
    tag: Callable[[str], object]
    images: Callable[[], set[str]]


@dataclass(frozen=True)
class ProxiesSide(Waits):
    """A node's proxies. ``say`` has Consul say, or not say any more, that an app is held; ``pass_time`` is when they learn of it."""

    proxies: Proxies
    say: Callable[[str, bool], None]


@dataclass(frozen=True)
class CheckoutSide:
    """``fetch`` clones the one repository that there is; ``break_it`` makes the next clone fail and returns the branch to ask for."""

    code: Code
    deploys: Deploys
    repo: str
    break_it: Callable[[], str]

    def fetch(self, app: str, deploy_id: str) -> str:
        return self.code.fetch(self.repo, "main", self.deploys.path(app, deploy_id))


def go_on() -> None:
    """The guard of a send that nothing ends."""


def snapshot_of(volumes: Volumes, volume: str) -> str:
    """Take one; its name."""
    return volumes.snapshot([volume])[volume]


@dataclass(frozen=True)
class StorageSide:
    """Volumes of one node and of its peer. ``write`` and ``read`` are what an app would do with a live volume; ``break_off`` leaves what an
    interrupted receive leaves here. ``schedule_by_hand`` is what a person does here with Buttervolume's own command; ``unpaused`` are the
    actions of a volume that Buttervolume's own scheduler carries out.
    """

    volumes: Volumes
    peer: Volumes
    host: str
    peer_host: str
    write: Callable[[str, str, str], None]
    read: Callable[[str, str], list[str]]
    break_off: Callable[[str], None]
    schedule_by_hand: Callable[[str, str, int], None]
    unpaused: Callable[[str], set[str]]


def copies(volumes: Volumes, volume: str) -> tuple[str, ...]:
    """The snapshots of a volume, sorted by name."""
    return tuple(sorted(name for name in volumes.listed() if name.startswith(f"{volume}@") and name.count("@") == 1))
