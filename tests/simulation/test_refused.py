"""What is refused is refused while the app serves: nothing of it is stopped, and the reason is in the history."""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
from memory_docker import Compose, split
from story import QUIET, Story

from handler.core import names

TWO = replace(QUIET, apps=(2,))
ENDLESS = 10**6
PAGE = "<p>" + "x" * 64000


class Two(Story):
    """Two apps; ``spoil`` changes what compose says of a deploy of the second one, from its second deploy on."""

    def __init__(self, patch: pytest.MonkeyPatch, spoil: Callable[[dict[str, Any]], None]) -> None:
        super().__init__(TWO)
        self.first, self.second = self.apps
        before = Compose.config

        def config(compose: Compose, directory: str) -> dict[str, Any]:
            app, deploy_id = split(directory)
            found = before(compose, directory)
            if app == self.second.name and deploy_id not in self.deploys[app][:1] and self.deploys[app]:
                spoil(found)
            return found

        patch.setattr(Compose, "config", config)
        self.tell(1.0, "deploy", self.first, master="n1", slave="n2")
        self.tell(60.0, "deploy", self.second, master="n1", slave="n2")

    def why(self) -> str:
        """The reason in the history of the second app's second event."""
        event = list(self.outcomes)[2]
        return str(json.loads(self.world.kv[names.history_key(self.second.name, event)].value)["why"])


def stopped(story: Story) -> list[str]:
    return [what for _, _, what in story.world.trace if what.startswith(("stop ", "transact maintenance/", "hold "))]


def four_sites(config: dict[str, Any]) -> None:
    web = config["services"].pop("web")
    for number in range(4):
        text = f"https://d{number}.example.com {{\n    proxy / http://$CONTAINER:80\n}}\n"
        config["services"][f"web{number}"] = {**web, "environment": {"CADDYFILE": text}}


def test_an_app_whose_record_consul_would_not_take_is_refused_before_anything_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    def spoil(config: dict[str, Any]) -> None:
        four_sites(config)
        for one in two.world.nodes.values():
            for (app, _), files in one.deploys.items():
                if app == two.second.name:
                    files["maintenance.html"] = PAGE

    two = Two(monkeypatch, spoil)
    two.tell(120.0, "deploy", two.second, master="n1", slave="n2")
    two.go()
    assert list(two.outcomes.values()) == ["committed", "committed", "aborted"]
    assert "caddyfile 251 KiB" in two.why()
    assert not stopped(two)


@pytest.mark.parametrize("program", ["clone", "pull"])
@pytest.mark.parametrize("place", [{"master": "n1", "slave": "n2"}, {"master": "n2", "slave": "n1"}])
def test_without_git_or_a_registry_nothing_is_stopped(program: str, place: dict[str, str]) -> None:
    story = Story()
    story.tell(1.0, "deploy", master="n1", slave="n2")
    story.later(story.world.now + 59.0, lambda: story.failing.update({program: ENDLESS}))
    story.tell(60.0, "deploy", **place)
    story.later(story.world.now + 200.0, story.failing.clear)
    story.go()
    assert list(story.outcomes.values()) == ["committed", "aborted"]
    assert not stopped(story)


@pytest.mark.parametrize("kind", ["rollback", "migrate"])
def test_what_needs_neither_git_nor_a_registry_does_not_ask_for_them(kind: str) -> None:
    story = Story(TWO)
    first, second = story.apps
    story.tell(1.0, "deploy", first, master="n1", slave="n2")
    story.tell(30.0, "deploy", second, master="n3", slave="n1")
    story.later(story.world.now + 150.0, lambda: story.failing.update(clone=ENDLESS, pull=ENDLESS))
    story.tell(180.0, kind, first, **{"rollback": {"to": story.clock(120.0)}, "migrate": {"target": {"repo": second.repo}}}[kind])
    story.later(story.world.now + 500.0, story.failing.clear)
    story.go()
    assert list(story.outcomes.values()) == ["committed"] * 3


