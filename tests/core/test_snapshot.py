"""Whatever happens while an app is frozen for a snapshot, it goes on afterwards. The ports are stubs: what counts is the order of calls."""

from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from handler import errors, snapshot

APP, CONTAINER = "hello_main.12345", "hellomain12345-web-1"


class Stub:
    """A journal, volumes, and a Docker with one container. ``then`` are called once each, at the moment that they are named for."""

    def __init__(self, **then: Callable[["Stub"], object]) -> None:
        self.then, self.entries, self.state = then, set[str](), "running"
        self.seconds = 0.0
        self.taken, self.aside, self.dropped = list[str](), list[str](), list[str]()
        here: Any = SimpleNamespace
        self.ports: Any = here(
            freezing=set(),
            clock=here(monotonic=lambda: self.seconds, sleep=self.sleep),
            deploys=here(path=lambda *_: "/deploy/x"),
            journal=here(done=lambda *_: frozenset(self.entries), mark=self.mark, erase=lambda *_: self.entries.clear()),
            volumes=here(
                exists=lambda _: True,
                sync=lambda: self.now("synced"),
                snapshot=self.shoot,
                put_aside=self.aside.extend,
                drop=self.dropped.append,
            ),
            compose=here(config=lambda _: {"services": {}}, running=self.running, pause=self.pause, unpause=self.unpause),
        )

    def sleep(self, seconds: float) -> None:
        self.seconds += seconds

    def now(self, moment: str) -> None:
        if moment in self.then:
            self.then.pop(moment)(self)

    def mark(self, _app: str, _event: str, entry: str) -> None:
        self.entries.add(entry)
        self.now("marked")

    def running(self, _project: str) -> tuple[str, ...]:
        return (CONTAINER,) if self.state == "running" else ()

    def pause(self, _containers: Sequence[str]) -> None:
        self.now("freezing")
        self.state = "paused"

    def unpause(self, _containers: Sequence[str]) -> None:
        self.state = "running" if self.state == "paused" else self.state

    def shoot(self, volumes: Sequence[str]) -> dict[str, str]:
        self.now("frozen")
        self.taken = [f"{volume}@2026-01-01T00:00:00" for volume in volumes]
        return dict(zip(volumes, self.taken, strict=True))

    def take(self, *volumes: str) -> snapshot.Point:
        return snapshot.take(self.ports, APP, "d1", volumes or ["data", "more"])

    def runs_on(self) -> bool:
        return self.state == "running" and not self.entries


def no_freezer(stub: Stub) -> None:
    """However often it is tried."""
    stub.then["freezing"] = no_freezer
    raise errors.Temporary("no freezer")


def once(_stub: Stub) -> None:
    raise errors.Temporary("an answer that got lost")


def ends(stub: Stub) -> None:
    stub.state = "exited"
    raise errors.Temporary(f"{CONTAINER} is not running")


def is_restarted(stub: Stub) -> None:
    """By Docker, as its restart policy says: it is not what was frozen."""
    stub.state = "running"


def cannot_be_asked(stub: Stub) -> None:
    def running(_project: str) -> tuple[str, ...]:
        raise errors.Temporary("Docker does not answer")

    stub.ports.compose.running = running


def gives_no_answer(stub: Stub) -> None:
    cannot_be_asked(stub)
    raise errors.Temporary("Docker does not answer")


@pytest.mark.parametrize("moment", ["marked", "frozen"])
def test_a_look_for_what_a_crash_left_frozen_does_not_disturb(moment: str) -> None:
    stub = Stub(**{moment: lambda stub: snapshot.recover(stub.ports, APP)})
    assert stub.take().snapshots
    assert stub.runs_on()


@pytest.mark.parametrize("moment", ["marked", "frozen"])
def test_a_second_one_waits_for_its_turn(moment: str) -> None:
    def second(stub: Stub) -> None:
        with pytest.raises(snapshot.Busy):
            stub.take()

    stub = Stub(**{moment: second})
    assert stub.take().snapshots
    assert stub.runs_on()
    assert stub.take().snapshots, "it is its turn now"


def test_several_volumes_of_what_cannot_be_frozen_are_not_snapshotted() -> None:
    """They would not be of one moment. What is not frozen at first is tried again."""
    stub = Stub(freezing=no_freezer)
    with pytest.raises(errors.Permanent, match="no freezer"):
        stub.take()
    assert not stub.taken
    assert stub.runs_on()
    assert Stub(freezing=once).take().snapshots


@pytest.mark.parametrize(("meanwhile", "why"), [(is_restarted, "was started meanwhile"), (cannot_be_asked, "does not answer")])
def test_several_volumes_of_what_is_started_meanwhile_are_no_point(meanwhile: Callable[[Stub], None], why: str) -> None:
    """Nor when that cannot be known. They are dropped when the app goes on, also when the disk is full."""
    stub = Stub(frozen=meanwhile)
    stub.ports.volumes.drop = lambda name: stub.dropped.append(name if stub.runs_on() else "while it was frozen")
    with pytest.raises(errors.Temporary, match=why):
        stub.take()
    assert stub.aside == stub.dropped == stub.taken != []

    def full(_names: object) -> None:
        raise OSError("no space left")

    stub = Stub(frozen=meanwhile)
    stub.ports.volumes.put_aside = full
    with pytest.raises(errors.Temporary, match=why):
        stub.take()
    assert stub.dropped == stub.taken != []


def test_what_was_frozen_goes_on_although_another_process_has_erased_the_journal() -> None:
    """As ``handler resume`` by hand does, while a migrate snapshots the app, whose lock it has not."""
    stub = Stub(marked=lambda stub: stub.entries.clear())
    assert stub.take().snapshots
    assert stub.runs_on()


def test_one_volume_of_what_cannot_be_frozen_is_snapshotted_all_the_same() -> None:
    assert Stub(freezing=no_freezer).take("data").snapshots
    assert Stub(frozen=is_restarted).take("data").snapshots


def test_a_container_that_ends_when_it_is_frozen_keeps_nothing_from_being_snapshotted() -> None:
    assert Stub(freezing=ends).take().snapshots


@pytest.mark.parametrize("volumes", [("data",), ("data", "more")])
def test_nothing_is_snapshotted_when_docker_gives_no_answer_at_all(volumes: tuple[str, ...]) -> None:
    stub = Stub(freezing=gives_no_answer)
    with pytest.raises(errors.Temporary):
        stub.take(*volumes)
    assert not stub.taken
    assert stub.runs_on()


def test_what_a_crash_left_frozen_goes_on() -> None:
    stub = Stub()
    stub.state = "paused"
    stub.entries.add(snapshot.PAUSED + CONTAINER)
    snapshot.recover(stub.ports, APP)
    assert stub.runs_on()


def test_what_is_in_memory_is_written_before_anything_is_frozen() -> None:
    """Else the app stands still until all that others on its node have written is on the disk."""
    seen: list[str] = []
    Stub(synced=lambda one: seen.append(one.state)).take()
    assert seen == ["running"]
