from dataclasses import replace

from builders import operation

from handler.core import history


def test_the_history_has_no_password() -> None:
    op = operation()
    op = replace(op, event=replace(op.event, repo="https://oauth2:secret@git.example.com/x"))
    assert history.entry(op, "a", {}, None, [], "")["repo"] == "https://***@git.example.com/x"
