"""What all nodes have in common: Consul."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from handler.core.kv import Op
from handler.core.model import Node


@dataclass(frozen=True)
class Entry:
    """One key of Consul. ``session`` is the holder when the key is a lock; ``index`` its ModifyIndex."""

    key: str
    value: str
    index: int
    session: str = ""


class Store(Protocol):
    """Consul's KV. Raises ``StoreUnavailable`` when there is no answer: that is not the same as no such key."""

    def get(self, key: str) -> Entry | None:
        """The entry, or None when Consul says that there is none (consistent read)."""

    def tree(self, prefix: str) -> tuple[Entry, ...]:
        """All entries whose key begins with ``prefix`` (which ends in ``/``), sorted by key."""

    def wait(self, prefix: str, index: int, seconds: float) -> int:
        """Block until something below ``prefix`` changed after ``index``, or ``seconds`` have passed.

        Returns the index to give next time; begin with 0, which returns at once.
        """

    def put(self, key: str, value: str) -> None:
        """Write without a condition."""

    def transact(self, ops: Sequence[Op]) -> bool:
        """All or nothing; False when a condition of one of ``ops`` does not hold."""

    def within(self, sure: Callable[[], float]) -> Store:
        """The same store, for who holds a lease: a call takes no more seconds than ``sure()`` says when it begins, so that its holder is
        free in time to stop what it may not run any longer. When that is 0, nothing hangs on it any more, and calls take what they take.
        """


class Lease(Protocol):
    """A lock that is held; renewed in the background until it is released or lost."""

    session: str

    def ensure(self) -> None:
        """Return when the lease is surely ours still; raise ``LeaseLost`` otherwise. Cheap: no I/O."""

    def sure(self) -> float:
        """Seconds for which it surely stays ours, renewed or not; 0 when it is not sure any more. No I/O."""

    def say(self, value: str) -> None:
        """Write what the lock is held for (node, event, step, since)."""

    def release(self) -> None:
        """Give the lock back; never raises, since an error here must not hide the one before."""


class Leases(Protocol):
    """Expiring locks."""

    def acquire(self, key: str, value: str) -> Lease | None:
        """The lease, or None when somebody else holds it (or its lock-delay still runs)."""


class Members(Protocol):
    """Who belongs to the cluster."""

    def me(self) -> str:
        """Name of this node."""

    def nodes(self) -> Mapping[str, Node]:
        """All known nodes by name, as this node's agent sees them (works without a leader)."""


class Services(Protocol):
    """Services and checks registered at this node's agent."""

    def register(self, app: str, address: str, checks: Sequence[Mapping[str, Any]]) -> None:
        """Register the app as a service (id = app), replacing what was; ``checks`` are in the agent API's form."""

    def deregister(self, app: str) -> None:
        """Forget the service and its checks; fine when there is none."""

    def report(self, app: str, check: Mapping[str, Any], problem: str) -> None:
        """Answer a check with a TTL of the app's service: passing without a ``problem``; made first when it is not there."""

    def reports(self, suffix: str) -> Mapping[str, tuple[bool, str]]:
        """Checks of the whole cluster whose CheckID ends in ``suffix``: what is before it -> (passing, its text)."""
