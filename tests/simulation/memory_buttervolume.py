"""Buttervolume of a node on a :class:`world.World`, in memory: volumes, their snapshots and what is sent between nodes."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from memory_docker import Docker
from world import START, Node, Snapshot, World

from handler import errors
from handler.core import copies, names
from handler.core.copies import Held
from handler.ports import Guard

HURRIED = "purge:1m:1m"
"""The shortest purge that people can schedule: what is older than a minute goes."""


def _hurried(action: str) -> str:
    return HURRIED if action.startswith(copies.PURGE) else action


class Beside:
    """As ``adapters.beside``: a program of the same node."""

    def __init__(self, world: World, node: Node, work: Callable[[Guard], None], guard: Guard) -> None:
        self._world, self._guard, self._key = world, guard, f"beside/{node.name}/{world.steps}"
        self._given_up, self._over, self._error = False, False, None
        world.start(self._key, node, lambda: self._run(work))

    def _run(self, work: Callable[[Guard], None]) -> None:
        try:
            work(self._sure)
        except errors.ClusterError as error:
            self._error = error
        self._over = True
        self._world.touch(self._key)

    def _sure(self) -> None:
        if self._given_up:
            raise errors.Aborted("nobody waits")
        self._guard()

    def wait(self, meanwhile: Guard) -> None:
        while not self._over:
            try:
                meanwhile()
            except errors.ClusterError:
                self._given_up = True
                raise
            self._world.pause(1.0, self._key, self._world.index)
        if self._error:
            raise self._error


class Volumes(Docker):
    """``Volumes``: a live volume is the list of words that were written to it."""

    def flush_on_commit(self) -> None:
        self.act("flush on commit")
        self.node.flushes = True

    def exists(self, volume: str) -> bool:
        return volume in self.node.volumes

    def unfit(self, volume: str) -> str:
        self.ask(f"unfit {volume}?", change=False)
        return ""

    def live(self, project: str) -> tuple[str, ...]:
        return tuple(volume for volume in self.node.volumes if volume.startswith(f"{project}_"))

    def create(self, volume: str, labels: Mapping[str, str]) -> None:
        self.ask(f"create {volume}")
        self.node.volumes.setdefault(volume, [])

    def remove(self, volume: str) -> None:
        self.ask(f"remove volume {volume}")
        if volume.removesuffix("_data") in self.node.containers or self.world.now < self.node.in_use_until:
            raise errors.Temporary("a container uses it")
        self.node.volumes.pop(volume, None)

    def snapshot(self, volumes: Sequence[str], *, aside: bool = False) -> dict[str, str]:
        self.act(f"snapshot {' '.join(volumes)}")
        self.may_fail("snapshot")
        if gone := [volume for volume in volumes if volume not in self.node.volumes]:
            raise errors.Permanent(f"there is no volume {gone[0]}")
        taken = {volume: self._keep(volume) for volume in volumes}
        self.node.aside |= set(taken.values()) if aside else set()
        return taken

    def sync(self) -> None:
        self.look("sync")

    def unchanged(self, volume: str, snapshot: str) -> bool:
        self.look(f"unchanged {volume}?")
        found = self.node.snapshots.get(snapshot)
        return bool(found and found.complete) and found.data == tuple(self.node.volumes[volume])

    def put_aside(self, snapshots: Collection[str]) -> None:
        self.act(f"put aside {' '.join(snapshots)}")
        self.need_space()
        self.node.aside |= set(snapshots)

    def _keep(self, volume: str) -> str:
        now = datetime.fromtimestamp(START + self.world.now + self.node.ahead, UTC)
        name = f"{volume}@{now:{names.TIME_FORMAT}}"
        self.node.snapshots[name] = Snapshot(tuple(self.node.volumes[volume]))
        self.world.taken[name], self.world.taken_at[name] = self.node.snapshots[name].data, self.world.now
        return name

    def send(self, snapshot: str, host: str, guard: Guard, *, in_order: bool = True, meanwhile: Guard | None = None) -> None:
        self.ask(f"send {snapshot} to {host}")
        if meanwhile is None:
            self._in_turn(snapshot, host, guard, in_order=in_order)
        else:
            meanwhile()
            Beside(self.world, self.node, lambda sure: self._in_turn(snapshot, host, sure, in_order=in_order), guard).wait(meanwhile)

    def _in_turn(self, snapshot: str, host: str, guard: Guard, *, in_order: bool) -> None:
        with self._alone(snapshot.partition("@")[0], host, guard):
            guard()
            self._send(snapshot, host, in_order=in_order)

    def sending(self, volumes: Collection[str]) -> Collection[tuple[str, str]]:
        self.look("what is on its way?")
        return [line for line in sorted(self.node.sending) if line[0] in volumes]

    @contextmanager
    def _alone(self, volume: str, host: str, guard: Guard) -> Iterator[None]:
        """Who waits is let in by chance, not in the order in which they came."""
        while (volume, host) in self.node.sending:
            guard()
            self.look(f"another send of {volume} to {host}", self.world.random.uniform(0.1, 1.0))
        self.node.sending.add((volume, host))
        try:
            yield
        finally:
            self.node.sending.discard((volume, host))

    def _send(self, snapshot: str, host: str, *, in_order: bool) -> None:
        peer = next((node for node in self.world.nodes.values() if node.address == host), None)
        if snapshot not in self.node.snapshots:
            raise errors.CommandFailed(f"there is no snapshot {snapshot}")
        if host in self.node.snapshots[snapshot].hosts:
            return
        if in_order:
            self._keep_order(snapshot, host)
        if peer is None:
            raise errors.CommandFailed(f"snapshot {snapshot} cannot be sent to {host}")
        self._reach(peer)
        self.act(f"asked to send {snapshot}", self.world.random.uniform(0.1, 4.0))  # it syncs first, and may have other sends to do
        if snapshot in peer.snapshots and peer.snapshots[snapshot].complete:
            self._mark(snapshot, host)
            return
        peer.snapshots.pop(snapshot, None)  # what a send left behind is deleted, and all of it comes anew
        peer.snapshots[snapshot] = Snapshot((), complete=False)
        self.act(f"sending {snapshot} to {host}", self.world.random.uniform(0.1, 4.0))
        self.may_fail("send")
        self._reach(peer)
        if self.world.now < peer.full_until:
            raise errors.CommandFailed(f"{host} has no space left")
        if snapshot not in self.node.snapshots:
            raise errors.CommandFailed(f"{snapshot} was dropped while it was sent")
        peer.snapshots[snapshot] = Snapshot(self._arrived(snapshot, host, peer), received=True, at=self.world.now)
        self._mark(snapshot, host)

    def _arrived(self, snapshot: str, host: str, peer: Any) -> tuple[str, ...]:
        """What is in the parent is not sent: there it is what the host has of it."""
        data, line = self.node.snapshots[snapshot].data, snapshot.partition("@")[0]
        for name, one in self.node.snapshots.items():
            there = peer.snapshots.get(name)
            if name.partition("@")[0] == line and host in one.hosts and there and data[: len(one.data)] == one.data:
                return (*there.data, *data[len(one.data) :])
        return data

    def _keep_order(self, snapshot: str, host: str) -> None:
        line, order = (snapshot.partition("@")[0], host), list(self.node.snapshots)
        before = self.node.begun.get(line, "")
        if before in order and order.index(before) > order.index(snapshot):
            raise errors.Overtaken(f"{before} is newer than {snapshot}")
        self.node.begun[line] = snapshot

    def _mark(self, snapshot: str, host: str) -> None:
        """Of all snapshots of a volume, one is marked as what a host was sent last."""
        for name in self.node.snapshots:
            if name.partition("@")[0] == snapshot.partition("@")[0]:
                self.node.snapshots[name].hosts -= {host}
        self.node.snapshots[snapshot].hosts |= {host}

    def _reach(self, peer: Any) -> None:
        if not peer.up or self.world.now < max(peer.alone_until, self.node.alone_until):
            raise errors.CommandFailed(f"{peer.name} does not answer")

    def complete(self, snapshot: str) -> bool:
        self.look(f"complete? {snapshot}")
        return snapshot in self.node.snapshots and self.node.snapshots[snapshot].complete

    def adopt(self, snapshot: str, host: str) -> None:
        self.look(f"adopt {snapshot} of {host}")
        if host and snapshot in self.node.snapshots:
            self.node.snapshots[snapshot].hosts |= {host}

    def restore(self, snapshot: str, volume: str) -> None:
        self.act(f"restore {snapshot}")
        if not (snapshot in self.node.snapshots and self.node.snapshots[snapshot].complete):
            raise errors.Permanent(f"{snapshot} cannot be restored")
        self.may_fail("snapshot")
        self.node.volumes.pop(volume, None)
        self.act(f"restoring {snapshot}")
        self.may_fail("restore")
        self.node.volumes[volume] = list(self.node.snapshots[snapshot].data)

    def drop(self, snapshot: str) -> None:
        self.ask(f"drop {snapshot}")
        if snapshot in self.node.snapshots:
            self.world.on_drop(self.node, snapshot)
            del self.node.snapshots[snapshot]

    def schedule(self, volume: str, actions: Mapping[str, int]) -> None:
        self.ask(f"schedule {volume} {dict(actions)}")
        self.node.schedules[volume] = dict(actions)
        self.pause_schedules([volume])

    def pause_schedules(self, volumes: Collection[str]) -> None:
        self.node.unpaused = {line for line in self.node.unpaused if line[0] not in volumes}

    def schedules(self) -> Mapping[str, Mapping[str, int]]:
        self.look("schedules")
        if self.world.hurried():
            return {volume: {_hurried(action): 1 for action in actions} for volume, actions in self.node.schedules.items()}
        return {volume: dict(actions) for volume, actions in self.node.schedules.items()}

    def listed(self) -> frozenset[str]:
        markers = (f"{name}@{host}" for name, one in self.node.snapshots.items() for host in one.hosts)
        return frozenset((*self.node.snapshots, *markers))

    def stock(self) -> Mapping[str, Sequence[Held]]:
        self.look("stock")
        found: dict[str, list[Held]] = {}
        for name, one in self.node.snapshots.items():
            held = Held(name, one.complete, one.received, tuple(sorted(one.hosts)), name in self.node.aside)
            found.setdefault(name.partition("@")[0], []).append(held)
        return found

    def size(self, snapshot: str, seconds: float) -> int | None:  # noqa: ARG002
        found = self.node.snapshots.get(snapshot)
        return len("".join(found.data)) if found else None
