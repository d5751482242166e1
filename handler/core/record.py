"""The values that live in Consul: to JSON and back, tolerant in reading what a person may have edited."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Iterable, Mapping
from dataclasses import asdict, replace
from functools import lru_cache
from typing import Any

from handler.core.model import AppSpec, Event, Kind, Operation, Origin, Placement

_COMPACT = json.JSONEncoder(sort_keys=True, ensure_ascii=False).encode


def dumps(value: Mapping[str, Any]) -> str:
    """JSON in a stable form that people can read: a line for each key."""
    lines = [f" {_COMPACT(key)}: {_COMPACT(value[key])}" for key in sorted(value)]
    return "{\n" + ",\n".join(lines) + "\n}" if lines else "{}"


def loads(text: str | None) -> dict[str, Any]:
    """The JSON object in ``text``; an empty one for anything else, since people edit these values."""
    try:
        value = json.loads(text or "{}")
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def placement(record: dict[str, Any]) -> Placement:
    """Where a record says that the app lives."""
    return Placement(_text(record, "master"), _text(record, "slave"))


def _text(record: dict[str, Any], key: str) -> str:
    value = record.get(key)
    return value if isinstance(value, str) else ""


def app_record(op: Operation, spec: AppSpec, commit: str, date: str, known: Mapping[str, Any]) -> dict[str, Any]:
    """The value of ``app/<name>`` after ``op``; the first row of keys is the seed's, templates and people read it.

    ``known`` is the record until now; a deploy that stays in service stays the successor of the same one.
    """
    return {
        "haproxy": spec.haproxy,
        "caddyfile": spec.caddyfile,
        "repo_url": op.event.repo,
        "branch": op.event.branch,
        "deploy_date": date,
        "deploy_id": op.deploy_id,
        "previous_deploy_id": op.previous_deploy_id if op.new_code else known.get("previous_deploy_id", ""),
        "domains": list(spec.domains),
        "urls": list(spec.urls),
        "ip": op.address(op.after.master),
        "master": op.after.master,
        "slave": op.after.slave,
        "ct": spec.ct,
        "volumes": list(spec.volumes),
        "commit": commit,
        "checks": list(spec.checks),
        "claims": list(spec.claims),
        "nonmigrable": list(spec.nonmigrable),
        "nodes": dict(op.addresses),
        "event": op.event.id,
    }


MOST_BYTES = 512 * 1024
"""Bytes in a transaction's body that Consul takes: the default of ``txn_max_req_len`` and of ``kv_max_value_size``, from
https://developer.hashicorp.com/consul/docs/reference/agent/configuration-file/general. Values travel in base64."""

SPARE = 4096
"""For what else is in a commit's transaction: keys, verbs, session, the outcome's own words."""


def too_large(value: Mapping[str, Any]) -> str:
    """Why Consul would refuse the commit of this record, or nothing. A commit writes it twice: as ``app/<name>`` and in its outcome."""
    size = sum(len(b64encode(dumps(one).encode())) + len('"", ') for one in (value, {"record": value}))
    if size + SPARE <= MOST_BYTES:
        return ""
    parts = sorted(((len(_COMPACT(part).encode()), key) for key, part in value.items()), reverse=True)
    largest = ", ".join(f"{key} {length // 1024} KiB" for length, key in parts[:3] if length >= 1024)
    return (
        f"the app's record would have {len(dumps(value).encode()) // 1024} KiB ({largest}), and a commit {size // 1024} KiB, of which "
        f"Consul takes {MOST_BYTES // 1024}: make these smaller; maintenance.html is in caddyfile once for each site"
    )


def intent(event: Event, seen: list[str]) -> str:
    """The value of ``intent/<name>``."""
    return dumps({**asdict(event), "seen": seen})


def read_intent(text: str | None) -> tuple[Event | None, list[str]]:
    """The event of an intent and the ids already seen; (None, []) when there is none or it is broken."""
    event, seen = _intent(text)
    return event, list(seen)


@lru_cache(maxsize=1000)  # read at each look, as the plans are
def _intent(text: str | None) -> tuple[Event | None, tuple[str, ...]]:
    value = loads(text)
    listed = value.pop("seen", None)
    seen = tuple(str(item) for item in listed) if isinstance(listed, list) else ()
    if not all(isinstance(item, str | bool) for item in value.values()):
        return None, seen
    try:
        return Event(**{**value, "kind": Kind(value["kind"])}), seen
    except (KeyError, TypeError, ValueError):
        return None, seen


def operation(op: Operation) -> str:
    """The value of ``op/<name>/<event>/plan``."""
    return dumps(asdict(op))


@lru_cache(maxsize=1000)  # a plan never changes, and is read at each look
def read_operation(text: str) -> Operation:
    """The operation in a plan; raises KeyError, TypeError or ValueError when it is broken."""
    value = json.loads(text)
    event = Event(**{**value["event"], "kind": Kind(value["event"]["kind"])})
    op = Operation(**{**value, "event": event, "before": Placement(**value["before"]), "after": Placement(**value["after"])})
    if op.event.kind is Kind.MIGRATE and not op.origin:
        raise ValueError("it does not say whose data it brings")
    return replace(
        op, volumes=tuple(op.volumes), addresses=_pairs(op.addresses), restore=_pairs(op.restore), origin=_origin(value.get("origin"))
    )


def _origin(value: dict[str, Any] | None) -> Origin | None:
    return Origin(**{**value, "volumes": _pairs(value["volumes"])}) if value else None


def _pairs(listed: Iterable[Iterable[str]]) -> tuple[tuple[str, str], ...]:
    return tuple((first, second) for first, second in listed)
