"""Consul on a :class:`world.World`: what the adapters ``consul`` and ``lease`` do, in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from world import TTL, Node, World

from handler import errors
from handler.core import kv
from handler.core.model import Node as Member
from handler.ports import Entry


class Port:
    """What all have in common."""

    def __init__(self, world: World, node: Node) -> None:
        self.world, self.node = world, node

    def call(self, what: str, seconds: float = 0.0) -> None:
        self.world.call(self.node, what, seconds)

    def may_fail(self, what: str, chance: float = 1.0) -> None:
        if self.world.failing(what) and self.world.random.random() < chance:
            self.world.say(f"{what} fails on {self.node.name}")
            raise errors.CommandFailed(f"{what} failed", "as planned")


class Store(Port):
    def _reach(self, what: str) -> None:
        self.call(what)
        if self.world.now < self.node.cut_until:
            raise errors.StoreUnavailable(f"{self.node.name} does not reach Consul")

    def get(self, key: str) -> Entry | None:
        self._reach(f"get {key}")
        return self._entry(key)

    def _entry(self, key: str) -> Entry | None:
        value = self.world.kv.get(key)
        return Entry(key, value.text, value.index, value.session) if value else None

    def tree(self, prefix: str) -> tuple[Entry, ...]:
        self._reach(f"tree {prefix}")
        return tuple(found for key in sorted(self.world.kv) if key.startswith(prefix) and (found := self._entry(key)))

    def wait(self, prefix: str, index: int, seconds: float) -> int:
        self._reach(f"wait {prefix}")
        if index >= 1:
            self.world.pause(seconds, (prefix, index))
        return self.world.changed(prefix)

    def put(self, key: str, value: str) -> None:
        self.transact([kv.Set(key, value)])

    def transact(self, ops: Sequence[kv.Op]) -> bool:
        self._reach(f"transact {' '.join(str(getattr(op, 'key', getattr(op, 'prefix', ''))) for op in ops)}")
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
                for key in [key for key in self.world.kv if key.startswith(op.prefix)]:
                    self.world.write(key, None)


class Lease:
    """Renewed by a task of its own; believes in itself for 10 s."""

    def __init__(self, store: Store, key: str, session: str) -> None:
        self._store, self._key, self.session = store, key, session
        self._world, self._node = store.world, store.node
        self._renewed = self._world.now
        self._lost = self._over = False
        self._world.start(f"lease {key}", self._node, self._renew)

    def _renew(self) -> None:
        while not self._over and not self._lost:
            self._world.pause(5.0)
            if self._over or self._world.now < self._node.cut_until:
                continue
            if self.session not in self._world.sessions:
                self._lost = True
                return
            self._world.renew(self.session)
            self._renewed = self._world.now

    def ensure(self) -> None:
        if self._lost or self._world.now - self._renewed > 10.0:
            raise errors.LeaseLost(f"the lease {self._key} is lost")

    def say(self, value: str) -> None:
        held = self._world.kv.get(self._key)
        if self._world.now >= self._node.cut_until and held and held.session == self.session:
            self._world.write(self._key, value)

    def release(self) -> None:
        self._over = True
        self._store.call(f"release {self._key}")
        if self._world.now >= self._node.cut_until:
            self._world.end_session(self.session, delay=False)


class Leases(Port):
    def __init__(self, world: World, node: Node, store: Store) -> None:
        super().__init__(world, node)
        self._store = store

    def acquire(self, key: str, value: str) -> Lease | None:
        self._store._reach(f"acquire {key}")
        old = self.world.kv.get(key)
        if (old and old.session) or self.world.delayed.get(key, 0.0) > self.world.now:
            return None
        session = f"s{self.world.steps}"
        self.world.sessions[session] = (self.node.name, self.world.now + TTL)
        self.world.renew(session)
        self.world.write(key, value, session)
        return Lease(self._store, key, session)


class Members(Port):
    def me(self) -> str:
        return self.node.name

    def nodes(self) -> Mapping[str, Member]:
        return {node.name: Member(node.name, node.address, node.up) for node in self.world.nodes.values()}


class Services(Port):
    def register(self, app: str, address: str, checks: Sequence[Mapping[str, Any]]) -> None:  # noqa: ARG002
        self.call(f"register {app}")
        self.node.services.add(app)

    def deregister(self, app: str) -> None:
        self.call(f"deregister {app}")
        self.node.services.discard(app)

    def report(self, app: str, check: Mapping[str, Any], problem: str) -> None:
        self.call(f"report {check['CheckID']}: {problem or 'fine'}")

    def reports(self, suffix: str) -> Mapping[str, tuple[bool, str]]:  # noqa: ARG002
        return {}
