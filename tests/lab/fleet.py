"""Several apps on their way at the same time, each stopped in another phase of its move, so that one fault meets all phases at once."""

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import state
from conftest import App, Lab
from crash_points import NODES, OTHER, THIRD, VICTIM, Point, Setup

from clusterlab import apps, crash
from clusterlab.run import wait_until
from clusterlab.writer import Writer, complaint, writing
from handler.core import names
from handler.core import steps as s
from handler.core.model import Kind, Placement
from handler.core.plan import plan

PHASES: dict[str, tuple[str, type[s.Step]]] = {
    "plan": ("target", s.BuildImages),
    "prepared": ("source", s.HoldRequests),
    "snapshots": ("source", s.SendSnapshots),
    "released": ("target", s.VerifyCopies),
    "started": ("target", s.Commit),
    "outcome": ("target", s.SettleRoutes),
}
"""What is in Consul of the hand-over by then (``started``: the trial copy runs), and whose step it is before which the move stops."""

HERE, THERE = Placement(VICTIM, OTHER), Placement(OTHER, VICTIM)


@dataclass(eq=False)
class Mover:
    """One app that is moved between the two nodes, and those who write to it: through a node that has no role, and through the victim."""

    lab: Lab
    app: App
    place: Placement = field(default_factory=Placement)
    writers: list[Writer] = field(default_factory=list)
    phase: str = ""
    stands_on: str = ""

    def __str__(self) -> str:
        return f"{self.app.app} from {self.place.master}, stopped at {self.phase or 'nothing'}"

    def deploy(self, place: Placement) -> None:
        outcome = self.app.deploy(place.master, place.slave)
        assert outcome["outcome"] == "committed", (str(self), outcome)
        self.place = place
        self.writers = self.writers or [
            Writer(self.lab.node(node).address, self.app.domain, f"{self.app.name}{node}") for node in (THIRD, VICTIM)
        ]

    @property
    def target(self) -> str:
        return self.place.slave

    def begin(self, phase: str) -> None:
        """Begin the move to the other node; returns when it stands at the phase."""
        self.phase = phase
        after = Placement(self.place.slave, self.place.master)
        setup = Setup(Kind.DEPLOY, self.place, after)
        side, step = PHASES[phase]
        self.stands_on = after.master if side == "target" else self.place.master
        part = plan(setup.operation(), self.stands_on)
        stage = "before" if any(isinstance(one, step) for one in part.before) else "committed"
        one = next(one for one in getattr(part, stage) if isinstance(one, step))
        node = self.lab.node(self.stands_on)
        crash.arm(node, self.app.app, Point(stage, "begun", one).entry(self.app.volume))
        self.app.send(source=THIRD, master=after.master, slave=after.slave)
        wait_until(f"{self} stands there", lambda: crash.reached(node, self.app.app), 120)

    def go_on(self) -> None:
        if self.stands_on:
            crash.go_on(self.lab.node(self.stands_on), self.app.app)

    def outcome(self) -> dict[str, Any] | None:
        """As the node without a role knows it."""
        found: dict[str, Any] | None = apps.kv(self.lab.node(THIRD), names.op_key(self.app.app, self.app.event, "outcome"))
        return found

    def settle(self, seconds: float) -> None:
        """The operation has its outcome, everything is as it says, on every node; every acknowledged line is there once."""
        self.app.outcome(seconds)
        deadline = time.monotonic() + seconds
        while complaint := self.complaint():
            if time.monotonic() > deadline:
                raise AssertionError(f"{self}: {complaint}; outcome {self.outcome()}")
            time.sleep(0.5)

    def complaint(self) -> str:
        record, outcome = self.app.record(), self.outcome() or {}
        committed = outcome.get("outcome") == "committed"
        place = Placement(self.place.slave, self.place.master) if committed else self.place
        if (record.get("master"), record.get("slave")) != (place.master, place.slave):
            return f"the record says {record.get('master')}/{record.get('slave')}"
        if held := apps.kv(self.lab.node(THIRD), names.hold_key(self.app.app)):
            return f"still held: {held}"
        peer = self.lab.node(place.slave).address
        for name in NODES:
            if found := state.complaint(self.lab.node(name), self.app, place.role(name).value, peer, record=record, keeps_copy=None):
                return found
        if found := complaint(self.writers, lambda: self.writers[0].ask("/data")):
            if "cannot be read" in found:
                return found
            raise AssertionError(f"{self}: {found}; outcome {outcome}")
        self.place, self.phase = place, ""
        return ""


class Fleet:
    """Movers, as many as a fault needs; they stay for the next fault."""

    def __init__(self, lab: Lab, folder: Path) -> None:
        self.lab, self.folder, self.movers, self.made = lab, folder, list[Mover](), 0

    def each(self, movers: Sequence[Mover], call: Callable[[Mover], object]) -> None:
        with ThreadPoolExecutor(max_workers=6) as pool:
            list(pool.map(call, movers))

    def ready(self, from_victim: int, to_victim: int) -> tuple[list[Mover], list[Mover]]:
        """So many that are on the victim, and so many that will be moved to it."""
        wanted = {HERE: from_victim, THERE: to_victim}
        found = {place: [mover for mover in self.movers if mover.place == place] for place in wanted}
        spare = [mover for place, some in found.items() for mover in some[wanted[place] :]]
        todo = []
        for place, count in wanted.items():
            del found[place][count:]
            while len(found[place]) < count:
                mover = spare.pop() if spare else self._new()
                todo.append((mover, place))
                found[place].append(mover)
        with ThreadPoolExecutor(max_workers=6) as pool:
            list(pool.map(lambda job: job[0].deploy(job[1]), todo))
        return found[HERE], found[THERE]

    def _new(self) -> Mover:
        self.made += 1
        name = f"mover{self.made}"
        app = App(self.lab, name, self.folder / name)
        app.publish()
        self.movers.append(Mover(self.lab, app))
        return self.movers[-1]

    @contextmanager
    def under_way(self, from_victim: Sequence[str], to_victim: Sequence[str]) -> Iterator[list[Mover]]:
        """Moves stand at these phases while visitors write; inside the block comes the fault. Afterwards all is settled."""
        here, there = self.ready(len(from_victim), len(to_victim))
        movers = [*here, *there]
        try:
            with ExitStack() as stack:
                for mover in movers:
                    for writer in mover.writers:
                        stack.enter_context(writing(writer, 0.3))
                phases = dict(zip((id(mover) for mover in movers), [*from_victim, *to_victim], strict=True))
                self.each(movers, lambda mover: mover.begin(phases[id(mover)]))
                yield movers
                self.each(movers, lambda mover: mover.app.outcome(180))
            self.each(movers, lambda mover: mover.settle(150))
        except BaseException:
            self.movers = [mover for mover in self.movers if mover not in movers]  # nobody knows where these are now
            for mover in movers:
                mover.go_on()
            raise
