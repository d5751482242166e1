import os

import pytest

from handler.adapters.files import DeployDirectories, FileJournal
from handler.errors import CommandFailed, Permanent


@pytest.fixture
def deploys(tmp_path) -> DeployDirectories:
    made = DeployDirectories(tmp_path / "deploy", tmp_path / "own")
    os.makedirs(made.path("a_main.1", "d1"))
    return made


def test_files_stay_in_their_directory(deploys: DeployDirectories, tmp_path) -> None:
    (tmp_path / "secret").write_text("s")
    deploys.write("a_main.1", "d1", "f", "text")
    assert deploys.read("a_main.1", "d1", "f") == "text"
    assert deploys.read("a_main.1", "d1", "none") is None
    os.symlink(tmp_path / "secret", tmp_path / "deploy" / "a_main.1-d1" / "link")
    with pytest.raises(Permanent, match="points out"):
        deploys.read("a_main.1", "d1", "link")


@pytest.mark.parametrize("name", ["../x", "-x", "a/b", "", ".."])
def test_names_that_leave_the_folder_are_refused(deploys: DeployDirectories, name: str) -> None:
    with pytest.raises(Permanent):
        deploys.path(name, "d")
    with pytest.raises(Permanent):
        deploys.own(name, "d")


def test_scripts_run_in_their_directory_and_fail_with_their_words(deploys: DeployDirectories) -> None:
    script = os.path.join(deploys.path("a_main.1", "d1"), "update.sh")
    with open(script, "w") as file:
        file.write("#!/bin/sh\npwd > where; echo $* >> where; echo broken >&2; exit 3\n")
    for mode in (0o644, 0o755):  # the seed ran scripts that were not executable, too
        os.chmod(script, mode)
        with pytest.raises(CommandFailed, match="broken"):
            deploys.run("a_main.1", "d1", ("update.sh", "-r", "git://x/a b", "-b", "$HOME"), 5, lambda: None)
        where, words = deploys.read("a_main.1", "d1", "where").splitlines()
        assert where.endswith("a_main.1-d1")
        assert words == "-r git://x/a b -b $HOME"


def test_a_torn_line_of_the_journal_does_not_count(tmp_path) -> None:
    journal = FileJournal(tmp_path)
    journal.mark("a", "e1", "before done stop")
    with (tmp_path / "a" / "e1").open("a") as file:
        file.write("before done sta")
    assert journal.done("a", "e1") == {"before done stop"}


def test_an_entry_after_a_torn_one_stands_alone(tmp_path) -> None:
    journal = FileJournal(tmp_path)
    journal.mark("a", "e1", "before done stop")
    with (tmp_path / "a" / "e1").open("a") as file:
        file.write("absent volume x_data")  # of "absent volume x_database"
    journal.mark("a", "e1", "before begun commit")
    journal.mark("a", "e1", "before done commit")
    assert journal.done("a", "e1") == {"before done stop", "before begun commit", "before done commit"}


def test_a_journal_that_begins_with_a_torn_entry_goes_on(tmp_path) -> None:
    journal = FileJournal(tmp_path)
    journal.mark("a", "e1", "x")
    (tmp_path / "a" / "e1").write_text("before beg")
    journal.mark("a", "e1", "before begun stop")
    assert journal.done("a", "e1") == {"before begun stop"}
