"""What the contract tests use of a side, beyond the port itself."""

from collections.abc import Callable
from dataclasses import dataclass

from handler.ports import Code, Compose, Deploys, Leases, Store, Volumes


@dataclass(frozen=True)
class ConsulSide:
    """``later`` calls after some seconds; ``end_session`` is what an operator may do; ``pass_time`` waits a little."""

    store: Store
    leases: Leases
    unreachable: Store
    later: Callable[[float, Callable[[], object]], None]
    now: Callable[[], float]
    pass_time: Callable[[], None]
    end_session: Callable[[str], None]


@dataclass(frozen=True)
class CheckoutSide:
    """``fetch`` clones the one repository that there is; ``break_it`` makes the next clone fail and returns the branch to ask for."""

    code: Code
    deploys: Deploys
    repo: str
    break_it: Callable[[], str]

    def fetch(self, app: str, deploy_id: str) -> str:
        return self.code.fetch(self.repo, "main", self.deploys.path(app, deploy_id))


@dataclass(frozen=True)
class StorageSide:
    """Volumes of one node and of its peer. ``write`` and ``read`` are what an app would do with a live volume; ``break_off`` leaves what an
    interrupted receive leaves.
    """

    volumes: Volumes
    peer: Volumes
    compose: Compose
    host: str
    peer_host: str
    write: Callable[[str, str, str], None]
    read: Callable[[str, str], list[str]]
    break_off: Callable[[str], None]
