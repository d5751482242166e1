"""Volumes that only some versions of an app have: a failed version's own go with it, and others get back what they had."""

from typing import Any

import pytest
from memory_buttervolume import Volumes
from memory_docker import BOOTED, Compose, split
from story import Story

DEPLOY = {"master": "n2", "slave": "n3"}


class Versions(Story):
    """``having`` says for each deploy, in their order, whether it has the volume ``more``; each writes its id into it when it starts."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *having: bool) -> None:
        super().__init__()
        self.having, self.fetched = having, list[str]()
        self.node, self.project = self.world.nodes["n2"], self.apps[0].project
        self.volume = f"{self.project}_more"
        config, up, remove = Compose.config, Compose.up, Volumes.remove

        def with_more(port: Compose, directory: str) -> dict[str, Any]:
            found = config(port, directory)
            if self.has_more(directory):
                found["volumes"]["more"] = {"driver": "btrfs", "name": self.volume}
            return found

        def writing_more(port: Compose, directory: str, guard: Any) -> None:
            up(port, directory, guard)
            if self.has_more(directory):
                port.node.volumes.setdefault(self.volume, []).append(BOOTED + split(directory)[1])

        def removing(port: Volumes, volume: str) -> None:
            remove(port, volume)
            port.node.volumes.pop(volume, None)

        monkeypatch.setattr(Compose, "config", with_more)
        monkeypatch.setattr(Compose, "up", writing_more)
        monkeypatch.setattr(Volumes, "remove", removing)
        for number in range(len(having)):
            self.tell(1.0 + 60.0 * number, "deploy", **DEPLOY)

    def has_more(self, directory: str) -> bool:
        deploy_id = split(directory)[1]
        if deploy_id not in self.fetched:
            self.fetched.append(deploy_id)
        return self.having[self.fetched.index(deploy_id)]

    def fails(self, number: int) -> None:
        """The so-manieth version never becomes healthy."""
        self.when("n2", "before begun wait until deploy", number, lambda _: self.world.sick.add(self.fetched[number - 1]))

    def more(self) -> list[int]:
        """Which versions have written into the volume, by their numbers."""
        return [self.fetched.index(word.removeprefix(BOOTED)) + 1 for word in self.node.volumes.get(self.volume, [])]

    def results(self) -> list[str]:
        return [outcome[0] for outcome in self.outcomes.values()]


def test_a_volume_that_a_failed_version_brought_is_not_there_for_the_next_one(monkeypatch: pytest.MonkeyPatch) -> None:
    told = Versions(monkeypatch, False, True, True)
    told.fails(2)
    told.go()
    assert (told.results(), told.more()) == (["c", "a", "c"], [3])


def test_it_goes_although_the_old_version_does_not_start_again(monkeypatch: pytest.MonkeyPatch) -> None:
    told = Versions(monkeypatch, False, True, True)
    told.fails(2)
    told.when("n2", "aborted begun start the containers", 1, lambda _: told.failing.update(up=1000))
    told.when("n2", "before begun fetch the code", 3, lambda _: told.failing.clear())
    told.go()
    assert (told.results(), told.more()) == (["c", "a", "c"], [3])


def test_a_volume_that_was_given_up_and_is_there_again_gets_back_what_it_had_when_that_version_fails(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told = Versions(monkeypatch, True, False, True, True)
    told.fails(3)
    told.go()
    assert (told.results(), told.more()) == (["c", "c", "a", "c"], [1, 4])


def test_a_volume_that_both_versions_have_is_never_removed(monkeypatch: pytest.MonkeyPatch) -> None:
    told = Versions(monkeypatch, True, True, True)
    told.fails(2)
    told.go()
    assert (told.results(), told.more()) == (["c", "a", "c"], [1, 1, 3])  # the first was started twice
