"""Whatever happens while an app is frozen for a snapshot, it goes on afterwards. The ports are stubs: what counts is the order of calls."""

from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from handler import errors, snapshot

APP, CONTAINER = "hello_main.12345", "hellomain12345-web-1"


class Stub:
    """A journal and a Docker with one container. ``then`` are called once each, at the moment that they are named for."""

    def __init__(self, **then: Callable[["Stub"], object]) -> None:
        self.then, self.entries, self.frozen, self.ended = then, set[str](), set[str](), False
        here: Any = SimpleNamespace
        self.ports: Any = here(
            freezing=set(),
            clock=here(monotonic=lambda: 0.0, sleep=lambda _: None),
            deploys=here(path=lambda *_: "/deploy/x"),
            journal=here(done=lambda *_: frozenset(self.entries), mark=self.mark, erase=lambda *_: self.entries.clear()),
            volumes=here(exists=lambda _: True, snapshot=self.shoot),
            compose=here(
                config=lambda _: {"services": {}},
                containers=self.containers,
                pause=self.freeze,
                unpause=self.frozen.difference_update,
            ),
        )

    def containers(self, _project: str) -> list[Any]:
        self.now("looked" if "looked" in self.then else "looked again")
        return [SimpleNamespace(name=CONTAINER, state=self.state())]

    def state(self) -> str:
        return "exited" if self.ended else "paused" if CONTAINER in self.frozen else "running"

    def freeze(self, containers: Sequence[str]) -> None:
        self.now("freezing")
        self.frozen.update(containers)

    def now(self, moment: str) -> None:
        if moment in self.then:
            self.then.pop(moment)(self)

    def mark(self, _app: str, _event: str, entry: str) -> None:
        self.entries.add(entry)
        self.now("marked")

    def shoot(self, volumes: Sequence[str]) -> dict[str, str]:
        self.now("frozen")
        assert self.state() != "running" or len(volumes) == 1, "it writes while its volumes are snapshotted"
        return {volume: f"{volume}@2026-01-01T00:00:00" for volume in volumes}

    def take(self, *volumes: str) -> snapshot.Point:
        return snapshot.take(self.ports, APP, "d1", volumes or ["data", "more"])

    def end(self) -> None:
        self.ended = True
        self.refuse(errors.Temporary(f"{CONTAINER} is not running"))

    def refuse(self, error: errors.ClusterError) -> None:
        raise error


@pytest.mark.parametrize("moment", ["marked", "frozen"])
def test_a_look_for_what_a_crash_left_frozen_does_not_disturb(moment: str) -> None:
    stub = Stub(**{moment: lambda stub: snapshot.recover(stub.ports, APP)})
    assert stub.take().snapshots
    assert not stub.frozen
    assert not stub.entries


@pytest.mark.parametrize("moment", ["marked", "frozen"])
def test_a_second_one_waits_for_its_turn(moment: str) -> None:
    def second(stub: Stub) -> None:
        with pytest.raises(snapshot.Busy):
            stub.take()

    stub = Stub(**{moment: second})
    assert stub.take().snapshots
    assert not stub.frozen
    assert stub.take().snapshots, "it is its turn now"


def test_several_volumes_of_what_cannot_be_frozen_are_not_snapshotted() -> None:
    """They would not be of one moment."""
    stub = Stub(freezing=lambda stub: stub.refuse(errors.Temporary("no freezer")), frozen=lambda _: pytest.fail("it was snapshotted"))
    with pytest.raises(errors.Permanent, match="no freezer"):
        stub.take()
    assert not stub.entries


def test_one_volume_of_what_cannot_be_frozen_is_snapshotted_all_the_same() -> None:
    stub = Stub(freezing=lambda stub: stub.refuse(errors.Temporary("no freezer")))
    assert stub.take("data").snapshots


def test_nothing_is_snapshotted_when_docker_gives_no_answer_at_all() -> None:
    silent = errors.Temporary("Docker does not answer")
    stub = Stub(freezing=lambda stub: stub.refuse(silent), frozen=lambda _: pytest.fail("it was snapshotted"))
    stub.then["looked"] = lambda _: None
    stub.then["looked again"] = lambda stub: stub.refuse(silent)
    with pytest.raises(errors.Temporary):
        stub.take("data")
    assert not stub.entries


def test_a_container_that_ends_when_it_is_frozen_keeps_nothing_from_being_snapshotted() -> None:
    assert Stub(freezing=Stub.end).take().snapshots


def test_what_a_crash_left_frozen_goes_on() -> None:
    stub = Stub()
    stub.frozen.add(CONTAINER)
    stub.entries.add(snapshot.PAUSED + CONTAINER)
    snapshot.recover(stub.ports, APP)
    assert not stub.frozen
    assert not stub.entries
