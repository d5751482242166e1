"""What ``docker compose`` is asked for; what it does is in the contract tests, on the lab's nodes."""

from types import SimpleNamespace

import pytest

from handler.adapters import compose
from handler.adapters.compose import DockerCompose

SERVICES = {"web": {"image": "a", "pull_policy": "always"}, "db": {"image": "b"}, "new": {"image": "c"}}


@pytest.mark.parametrize(("refresh", "pulled"), [(False, ["new"]), (True, ["new", "web"])])
def test_what_is_here_is_pulled_again_only_where_the_file_wants_it_and_a_deploy_asks(
    monkeypatch: pytest.MonkeyPatch, refresh: bool, pulled: list[str]
) -> None:
    said = list[tuple[str, ...]]()
    monkeypatch.setattr(DockerCompose, "config", lambda _self, _directory: {"services": SERVICES})
    monkeypatch.setattr(compose, "_compose", lambda *words, **_: said.append(words))
    one = DockerCompose(SimpleNamespace(missing_images=lambda _images: ["c"]))  # type: ignore[arg-type]
    one.pull("/deploy/app", list(SERVICES), refresh=refresh)
    assert said == [("pull", "--quiet", *pulled)]
