import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handler.core import names


@pytest.mark.parametrize(
    "url",
    [
        "https://gitlab.example.com/hosting/foobar",
        "https://GitLab.example.com/Hosting/FooBar.git",
        "ssh://git@gitlab.example.com/hosting/foobar",
        "git@gitlab.example.com:hosting/foobar.git",
        "https://user:secret@gitlab.example.com:8443/hosting/foobar/",
    ],
)
def test_every_spelling_of_a_repository_is_the_same_app(url: str) -> None:
    assert names.app_name(url, "master") == "foobar_master.ddb14"


def test_apps_of_equal_basename_differ_by_their_path() -> None:
    assert names.app_name("https://x/a/foo", "master") != names.app_name("https://x/b/foo", "master")


@given(st.text(min_size=1, max_size=40), st.text(min_size=1, max_size=40))
def test_an_app_s_name_is_always_usable_as_key_and_file(path: str, branch: str) -> None:
    name = names.app_name(f"https://host/{path}", branch)
    assert set(name) <= set(string.ascii_letters + string.digits + "._-")
    assert ".." not in name or ".." in path + branch


def test_branches_that_look_alike_are_different_apps() -> None:
    assert len({names.app_name("https://x/a", branch) for branch in ("f/x", "f-x", "F-x")}) == 3


def test_project_is_what_compose_accepts() -> None:
    assert names.project_name("foo-bar_feature-x.1a2b3") == "foobarfeaturex1a2b3"
    assert names.container_name("foo_main.1a2b3", "web") == "foomain1a2b3-web-1"
    assert names.image_tag("foo_main.1a2b3", "Web", "20260101-1") == "cluster/foomain1a2b3-web:20260101-1"


def test_the_key_of_a_volume_is_what_the_compose_file_calls_it() -> None:
    app = "shop_main.12345"
    project = names.project_name(app)
    assert names.volume_key(app, f"{project}_my_data") == "my_data"
    assert names.volume_key(app, "uploads_data") == "", "it has a name of its own"
