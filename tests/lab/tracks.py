"""The operations of ``test_crash_points``: apps that are moved to and fro, with kills of the victim's worker in each operation."""

import json
import logging
import time
import traceback
from dataclasses import dataclass, field
from pathlib import Path

import state
from conftest import App, Lab
from crash_points import NODES, THIRD, VICTIM, Job, Point, Setup
from needs import Earlier, Giver, Spoiled
from waves import Waves, Work

from clusterlab import apps, crash
from clusterlab.run import wait_until
from clusterlab.writer import Writer
from handler.core import names
from handler.core.entries import CONCLUDED
from handler.core.model import Kind, Placement
from handler.core.plan import plan

log = logging.getLogger(__name__)

SCRIPT = "#!/bin/sh\nexit 0\n"
REACHED, ENDED, SETTLED = 120.0, 120.0, 90.0
"""Deadlines in seconds: for a point to be reached, an operation to be complete, a node to be as its role says."""


@dataclass
class Track:
    """One app after the other (a destroyed one does not come back), moved to and fro, with a job in each operation."""

    lab: Lab
    work: Work
    waves: Waves
    folder: Path
    number: int
    givers: dict[str, Giver]
    began: float = field(default_factory=time.monotonic)
    place: Placement = field(default_factory=Placement)
    kind: Kind | None = None
    earlier: Earlier | None = None
    generation: int = 0
    failures: list[str] = field(default_factory=list)
    doing: str = ""

    def run(self) -> None:
        try:
            self.new_app()
            while not self.failures and (job := self.work.take(self.place, self.kind)) is not None:
                self.kind = job.setup.kind
                self.doing = f"{job.setup}, to be {job.outcome}"
                self.do(job)
        except Exception:  # noqa: BLE001 the report is made by the test's own thread
            self.failures.append(f"{self.app.app} in {self.doing}:\n{traceback.format_exc()}\n{self.journal()}")
            log.error("failed: %s", self.failures[-1])  # noqa: TRY400 the trace is in it
        finally:
            self.waves.leave()

    def new_app(self) -> None:
        self.generation += 1
        name = f"points{self.number}x{self.generation}"
        self.app = App(self.lab, name, self.folder / name)
        self.app.publish(update__sh=SCRIPT, post_migrate__sh=SCRIPT)
        self.writer = Writer(self.lab.node(THIRD).address, self.app.domain, name)
        self.place, self.earlier = Placement(), None

    # --- one job ---------------------------------------------------------------------------------------------------

    def do(self, job: Job) -> None:
        self.go_to(job.setup)
        with self.made_to_fail(job):
            crash.arm(self.victim, self.app.app, self.entry(job.points[0], job))
            self.send(job.setup)
            for point, following in zip(job.points, [*job.points[1:], None], strict=True):
                self.doing = f"{job.setup}, to be {job.outcome}, kill at: {point.entry()}"
                self.wait_for_point()
                if following:
                    crash.arm(self.victim, self.app.app, self.entry(following, job))
                self.waves.stand()
                number, took = self.work.next_number(), time.monotonic() - self.began
                log.info("%.0f s: kill %d of %d: %s: %s", took, number, self.work.points, self.app.name, self.doing)
            self.ended(job.setup, job.outcome)
        committed = job.outcome == "committed"
        if committed:
            if self.earlier:
                self.writer.back_to(self.earlier.acknowledged)
            self.earlier = None
            if job.setup.origin:
                self.writer.replaced_by(self.givers[job.setup.origin].writer)
        before, after = job.setup.before, job.setup.after
        leaves = committed and {before.master, before.slave} - {after.master, after.slave}
        # a node that an aborted move was meant for keeps what arrived there, until it leaves a role
        self.check(after if committed else before, f"after {self.doing}", keeps_copy=False if leaves else None)
        if committed and not job.setup.after.master:
            self.new_app()  # what is kept of a destroyed one would be taken for something left behind

    def entry(self, point: Point, job: Job) -> str:
        return point.entry(self.app.volume, self.givers[job.setup.origin].app.app if job.setup.origin else "")

    @property
    def victim(self) -> object:
        return self.lab.node(VICTIM)

    def journal(self) -> str:
        """What the victim's journal was told of the operation, and what the workers logged of the app."""
        told = [f"  {entry}" for entry in crash.entries(self.victim, self.app.app, self.app.event)]
        for node in self.lab.nodes:
            text = node.inside(["docker", "logs", "--tail", "2000", "cluster-worker-1"], check=False).stdout
            told += [f"{node.name} {line}" for line in text.splitlines() if self.app.app in line][-60:]
        return "\n".join(told)

    def made_to_fail(self, job: Job) -> Spoiled:
        """On the node that leads: the app's volume cannot be put in its place, or a script fails."""
        node = self.lab.node(job.setup.after.master) if job.fails else None
        if job.setup.kind is Kind.MIGRATE:
            script = f"/deploy/{self.app.app}-*/post_migrate.sh"
            return Spoiled(node, f"sed -i 's/exit 0/exit 1/' {script}", f"sed -i 's/exit 1/exit 0/' {script}")
        path = f"/var/lib/buttervolume/volumes/{self.app.volume}"
        return Spoiled(node, f"mkdir {path}", f"btrfs subvolume delete {path}/* 2>/dev/null; rmdir {path} 2>/dev/null || true")

    def send(self, setup: Setup) -> None:
        match setup.kind:
            case Kind.DEPLOY:
                self.app.send(master=setup.after.master, slave=setup.after.slave, update=True)
            case Kind.DESTROY:
                self.app.send("destroy")
            case Kind.ROLLBACK:
                self.app.send("rollback", to=self.earlier.to)
            case Kind.TAKEOVER:
                self.app.send("takeover", master=setup.after.master, force=True)
            case Kind.MIGRATE:
                origin = self.givers[setup.origin].app
                payload = {"repo": origin.repo, "branch": origin.branch, "target": {"repo": self.app.repo}}
                self.app.event = self.lab.event("migrate", json.dumps(payload), THIRD)

    def wait_for_point(self) -> None:
        def found() -> bool:
            concluded = CONCLUDED in crash.entries(self.victim, self.app.app, self.app.event)
            there = crash.reached(self.victim, self.app.app)
            assert there or not concluded, "the operation ended without this step"
            return there

        wait_until(f"{self.doing} is reached", found, REACHED)

    def ended(self, setup: Setup, wanted: str) -> None:
        """The outcome is there; the victim has done its part; the session of a leader that was killed is not waited for."""
        node, app = self.lab.node(THIRD), self.app
        if plan(setup.operation(), VICTIM).leads or plan(setup.operation(), VICTIM).before:
            done = lambda: CONCLUDED in crash.entries(self.victim, app.app, app.event)  # noqa: E731
            wait_until(f"{VICTIM} has done its part", done, ENDED)
        outcome = wait_until("outcome", lambda: apps.kv(node, names.op_key(app.app, app.event, "outcome")), ENDED, 0.3)
        assert outcome["outcome"] == wanted, outcome
        if plan(setup.operation(), VICTIM).leads:
            self.end_session()

    def end_session(self) -> None:
        """As Consul does by itself 15 to 30 s after the last renewal; its process is dead."""
        script = (
            f'id=$(curl -fsS "127.0.0.1:8500/v1/kv/lock/{self.app.app}" | sed -n \'s/.*"Session":"\\([^"]*\\)".*/\\1/p\'); '
            '[ -z "$id" ] || curl -fsS -X PUT "127.0.0.1:8500/v1/session/destroy/$id"'
        )
        self.lab.node(THIRD).inside(["sh", "-c", script], check=False)

    # --- to where a job begins, and what has to be at its end ----------------------------------------------------------

    def go_to(self, setup: Setup) -> None:
        """By operations without a kill, and a line is written. What brings older data gets a deploy to go back to, with a line less; but a
        takeover, whose copy may be newer than that, finds all in it.
        """
        place = setup.before
        if self.place != place:
            if not place.master:
                self.new_app()
                return
            self.deploy(place, setup)
        if setup.kind not in (Kind.ROLLBACK, Kind.TAKEOVER):
            self.write()
        elif not self.earlier or not self.earlier.fits(setup):
            self.write()
            deploy_id, acknowledged = self.app.record()["deploy_id"], dict(self.writer.acknowledged)
            self.deploy(place, setup)
            to = self.app.history()["state"] if setup.data_only else deploy_id
            if setup.kind is Kind.ROLLBACK:
                self.write()
            self.earlier = Earlier(setup.kind, setup.data_only, to, acknowledged)

    def write(self) -> None:
        if self.place.master:
            wait_until("a line is acknowledged", self.writer.write, 30)
        self.earlier = None

    def deploy(self, place: Placement, setup: Setup) -> None:
        self.doing = f"getting ready for {setup}"
        self.app.send(master=place.master, slave=place.slave)
        outcome = self.app.outcome(ENDED)
        assert outcome["outcome"] == "committed", outcome
        self.check(place, self.doing)

    def check(self, place: Placement, when: str, *, keeps_copy: bool | None = False) -> None:
        """Everything is on every node as the placement says, nothing is held, the data is there."""
        self.place = place
        deadline = time.monotonic() + SETTLED
        while complaint := self.complaint(place, keeps_copy if place.master else None):
            if time.monotonic() > deadline:
                raise AssertionError(f"{when}: {complaint}")
            time.sleep(0.7)

    def complaint(self, place: Placement, keeps_copy: bool | None) -> str:
        record = self.app.record()
        if (record.get("master", ""), record.get("slave", "")) != (place.master, place.slave):
            return f"the record says {record}"
        if held := apps.kv(self.lab.node(THIRD), names.hold_key(self.app.app)):
            return f"still held: {held}"
        peer = self.lab.node(place.slave).address if place.slave else ""
        kept = apps.kept(self.lab.node(THIRD), self.app.app)
        for name in NODES:
            node, role, here = self.lab.node(name), place.role(name).value, kept.get(name, ())
            if wrong := state.complaint(node, self.app, role, peer, record=record, keeps_copy=keeps_copy, kept=here):
                return wrong
        return self.writer.complaint() if place.master else ""
