"""Whatever happens while an app is frozen for a snapshot, it goes on afterwards. The ports are stubs: what counts is the order of calls."""

from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from handler import snapshot

APP, CONTAINER = "hello_main.12345", "hellomain12345-web-1"


class Stub:
    """A journal and a Docker with one container. ``then`` are called once each, at the moment that they are named for."""

    def __init__(self, **then: Callable[["Stub"], object]) -> None:
        self.then, self.entries, self.frozen = then, set[str](), set[str]()
        here: Any = SimpleNamespace
        self.ports: Any = here(
            freezing=set(),
            clock=here(monotonic=lambda: 0.0, sleep=lambda _: None),
            deploys=here(path=lambda *_: "/deploy/x"),
            journal=here(done=lambda *_: frozenset(self.entries), mark=self.mark, erase=lambda *_: self.entries.clear()),
            volumes=here(exists=lambda _: True, snapshot=self.shoot),
            compose=here(
                config=lambda _: {"services": {}},
                containers=lambda _: [SimpleNamespace(name=CONTAINER, state="paused" if CONTAINER in self.frozen else "running")],
                pause=self.frozen.update,
                unpause=self.frozen.difference_update,
            ),
        )

    def now(self, moment: str) -> None:
        if moment in self.then:
            self.then.pop(moment)(self)

    def mark(self, _app: str, _event: str, entry: str) -> None:
        self.entries.add(entry)
        self.now("marked")

    def shoot(self, volumes: Sequence[str]) -> dict[str, str]:
        self.now("frozen")
        assert CONTAINER in self.frozen, "it writes while its volumes are snapshotted"
        return {volume: f"{volume}@2026-01-01T00:00:00" for volume in volumes}

    def take(self) -> snapshot.Point:
        return snapshot.take(self.ports, APP, "d1", ["data"])


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


def test_what_a_crash_left_frozen_goes_on() -> None:
    stub = Stub()
    stub.frozen.add(CONTAINER)
    stub.entries.add(snapshot.PAUSED + CONTAINER)
    snapshot.recover(stub.ports, APP)
    assert not stub.frozen
    assert not stub.entries
