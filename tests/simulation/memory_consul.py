"""Consul on a :class:`world.World`: what the adapters ``consul`` and ``lease`` do, in memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from world import Check, Node, World

from handler import errors
from handler.core import kv
from handler.core.model import Node as Member
from handler.ports import Entry

RENEW, BELIEVE, READ = 5.0, 10.0, 10.0


class Port:
    """What all have in common."""

    def __init__(self, world: World, node: Node) -> None:
        self.world, self.node = world, node

    def look(self, what: str, seconds: float = 0.0) -> None:
        """A call that changes nothing."""
        self.world.call(self.node, self.node.name, what, seconds)

    def act(self, what: str, seconds: float = 0.0) -> None:
        """A call after which something is changed at once."""
        self.world.call(self.node, self.node.name, what, seconds)
        self.world.version += 1

    def may_fail(self, what: str) -> None:
        if self.world.failing(what):
            self.world.say(f"{what} fails on {self.node.name}")
            raise errors.CommandFailed(f"{what} failed", "as planned")


class Store(Port):
    """``Store``; unreachable while the node is cut off, which a call notices at once, or when its patience ends."""

    def __init__(self, world: World, node: Node, sure: Callable[[], float] = lambda: READ) -> None:
        super().__init__(world, node)
        self._sure = sure

    def within(self, sure: Callable[[], float]) -> Store:
        return Store(self.world, self.node, sure)

    def reach(self, what: str, *, change: bool = False) -> None:
        world, node = self.world, self.node
        world.call(node, node.name, what)
        world.version += change
        if world.now < node.cut_until:
            self.hang()
            raise errors.StoreUnavailable(f"{node.name} does not reach Consul")

    def hang(self) -> None:
        """A call that gets no answer, for as long as its caller waits, and the agent does not refuse by itself."""
        if self.node.hangs:
            self.world.pause(min(self.node.hangs, READ, self._sure() or READ))

    def get(self, key: str) -> Entry | None:
        self.reach(f"get {key}")
        return self.world.kv.get(key)

    def tree(self, prefix: str) -> tuple[Entry, ...]:
        self.reach(f"tree {prefix}")
        return self.world.tree(prefix)

    def wait(self, prefix: str, index: int, seconds: float) -> int:
        self.reach(f"wait {prefix}")
        disturbed = self.world.now < self.world.slow_until and self.world.random.random() < 0.3
        if index >= 1 and not disturbed:
            self.world.pause(seconds, prefix, index)
        if self.world.now < self.node.cut_until:
            raise errors.StoreUnavailable(f"{self.node.name} does not reach Consul any more")
        return self.world.changed(prefix)

    def put(self, key: str, value: str) -> None:
        self.transact([kv.Set(key, value)])

    def transact(self, ops: Sequence[kv.Op]) -> bool:
        self.reach(f"transact {' '.join(str(getattr(op, 'key', '') or getattr(op, 'prefix', '')) for op in ops)}", change=True)
        if not all(self._holds(op) for op in ops):
            return False
        for op in ops:
            self._apply(op)
        if self.world.failing("answer"):
            self.world.say(f"the answer of a transaction is lost on its way to {self.node.name}")
            raise errors.StoreUnavailable("no answer")
        return True

    def _holds(self, op: kv.Op) -> bool:
        old = self.world.kv.get(getattr(op, "key", ""))
        match op:
            case kv.Create() | kv.CheckAbsent():
                return old is None
            case kv.Swap() | kv.CheckIndex():
                return old is not None and old.index == op.index
            case kv.CheckSession():
                return old is not None and old.session == op.session
        return True

    def _apply(self, op: kv.Op) -> None:
        match op:
            case kv.Set() | kv.Create() | kv.Swap():
                self.world.write(op.key, op.value)
            case kv.Delete():
                self.world.write(op.key, None)
            case kv.DeleteTree():
                for entry in self.world.tree(op.prefix):
                    self.world.write(entry.key, None)


class Lease:
    """``Lease``: believes in itself for 10 s after it was renewed."""

    def __init__(self, store: Store, key: str, session: str) -> None:
        self.session = session
        self._store, self._key = store, key
        self._world, self._node, self._boots = store.world, store.node, store.node.boots
        self._renewed = self._world.now
        self._lost = self._over = False
        self._world.at(self._world.now + RENEW, self._renew)

    def _reaches(self) -> bool:
        return self._world.now >= self._node.cut_until

    def _renew(self) -> None:
        world, node = self._world, self._node
        if self._over or node.boots != self._boots:
            return
        if world.now < node.stalled_until:
            world.at(node.stalled_until, self._renew)
            return
        if self._reaches():
            if self.session not in world.sessions:
                self._lost = True
                return
            world.renew(self.session)
            self._renewed = world.now
        world.at(world.now + RENEW, self._renew)

    def ensure(self) -> None:
        if not self.sure():
            raise errors.LeaseLost(f"the lease {self._key} is lost")

    def sure(self) -> float:
        return 0.0 if self._lost or self._over else max(0.0, self._renewed + BELIEVE - self._world.now)

    def say(self, value: str) -> None:
        self._store.look(f"say {self._key}")
        held = self._world.kv.get(self._key)
        if not self._reaches():
            self._store.within(self.sure).hang()
        elif held and held.session == self.session:
            self._world.write(self._key, value)

    def release(self) -> None:
        if self._over:
            return
        self._over = True
        self._store.act(f"release {self._key}")
        if self._reaches() and self.session in self._world.sessions:
            self._world.end_session(self.session, delay=False)


class Leases(Port):
    """``Leases``."""

    def __init__(self, world: World, node: Node, store: Store) -> None:
        super().__init__(world, node)
        self._store = store

    def acquire(self, key: str, value: str) -> Lease | None:
        self._store.reach(f"acquire {key}")
        old = self.world.kv.get(key)
        if (old and old.session) or self.world.delayed.get(key, 0.0) > self.world.now:
            return None
        session = self.world.open_session()
        self.world.write(key, value, session)
        return Lease(self._store, key, session)


class Members(Port):
    """``Members``: works without a leader."""

    def me(self) -> str:
        return self.node.name

    def nodes(self) -> Mapping[str, Member]:
        return {node.name: Member(node.name, node.address, self.world.alive(node, self.node)) for node in self.world.nodes.values()}


class Services(Port):
    """``Services``: an agent keeps its node's checks on disk, and the servers know those of all nodes."""

    def register(self, app: str, address: str, checks: Sequence[Mapping[str, Any]]) -> None:
        self.act(f"register {app}")
        before = self.node.services.get(app, {})
        self.node.services[app] = {check["CheckID"]: before.get(check["CheckID"]) or self._made(check) for check in checks}

    def _made(self, check: Mapping[str, Any]) -> Check:
        ttl = _seconds(check["TTL"]) if "TTL" in check else float("inf")
        return Check(check.get("Status") == "passing", "", ttl, self.world.now)

    def deregister(self, app: str) -> None:
        self.act(f"deregister {app}")
        self.node.services.pop(app, None)

    def report(self, app: str, check: Mapping[str, Any], problem: str) -> None:
        self.act(f"report {check['CheckID']}: {problem or 'fine'}")
        if app not in self.node.services:
            raise errors.Permanent(f"there is no service {app} on {self.node.name}")
        made = self.node.services[app].setdefault(check["CheckID"], self._made(check))
        made.passing, made.text, made.since = not problem, problem or "fine", self.world.now

    def reports(self, suffix: str) -> Mapping[str, tuple[bool, str]]:
        if self.world.now < self.node.cut_until:
            raise errors.StoreUnavailable(f"{self.node.name} does not reach Consul")
        services = [checks for node in self.world.nodes.values() for checks in node.services.values()]
        found = {name: check for checks in services for name, check in checks.items() if name.endswith(suffix)}
        return {name.removesuffix(suffix): check.said(self.world.now) for name, check in found.items()}


def _seconds(text: str) -> float:
    """Of a duration as Consul reads it, with one unit."""
    return float(text[:-1]) * {"s": 1, "m": 60, "h": 3600}[text[-1]]
