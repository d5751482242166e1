"""From what ``consul watch`` hands over to valid events. Pure; used by :mod:`handler.receive` and :mod:`handler.intake`.

Consul gives a JSON list (possibly empty or null) of objects whose ``Payload`` is base64 or null. One bad event never hides the
others: each becomes a :class:`Message`, and each message either an event or an :class:`EventError`.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Any

from handler.core import names, points
from handler.core.model import Event, Kind

MAX_PAYLOAD = 300
"""Bytes; what Consul accepts since 1.22."""

_BRANCH = re.compile(r"^[A-Za-z0-9_][A-Za-z0-9._/+-]{0,99}$")
_NODE = re.compile(r"^[A-Za-z0-9][A-Za-z0-9.-]{0,62}$")
_DEPLOY_ID = re.compile(r"^\d{14}-[A-Za-z0-9-]{1,8}$")
_EVENT_ID = re.compile(r"^[A-Za-z0-9-]{1,64}$")
_URL = re.compile(r"^(https|http|ssh|git)://[A-Za-z0-9][^\s\x00-\x1f]*/[^\s\x00-\x1f]+$")
_SCP = re.compile(r"^([A-Za-z0-9._][A-Za-z0-9._-]*@)?[A-Za-z0-9][A-Za-z0-9.-]*:[A-Za-z0-9._~][^\s\x00-\x1f]*$")


class EventError(ValueError):
    """The event is refused; the message says why, for the person who sent it."""


@dataclass(frozen=True)
class Message:
    """One event as Consul delivered it; ``payload`` is text, or empty when there was none."""

    id: str
    name: str
    payload: str


@dataclass(frozen=True)
class _Rule:
    """Which keys the payload of a kind of event must and may have."""

    required: frozenset[str]
    optional: frozenset[str]


_APP = frozenset({"repo", "branch"})
RULES = {
    Kind.DEPLOY: _Rule(_APP | {"master"}, frozenset({"slave", "update"})),
    Kind.DESTROY: _Rule(_APP, frozenset()),
    Kind.ROLLBACK: _Rule(_APP | {"to"}, frozenset()),
    Kind.TAKEOVER: _Rule(_APP | {"master"}, frozenset({"force"})),
    Kind.MIGRATE: _Rule(_APP | {"target"}, frozenset({"update"})),
}


def messages(text: str) -> tuple[Message, ...]:
    """The messages in what ``consul watch`` wrote to our stdin; those of other programs' events are left out.

    Raises :class:`EventError` when the text itself is not what Consul writes.
    """
    try:
        listed = json.loads(text or "null")
    except ValueError as error:
        raise EventError(f"consul watch did not hand over JSON: {error}") from error
    if not isinstance(listed, list | None):
        raise EventError("consul watch did not hand over a list of events")
    return tuple(_message(item) for item in listed or () if _ours(item))


def _ours(item: object) -> bool:
    return isinstance(item, dict) and item.get("Name") in set(Kind) and bool(_EVENT_ID.match(str(item.get("ID", ""))))


def _message(item: dict[str, Any]) -> Message:
    try:
        payload = base64.b64decode(item.get("Payload") or "", validate=True).decode()
    except (binascii.Error, UnicodeDecodeError, TypeError):
        payload = "\N{REPLACEMENT CHARACTER}"  # refused below as not being JSON, with its id known
    return Message(id=item["ID"], name=item["Name"], payload=payload)


def parse(message: Message) -> Event:
    """The event in a message; raises :class:`EventError` naming what is wrong with it, and nothing else."""
    if message.name not in set(Kind):
        raise EventError(f"{message.name!r} is no kind of event: {', '.join(Kind)}")
    kind = Kind(message.name)
    values = _payload(kind, message.payload)
    repo, branch = check_repo(_text(values, "repo")), check_branch(_text(values, "branch"))
    event = Event(
        id=message.id,
        kind=kind,
        app=_app(repo, branch),
        repo=repo,
        branch=branch,
        master=_node(values, "master"),
        slave=_node(values, "slave"),
        update=_flag(values, "update", default=kind is Kind.MIGRATE),
        to=_to(_text(values, "to")),
        force=_flag(values, "force"),
    )
    if "master" in RULES[kind].required and not event.master:
        raise EventError("master is empty: say on which node the app shall live")
    if kind is Kind.ROLLBACK and not event.to:
        raise EventError("to is empty: say to which deploy id or time")
    if event.master and event.master == event.slave:
        raise EventError(f"master and slave are both {event.master}: a copy on the same node protects nothing")
    return _into_target(event, values["target"]) if kind is Kind.MIGRATE else event


def _into_target(event: Event, target: object) -> Event:
    """The event from the view of the app that gets the data; what ``target`` does not say is as in the app that gives it."""
    if not isinstance(target, dict) or not target or target.keys() - _APP:
        raise EventError("target must be an object with repo, branch or both: the app that gets the data")
    repo = check_repo(_text(target, "repo")) if "repo" in target else event.repo
    branch = check_branch(_text(target, "branch")) if "branch" in target else event.branch
    app = _app(repo, branch)
    if app == event.app:
        raise EventError(f"target is {app} itself: an app's own data comes back by rollback")
    return replace(event, app=app, repo=repo, branch=branch, origin_repo=event.repo, origin_branch=event.branch)


def _app(repo: str, branch: str) -> str:
    app = names.app_name(repo, branch)
    if not names.is_file_name(app):
        raise EventError(f"{app} would be the app's name, which cannot be a folder's: rename the repository")
    return app


def _payload(kind: Kind, text: str) -> dict[str, Any]:
    if not text.strip():
        raise EventError("the payload is empty")
    size = _bytes(text)
    if size > MAX_PAYLOAD:
        raise EventError(f"the payload has {size} bytes; {MAX_PAYLOAD} at most")
    try:
        values = json.loads(text)
    except ValueError as error:
        raise EventError(f"the payload is not JSON: {error}") from error
    _bytes(json.dumps(values, ensure_ascii=False))  # an escape in JSON can stand for what no text has
    if not isinstance(values, dict):
        raise EventError("the payload must be a JSON object")
    rule = RULES[kind]
    unknown = sorted(values.keys() - rule.required - rule.optional)
    missing = sorted(rule.required - values.keys())
    if unknown:
        raise EventError(f"unknown key {', '.join(unknown)} in a {kind} event")
    if missing:
        raise EventError(f"{kind} needs {', '.join(missing)}")
    return values


def _bytes(text: str) -> int:
    """Length of the text in UTF-8, in which it has to be written: to Consul, to files, as an argument of a program."""
    try:
        return len(text.encode())
    except UnicodeEncodeError as error:
        raise EventError("the payload has half of a surrogate pair in it, which is no character") from error


def _text(values: dict[str, Any], key: str) -> str:
    value = values.get(key)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise EventError(f"{key} must be a string")
    return value.strip()


def _node(values: dict[str, Any], key: str) -> str:
    node = _text(values, key)
    if node and not _NODE.match(node):
        raise EventError(f"{key} {node!r} is not the name of a node")
    return node


def _flag(values: dict[str, Any], key: str, *, default: bool = False) -> bool:
    value = values.get(key)
    if value is None:
        return default
    if not isinstance(value, bool):
        raise EventError(f"{key} must be true or false")
    return value


def _to(text: str) -> str:
    """A deploy id, or a time in UTC, also in the form in which ``cluster status`` shows it."""
    text = text.removesuffix(" UTC").removesuffix("Z").replace(" ", "T")
    if text and not points.is_time(text) and not _DEPLOY_ID.match(text):
        raise EventError(f"to {text!r} is neither a deploy id (20261125093000-1a2b) nor a time (2026-11-25T09:30)")
    return text


def check_branch(branch: str) -> str:
    """The branch, when git could take it for nothing else (an option, a path upwards); else :class:`EventError`."""
    if not branch:
        raise EventError("branch is empty")
    refused = ("..", "//", "@{", ".lock/")
    if not _BRANCH.match(branch) or any(part in branch for part in refused) or branch.endswith(("/", ".", ".lock")):
        raise EventError(f"branch {branch!r} is not a branch's name")
    return branch


def check_repo(repo: str) -> str:
    """The repository's url, when its transport is allowed: https, http, ssh, git or ``user@host:path``.

    Others (``file``, ``ext``, ...) read the node's own files or run programs: git-remote-ext(1).
    """
    if not repo:
        raise EventError("repo is empty")
    if not (_URL.match(repo) or (_SCP.match(repo) and "::" not in repo and "://" not in repo)):
        raise EventError(f"repo {hide_secret(repo)!r} is refused: use https://, http://, ssh://, git:// or user@host:path")
    try:
        path = names.url_path(repo)
    except ValueError as error:
        raise EventError(f"repo {hide_secret(repo)!r} is no url: {error}") from error
    if ".." in path.split("/") or path == "/":
        raise EventError(f"repo {hide_secret(repo)!r} has no usable path")
    return repo


def hide_secret(text: str) -> str:
    """The text without the user and password of urls in it, fit for a log; in JSON, a slash may be escaped."""
    return re.sub(r'(/\\?/)[^/\s"]*@', r"\1***@", text)


def check_nodes(event: Event, known: Collection[str]) -> None:
    """Raise :class:`EventError` when the event names a node that is not in ``known``."""
    for key, node in (("master", event.master), ("slave", event.slave)):
        if node and node not in known:
            raise EventError(f"{key} {node} is not a node of this cluster; known: {', '.join(sorted(known))}")
