"""The adapter where there is no daemon; all else is in the contract tests, on the lab's nodes."""

from pathlib import Path
from types import SimpleNamespace

import docker.errors
import pytest
import requests

from handler.adapters.buttervolume import Buttervolume
from handler.adapters.docker import Docker
from handler.errors import Temporary


def test_what_docker_cannot_be_asked_for_now_is_asked_again_later(tmp_path: Path) -> None:
    """Images of a failed deploy would stay for good: nobody comes back to them."""
    nobody = Docker(f"unix://{tmp_path}/docker.sock")
    for call in (lambda: nobody.remove_images("cluster/", ()), lambda: nobody.containers("some"), lambda: nobody.stop("some", 1)):
        with pytest.raises(Temporary):
            call()


@pytest.mark.parametrize("status", [404, 409, 500])
def test_an_image_that_cannot_be_removed_keeps_neither_others_nor_the_app_from_anything(status: int) -> None:
    """An operation would never be complete."""
    answer, removed = requests.Response(), list[str]()
    answer.status_code = status

    class Images:
        def images(self) -> list[dict[str, list[str]]]:
            return [
                {"RepoTags": ["cluster/app-web:bad", "cluster/app-web:kept", "cluster/app-web:old", "other/app-web:old"]},
                {"RepoTags": []},
            ]

        def remove(self, tag: str) -> None:
            if tag.endswith("bad"):
                raise docker.errors.APIError("no", response=answer)
            removed.append(tag)

    class Client:
        api = images = Images()

    one = Docker("unix:///nowhere")
    one.__dict__["_client"] = Client()
    one.remove_images("cluster/app-", ["kept"])
    assert removed == ["cluster/app-web:old"]


def test_a_container_that_ends_by_itself_keeps_no_other_from_being_stopped() -> None:
    """As a person's ``docker compose run --rm``: the move would be aborted."""
    stopped: list[str] = []

    class Running:
        status = "running"

        def __init__(self, name: str) -> None:
            self.name = name

        def stop(self, timeout: int) -> None:
            if self.name == "gone":
                answer = requests.Response()
                answer.status_code = 404
                raise docker.errors.NotFound("No such container", response=answer)
            stopped.append(f"{self.name} in {timeout} s")

    one = Docker("unix:///nowhere")
    one.__dict__["_client"] = SimpleNamespace(containers=SimpleNamespace(list=lambda **_: [Running("gone"), Running("web")]))
    one.stop("app", 10)
    assert stopped == ["web in 10 s"]


def test_only_a_volume_of_our_own_driver_is_used_and_removed(tmp_path: Path) -> None:
    """Docker has a name once, whatever the driver; to that of a plugin it adds the tag."""
    removed: list[str] = []
    drivers = {"of_another": "local", "ours": "plain:latest", "of_an_alias": "alias:1", "of_another_version": "alias:2"}

    def volume(name: str) -> SimpleNamespace:
        if name not in drivers:
            raise docker.errors.NotFound("no such volume")
        return SimpleNamespace(attrs={"Driver": drivers[name]}, remove=lambda: removed.append(name))

    one = Docker("unix:///nowhere")
    one.__dict__["_client"] = SimpleNamespace(volumes=SimpleNamespace(get=volume))
    plugin = Buttervolume(one, ("plain", "alias:1"), tmp_path, tmp_path, str)
    found = {name: plugin.unfit(name) for name in (*drivers, "unknown")}
    assert [name for name, why in found.items() if "compose would use it" in why] == ["of_another", "of_another_version"]
    assert {why for why in found.values() if "compose" not in why} == {""}
    for name in (*drivers, "unknown"):
        plugin.remove(name)
    assert removed == ["ours", "of_an_alias"]


class Silent:
    """A container whose logging driver gives nothing."""

    name, status = "app-web-1", "running"

    def __init__(self) -> None:
        self.removed = False

    def logs(self, tail: int) -> bytes:
        raise refused(501, f"configured logging driver does not support reading {tail} lines")

    def remove(self, *, force: bool) -> None:
        self.removed = force


class Connected:
    """A network that another container is on."""

    name = "app_default"

    def remove(self) -> None:
        raise refused(403, "network app_default has active endpoints")


def refused(status: int, why: str) -> docker.errors.APIError:
    answer = requests.Response()
    answer.status_code = status
    return docker.errors.APIError(why, response=answer, explanation=why)


def test_neither_logs_that_cannot_be_read_nor_a_network_in_use_keep_a_trial_running() -> None:
    container = Silent()
    client = SimpleNamespace(
        containers=SimpleNamespace(list=lambda **_: [container]), networks=SimpleNamespace(list=lambda **_: [Connected()])
    )
    one = Docker("unix:///nowhere")
    one.__dict__["_client"] = client
    assert "does not support reading" in one.logs("app", 20)
    one.remove("app")
    assert container.removed