def test_only_a_deploy_asks_for_newer_images(monkeypatch: pytest.MonkeyPatch) -> None:
    story, pull, asked = Story(replace(QUIET, copying=1.0)), Compose.pull, list[tuple[float, bool]]()

    def pulled(self: Compose, directory: str, services: Sequence[str], *, refresh: bool) -> None:
        asked.append((self.world.now, refresh))
        pull(self, directory, services, refresh=refresh)

    monkeypatch.setattr(Compose, "pull", pulled)
    story.tell(1.0, "deploy", master="n1", slave="n2")
    story.tell(120.0, "takeover", master="n2", force=True)
    takeover = story.world.now + 120.0
    story.go()
    assert list(story.outcomes.values()) == ["committed", "committed"]
    assert {refresh for when, refresh in asked if when < takeover} == {True}
    assert {refresh for when, refresh in asked if when > takeover} == {False}


def test_an_app_with_the_volume_of_another_is_refused_before_anything_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its compose file names the volume itself, be it by chance or copied from the other's."""
    two = Two(monkeypatch, lambda config: config["volumes"]["data"].update(name=two.first.volume))
    two.tell(120.0, "deploy", two.second, master="n1", slave="n2")
    two.go()
    assert list(two.outcomes.values()) == ["committed", "committed", "aborted"]
    assert f"volume/{two.first.volume} belongs to {two.first.name}" in two.why()
    assert not stopped(two)
    claims = {entry.key: json.loads(entry.value)["app"] for entry in two.world.tree("claim/volume/")}
    assert claims == {names.claim_key(f"volume/{one.volume}"): one.name for one in two.apps}


def test_a_volume_s_name_is_free_again_when_its_app_is_destroyed(monkeypatch: pytest.MonkeyPatch) -> None:
    two = Two(monkeypatch, lambda config: config["volumes"]["data"].update(name=two.first.volume))
    two.tell(120.0, "destroy", two.first)
    two.tell(180.0, "deploy", two.second, master="n1", slave="n2")
    two.go()
    assert list(two.outcomes.values()) == ["committed"] * 4
    owner = two.world.kv[names.claim_key(f"volume/{two.first.volume}")]
    assert json.loads(owner.value)["app"] == two.second.name


SHARED = "shared_files"


class GivenUp(Story):
    """The first app's second version has a volume less, with a name that the second app's version has as well."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        super().__init__(TWO)
        self.first, self.second = self.apps
        before, up = Compose.config, Compose.up

        def config(compose: Compose, directory: str) -> dict[str, Any]:
            found = before(compose, directory)
            if self.has_it(directory):
                found["volumes"]["shared"] = {"driver": "btrfs", "name": SHARED}
            return found

        def written(compose: Compose, directory: str, guard: Callable[[], None]) -> None:
            up(compose, directory, guard)
            if self.has_it(directory):
                compose.node.volumes.setdefault(SHARED, []).append(split(directory)[0])

        patch.setattr(Compose, "config", config)
        patch.setattr(Compose, "up", written)

    def has_it(self, directory: str) -> bool:
        app, deploy_id = split(directory)
        return app == self.second.name or deploy_id in (self.deploys[app] or [deploy_id])[:1]

    def live(self) -> dict[str, set[str]]:
        """Where the volume is, and who has written into it."""
        return {node.name: set(node.volumes[SHARED]) for node in self.world.nodes.values() if SHARED in node.volumes}


def test_a_volume_that_an_app_gave_up_goes_with_it_and_is_no_other_app_s(monkeypatch: pytest.MonkeyPatch) -> None:
    run = GivenUp(monkeypatch)
    run.tell(1.0, "deploy", run.first, master="n1")
    run.tell(60.0, "deploy", run.first, master="n1")
    run.tell(120.0, "deploy", run.first, master="n2")
    run.tell(260.0, "deploy", run.second, master="n1")
    run.go()
    assert list(run.outcomes.values()) == ["committed", "committed", "committed", "aborted"]
    assert run.live() == {"n2": {run.first.name}}


def test_a_volume_that_an_app_gave_up_goes_away_when_it_is_destroyed_and_its_name_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    run = GivenUp(monkeypatch)
    run.tell(1.0, "deploy", run.first, master="n1")
    run.tell(60.0, "deploy", run.first, master="n1")
    run.tell(120.0, "destroy", run.first)
    run.tell(260.0, "deploy", run.second, master="n1")
    run.go()
    assert list(run.outcomes.values()) == ["committed"] * 4
    assert run.live() == {"n1": {run.second.name}}
