import pytest

from handler.adapters.git import Git
from handler.errors import Permanent, Temporary

pytestmark = pytest.mark.component


@pytest.mark.parametrize(("url", "branch", "error"), [("", "nowhere", Permanent), ("-not-there", "main", Permanent)])
def test_nothing_is_left_behind_when_it_fails(repository: str, tmp_path, url: str, branch: str, error: type) -> None:
    with pytest.raises(error, match=f"git cannot clone branch {branch}"):
        Git().fetch(repository.removesuffix(".git") + url + ".git", branch, str(tmp_path / "x" / "target"))
    assert not list((tmp_path / "x").glob("*")) if (tmp_path / "x").exists() else True


def test_a_server_that_does_not_answer_is_a_temporary_error(tmp_path) -> None:
    with pytest.raises(Temporary):
        Git().fetch("git://127.0.0.1:1/x", "main", str(tmp_path / "target"))


def test_other_transports_are_refused(tmp_path) -> None:
    with pytest.raises(Permanent):
        Git().fetch("ext::sh -c 'touch /tmp/never'", "main", str(tmp_path / "target"))
    with pytest.raises(Permanent):
        Git().fetch(f"file://{tmp_path}", "main", str(tmp_path / "target"))
