"""``Journal``, ``Deploys`` and ``Code``: in memory, and on a disk with a real git."""

import pytest
from sides import CheckoutSide

from handler.errors import Permanent
from handler.ports import Journal

APP = "a_main.12345"


def test_the_journal_has_what_was_marked(journal: Journal) -> None:
    assert journal.events(APP) == ()
    assert journal.done(APP, "e1") == frozenset()
    journal.mark(APP, "e1", "before begun stop, and go on")
    journal.mark(APP, "e1", "before begun stop, and go on")
    journal.mark(APP, "e1", "before done stop")
    journal.mark(APP, "e2", "x")
    assert journal.done(APP, "e1") == {"before begun stop, and go on", "before done stop"}
    assert journal.done("b_main.12345", "e1") == frozenset()
    assert journal.events(APP) == ("e1", "e2")


def test_journals_are_forgotten_but_those_to_keep(journal: Journal) -> None:
    journal.forget(APP, ["none"])
    for app, event in ((APP, "e1"), (APP, "e2"), ("b_main.12345", "e1")):
        journal.mark(app, event, "x")
    journal.forget(APP, ["e2", "not here"])
    assert journal.done(APP, "e1") == frozenset()
    assert journal.done(APP, "e2") == {"x"}
    assert journal.done("b_main.12345", "e1") == {"x"}


def test_one_journal_is_erased_and_may_be_begun_anew(journal: Journal) -> None:
    journal.erase(APP, "e1")
    for app, event in ((APP, "e1"), (APP, "e2"), ("b_main.12345", "e1")):
        journal.mark(app, event, "x")
    for _ in range(2):
        journal.erase(APP, "e1")
        assert journal.done(APP, "e1") == frozenset()
    assert journal.done(APP, "e2") == {"x"}
    assert journal.done("b_main.12345", "e1") == {"x"}
    journal.mark(APP, "e1", "y")
    assert journal.done(APP, "e1") == {"y"}


def test_a_branch_is_cloned_and_its_commit_returned(checkout: CheckoutSide) -> None:
    commit = checkout.fetch(APP, "20260101120000-ab12")
    assert len(commit) == 40
    assert checkout.deploys.list(APP) == ("20260101120000-ab12",)
    assert checkout.deploys.read(APP, "20260101120000-ab12", "docker-compose.yml") == "services"


def test_nothing_is_left_of_a_clone_that_failed(checkout: CheckoutSide) -> None:
    branch = checkout.break_it()
    with pytest.raises(Permanent):
        checkout.code.fetch(checkout.repo, branch, checkout.deploys.path(APP, "20260101120000-ab12"))
    assert checkout.deploys.list(APP) == ()


def test_files_are_written_and_read(checkout: CheckoutSide) -> None:
    deploys = checkout.deploys
    checkout.fetch(APP, "20260101120000-ab12")
    deploys.write(APP, "20260101120000-ab12", ".env", "one")
    deploys.write(APP, "20260101120000-ab12", ".env", "two\n")
    assert deploys.read(APP, "20260101120000-ab12", ".env") == "two\n"
    assert deploys.read(APP, "20260101120000-ab12", "none") is None
    assert deploys.read(APP, "20250101120000-cd34", ".env") is None


def test_nothing_is_written_where_there_is_no_checkout(checkout: CheckoutSide) -> None:
    with pytest.raises(FileNotFoundError):
        checkout.deploys.write(APP, "20260101120000-ab12", ".env", "one")
    assert checkout.deploys.list(APP) == ()


def test_deploys_are_listed_by_age_and_removed(checkout: CheckoutSide) -> None:
    deploys = checkout.deploys
    for deploy_id in ("20260202120000-aa11", "20260101120000-ab12"):
        checkout.fetch(APP, deploy_id)
    assert deploys.list(APP) == ("20260101120000-ab12", "20260202120000-aa11")
    assert deploys.list("a_main.1234") == ()
    deploys.remove(APP, "20260101120000-ab12")
    deploys.remove(APP, "20260101120000-ab12")
    assert deploys.list(APP) == ("20260202120000-aa11",)


def test_the_owner_token(checkout: CheckoutSide) -> None:
    deploys = checkout.deploys
    assert deploys.owned(APP) is None
    deploys.own(APP, "20260101120000-ab12")
    deploys.own(APP, "20260202120000-aa11 starting")
    assert deploys.owned(APP) == "20260202120000-aa11 starting"
    assert deploys.owned("b_main.12345") is None
    deploys.disown(APP)
    deploys.disown(APP)
    assert deploys.owned(APP) is None


def test_a_script_that_is_not_there_is_refused(checkout: CheckoutSide) -> None:
    checkout.fetch(APP, "20260101120000-ab12")
    with pytest.raises(Permanent):
        checkout.deploys.run(APP, "20260101120000-ab12", "nothing.sh", 5, lambda: None)
