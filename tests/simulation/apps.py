"""The apps of a run: each in a repository of its own, with one volume."""

from __future__ import annotations

from dataclasses import dataclass

from handler.core import names

BRANCH = "main"


@dataclass(frozen=True)
class App:
    repo: str
    name: str
    project: str
    volume: str
    hold: str


def app(number: int) -> App:
    repo = f"git://git.example.com/hosting/shop{number}"
    name = names.app_name(repo, BRANCH)
    return App(repo, name, names.project_name(name), f"{names.project_name(name)}_data", names.hold_key(name))


APPS = tuple(app(number) for number in range(3))
