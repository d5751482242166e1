"""What runs on the nodes: as the worker, without its threads."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from memory import ports
from world import Node, World

from handler import errors
from handler.copies import Copies
from handler.intake import intake
from handler.node import resume_app
from handler.ports import Ports
from handler.pursue import pursue
from handler.trial import stop_unsure
from handler.worker import flush_on_commit

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from apps import App

DRIVERS = ("btrfs",)


class Daemons:
    """``idle`` is what the world's version was when a node last had nothing to do for an app; ``calm`` is called at each such moment."""

    def __init__(self, world: World, apps: Sequence[App], *, copying: bool, calm: Callable[[], None]) -> None:
        self.world, self.apps, self.copying, self.calm = world, apps, copying, calm
        self.ports = {name: ports(world, node) for name, node in world.nodes.items()}
        self.idle: dict[tuple[str, str], int] = {}
        self._locked: set[tuple[str, str]] = set()

    def boot(self, node: Node) -> None:
        mine = self.ports[node.name]
        self.world.start("intake", node, lambda: self._take(node, mine))
        for one in self.apps:
            self.world.start(one.name, node, lambda one=one: self._pursue(node, mine, one.name))
        if self.copying:
            self.world.start("copies", node, lambda: self._copy(node, mine))

    def _take(self, node: Node, mine: Ports) -> None:
        spool = f"spool/{node.name}"
        while True:
            index = self.world.changed(spool)
            for message in list(node.spool):
                try:
                    intake(mine, message)
                except errors.Temporary:
                    break
                node.spool.remove(message)
            self.world.pause(5.0, spool, index if not node.spool else self.world.changed(spool))

    def _pursue(self, node: Node, mine: Ports, name: str) -> None:
        looked = self._begin(mine, name)
        index = 0
        while True:
            try:
                with self._lock(node, name):
                    before = self.world.version
                    complete = pursue(mine, DRIVERS, name)
                    looked = resume_app(mine, name, anew=not looked) or looked
                if complete and before == self.world.version:
                    self.idle[node.name, name] = before
                    self.calm()
                index = mine.store.wait("intent/", index, 30.0)
            except (errors.ClusterError, OSError):
                mine.clock.sleep(5.0)

    def _copy(self, node: Node, mine: Ports) -> None:
        """Rounds of copies and purges, as the copier without its threads."""
        made = Copies(mine, lambda app: self._attempt(node, app))
        while True:
            try:
                due = made.look()
                for app in due.rounds:
                    made.round(app)
                for app in due.purges:
                    made.purge(app)
            except (errors.ClusterError, OSError):
                pass
            mine.clock.sleep(30.0)

    @contextmanager
    def _lock(self, node: Node, app: str) -> Iterator[None]:
        while (node.name, app) in self._locked:
            self.world.pause(0.3)
        self._locked.add((node.name, app))
        try:
            yield
        finally:
            self._locked.discard((node.name, app))

    @contextmanager
    def _attempt(self, node: Node, app: str) -> Iterator[bool]:
        if (node.name, app) in self._locked:
            yield False
            return
        with self._lock(node, app):
            yield True

    def _begin(self, mine: Ports, name: str) -> bool:
        flush_on_commit(mine)
        committing = False
        while True:
            try:
                stop_unsure(mine, name, committing=committing)
                if committing:
                    mine.clock.sleep(2.0)
                return resume_app(mine, name, anew=True)
            except errors.StoreUnavailable:
                committing = True
            except (errors.ClusterError, OSError):  # what handler.resume.each survives: looked at again later
                return False
