"""Nodes that crash and a Consul, in memory, on a :class:`scheduler.Scheduler`. Nothing here knows what the handler does."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from scheduler import Scheduler, Stalls

from handler.ports import Entry

START = 1_700_000_000
"""Seconds since the epoch when the world begins."""
TTL = 15.0
LOCK_DELAY = 1.0
UNWRITTEN = 60.0
"""Seconds for which a kernel keeps what was written to a file, and never synced."""
GOSSIP = 5.0
"""Seconds until the others see that a node is gone."""


@dataclass
class Container:
    """``guarded``: it has the mount of the owner token, so that Docker cannot start it without."""

    deploy_id: str
    state: str
    since: float
    guarded: bool = True


@dataclass
class Check:
    """``since`` its last answer; without one for ``ttl`` seconds it fails."""

    passing: bool
    text: str
    ttl: float
    since: float

    def said(self, now: float) -> tuple[bool, str]:
        return (self.passing, self.text) if now - self.since < self.ttl else (False, "TTL expired")


@dataclass
class Snapshot:
    """``received`` from another node, ``at`` which time; ``hosts`` have it too, as markers say."""

    data: tuple[str, ...]
    complete: bool = True
    received: bool = False
    at: float = 0.0
    hosts: frozenset[str] = frozenset()


@dataclass(eq=False)
class Node(Stalls):
    """``tokens`` and ``held`` are in memory and go with the power; the rest is on disk. ``snapshots`` are in the order of their arrival;
    ``ahead`` so many seconds its clock is;
    ``flushes`` since its file system was mounted so that what arrived is on the disk;
    ``sending`` are those (volume, address) of which a send is under way, ``begun`` has the snapshot of which the last one was;
    ``unpaused`` are those (volume, action) of ``schedules`` that Buttervolume's own scheduler carries out.
    """

    name: str
    address: str
    up: bool = True
    down_since: float = 0.0
    stalled_until: float = 0.0
    idle_until: float = 0.0
    cut_until: float = 0.0
    hangs: float = 0.0
    alone_until: float = 0.0
    full_until: float = 0.0
    journal_full_until: float = 0.0
    silent_until: float = 0.0
    in_use_until: float = 0.0
    ahead: float = 0.0
    flushes: bool = False
    booted: float = 0.0
    unseen: tuple[float, float] = (0.0, 0.0)
    boots: int = 0
    spool: list[object] = field(default_factory=list)
    volumes: dict[str, list[str]] = field(default_factory=dict)
    snapshots: dict[str, Snapshot] = field(default_factory=dict)
    aside: set[str] = field(default_factory=set)
    containers: dict[str, Container] = field(default_factory=dict)
    deploys: dict[tuple[str, str], dict[str, str]] = field(default_factory=dict)
    journal: dict[tuple[str, str], frozenset[str]] = field(default_factory=dict)
    schedules: dict[str, dict[str, int]] = field(default_factory=dict)
    unpaused: set[tuple[str, str]] = field(default_factory=set)
    images: set[str] = field(default_factory=set)
    services: dict[str, dict[str, Check]] = field(default_factory=dict)
    tokens: dict[str, str] = field(default_factory=dict)
    held: dict[str, float] = field(default_factory=dict)
    sending: set[tuple[str, str]] = field(default_factory=set)
    begun: dict[tuple[str, str], str] = field(default_factory=dict)


class World(Scheduler):
    """One run. ``failing`` is asked before something that may fail; ``sick`` deploys never become healthy, ``slow`` ones after so many
    seconds; ``taken`` is what was in each snapshot, wherever it is, ``taken_at`` when; ``on_drop`` is asked before a snapshot goes; while all is
    ``hurried``, copies are made and purged each minute.
    """

    def __init__(self, seed: int, names: Iterable[str]) -> None:
        super().__init__(seed)
        self.nodes = {name: Node(name, f"10.0.0.{number}") for number, name in enumerate(names, 1)}
        self.kv: dict[str, Entry] = {}
        self.below: dict[str, dict[str, Entry]] = {}
        self._trees: dict[str, tuple[int, tuple[Entry, ...]]] = {}
        self.sessions: dict[str, float] = {}
        self.delayed: dict[str, float] = {}
        self.boot: Callable[[Node], None] = lambda _node: None
        self.failing: Callable[[str], bool] = lambda _what: False
        self.on_write: Callable[[str, Entry | None, str | None], None] = lambda _key, _old, _new: None
        self.on_drop: Callable[[Node, str], None] = lambda _node, _snapshot: None
        self.hurried: Callable[[], bool] = lambda: False
        self.sick: set[str] = set()
        self.slow: dict[str, float] = {}
        self.taken: dict[str, tuple[str, ...]] = {}
        self.taken_at: dict[str, float] = {}
        self._opened = 0

    # --- Consul ------------------------------------------------------------------------------------------------------

    def write(self, key: str, text: str | None, session: str | None = None) -> None:
        """Set a key, or delete it (None); ``session`` changes its holder."""
        self.on_write(key, self.kv.get(key), text)
        self.touch(key)
        old = self.kv.pop(key, None)
        level = key.rpartition("/")[0] + "/"
        if text is None:
            self.below.get(level, {}).pop(key, None)
        else:
            new = Entry(key, text, self.index, session if session is not None else (old.session if old else ""))
            self.kv[key] = self.below.setdefault(level, {})[key] = new

    def tree(self, prefix: str) -> tuple[Entry, ...]:
        """The entries below ``prefix``, which ends in a slash."""
        last = self._last.get(prefix)
        known = self._trees.get(prefix)
        if known and known[0] == last:
            return known[1]
        found = [entry for level, entries in self.below.items() if level.startswith(prefix) for entry in entries.values()]
        self._trees[prefix] = last, tuple(sorted(found, key=lambda entry: entry.key))
        return self._trees[prefix][1]

    def open_session(self) -> str:
        self._opened += 1
        session = f"session-{self._opened}"
        self.renew(session)
        self.at(self.sessions[session], lambda: self._expire(session))
        return session

    def renew(self, session: str) -> None:
        """Consul frees a session between one and two times its TTL after it was renewed."""
        self.sessions[session] = self.now + TTL * self.random.uniform(1, 2)

    def _expire(self, session: str) -> None:
        end = self.sessions.get(session)
        if end is None:
            return
        if end > self.now:
            self.at(end, lambda: self._expire(session))
            return
        self.say(f"{session} expires")
        self.end_session(session, delay=True)

    def end_session(self, session: str, *, delay: bool) -> None:
        self.sessions.pop(session, None)
        for key, value in list(self.kv.items()):
            if value.session == session:
                self.write(key, value.value, "")
                if delay:
                    self.delayed[key] = self.now + LOCK_DELAY

    def alive(self, node: Node, viewer: Node) -> bool:
        """As the gossip of another node has it: what is gone, or isolated, is seen to be so a little later."""
        if node is viewer:
            return True
        power = node.up or self.now - node.down_since < GOSSIP
        return power and not self._hidden(node) and not self._hidden(viewer)

    def _hidden(self, node: Node) -> bool:
        since, until = node.unseen
        return since + GOSSIP < self.now < until

    # --- what happens to nodes ---------------------------------------------------------------------------------------

    def crash(self, node: Node, seconds: float) -> None:
        """The handler of a node is killed; it is started again."""
        self._kill_all(node)
        boots = node.boots
        self.at(self.now + seconds, lambda: self._boot(node) if node.up and node.boots == boots else None)

    def _kill_all(self, node: Node) -> None:
        node.boots += 1
        self.kill([task for task in self.tasks if task.home is node])

    def _boot(self, node: Node) -> None:
        node.boots += 1
        self.boot(node)

    def power_loss(self, node: Node, seconds: float) -> None:
        """All of a node is gone; what was in memory with it."""
        node.up, node.down_since, node.stalled_until = False, self.now, 0.0
        self._lose_unflushed(node)
        node.tokens.clear()
        node.held.clear()
        for container in node.containers.values():
            container.state = "exited"
        self.version += 1
        self._kill_all(node)
        self.at(self.now + seconds, lambda: self._power_on(node))

    def _lose_unflushed(self, node: Node) -> None:
        """btrfs has written what a snapshot is called, and that it is complete, but not yet what is in its files."""
        for one in node.snapshots.values():
            if one.received and one.at > max(self.now - UNWRITTEN, node.booted) and not node.flushes:
                one.data = ()
        node.flushes = False

    def _power_on(self, node: Node) -> None:
        """Docker starts by itself what its restart policy says; what has no token stays as it is."""
        self.say(f"{node.name} is back")
        node.up, node.booted = True, self.now
        for container in node.containers.values():
            if not container.guarded:
                container.state, container.since = "running", self.now
        self.version += 1
        self._boot(node)
