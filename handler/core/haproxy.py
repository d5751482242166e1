"""``HAPROXY`` of an app: parsed, validated, merged; rendering is in :mod:`handler.core.haproxy_render`. Pure. JSON or YAML.

What is written here ends in ``haproxy.cfg`` of every node: each value is checked to be one line of harmless words.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import yaml

from handler.core import haproxy_rule

HTTP = ("http-in", "https-in")
"""Frontends that every node has; an app only adds backends to them."""

_NAME = re.compile(r"^[A-Za-z0-9_.:-]{1,80}\Z")
_BIND = re.compile(r"^(?:\*|0\.0\.0\.0|::|\[::\])?:(?P<port>\d{1,5})(?: [A-Za-z0-9_ ./:@-]+)?$")
"""No address: HAProxy is in a container, which has none of the node's."""
_MAX_WORDS = 60
"""HAProxy takes 64 words in a line; the template adds some."""
_FRONTEND_KEYS = {"mode", "bind", "options"}
_BACKEND_KEYS = {"name", "use_backend_option", "port", "peer_port", "server_option", "options", "ct"}
_MODES = ("tcp", "http")
_SECTIONS = {
    *("global", "defaults", "frontend", "backend", "listen", "resolvers", "peers", "userlist", "program", "cache", "mailers", "ring"),
    *("http-errors", "log-forward", "log-profile", "fcgi-app", "crt-store", "traces", "acme", "bind", "server"),
}
"""First words that would end the app's own section, or that have a key of their own."""
_DISGUISES = set("\"'\\")
"""HAProxy takes them away before it looks at a word."""

TAKEN = frozenset({22, 80, 443, 1080, 1081, 1122, 1443, 1444, 1445, 7946, *range(8300, 8303), 8500, 8600})
"""Ports that nodes need themselves."""


class HaproxyError(ValueError):
    """The value is refused; the message names frontend and key."""


def parse(text: str) -> dict[str, Any]:
    """The value of one service's ``HAPROXY``; raises :class:`HaproxyError`."""
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise HaproxyError(f"HAPROXY is neither JSON nor YAML: {error}") from error
    if not isinstance(value, dict) or not value:
        raise HaproxyError("HAPROXY must be an object of frontends")
    return check(value)


def check(value: Mapping[str, Any]) -> dict[str, Any]:
    """The value with defaults filled in; also for what people edited in Consul, where ``ct`` and ``port`` decide where requests go."""
    return {_name(str(name), "frontend"): _entry(str(name), entry) for name, entry in value.items()}


def _entry(name: str, entry: object) -> dict[str, Any]:
    if not isinstance(entry, dict):
        raise HaproxyError(f"HAPROXY {name}: must be an object")
    _refuse_unknown(name, entry, {"frontend", "backends"})
    backends = entry.get("backends")
    if not isinstance(backends, list) or not backends:
        raise HaproxyError(f"HAPROXY {name}: backends must be a list")
    found: dict[str, Any] = {"backends": [_backend(name, backend) for backend in backends]}
    if name not in HTTP:
        found["frontend"] = _frontend(name, entry.get("frontend"))
        return found
    if not all(haproxy_rule.hosts(backend["use_backend_option"]) for backend in found["backends"]):
        raise HaproxyError(
            f"HAPROXY {name}: use_backend_option must name its hosts, like 'if {{ hdr(host) -i name name2 }}', as all apps share {name}; "
            "more terms may narrow it, but or, || and #, and quotes or backslashes that could hide them, cannot be there"
        )
    return found


def _frontend(name: str, value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise HaproxyError(f"HAPROXY {name}: frontend is required")
    _refuse_unknown(name, value, _FRONTEND_KEYS)
    mode = value.get("mode", "tcp")
    if mode not in _MODES:
        raise HaproxyError(f"HAPROXY {name}: mode must be {' or '.join(_MODES)}")
    binds = _lines(name, "bind", value.get("bind"))
    if not binds or not all(_BIND.match(bind) for bind in binds):
        raise HaproxyError(f"HAPROXY {name}: bind must be a list like ['*:2222']")
    if taken := sorted(TAKEN & {_bound(bind) for bind in binds}):
        raise HaproxyError(f"HAPROXY {name}: binds port {taken[0]}, which the nodes need themselves: choose another")
    return {"mode": mode, "bind": binds, "options": _lines(name, "options", value.get("options"))}


def _backend(name: str, value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise HaproxyError(f"HAPROXY {name}: a backend must be an object")
    _refuse_unknown(name, value, _BACKEND_KEYS)
    return {
        "name": _name(str(value.get("name", "")), f"{name}: backend"),
        "use_backend_option": _line(name, "use_backend_option", value.get("use_backend_option", "")),
        "port": _port(name, "port", value.get("port")),
        "peer_port": _port(name, "peer_port", value.get("peer_port", value.get("port"))),
        "ct": _name(str(value.get("ct") or "none"), f"{name}: ct"),
        "server_option": _line(name, "server_option", value.get("server_option", "")),
        "options": _lines(name, "options", value.get("options")),
    }


def _refuse_unknown(name: str, value: Mapping[str, Any], known: Iterable[str]) -> None:
    unknown = sorted(set(map(str, value)) - set(known))
    if unknown:
        raise HaproxyError(f"HAPROXY {name}: unknown key {', '.join(unknown)}")


def _name(name: str, what: str) -> str:
    if not _NAME.match(name):
        raise HaproxyError(f"HAPROXY: {what} {name!r} is no usable name")
    return name


def _port(name: str, key: str, value: object) -> str:
    text = str(value if value is not None else "")
    if not text.isdigit() or not 0 < int(text) < 65536:
        raise HaproxyError(f"HAPROXY {name}: {key} must be a port, is {text!r}")
    return text


def _line(name: str, key: str, value: object) -> str:
    text = str(value or "").strip()
    if any(ord(char) < 32 for char in text) or len(text.split()) > _MAX_WORDS:
        raise HaproxyError(f"HAPROXY {name}: {key} must be one line of at most {_MAX_WORDS} words")
    return text


def _lines(name: str, key: str, value: object) -> list[str]:
    if value in (None, ""):
        return []
    if not isinstance(value, list):
        raise HaproxyError(f"HAPROXY {name}: {key} must be a list")
    lines = [_line(name, key, item) for item in value]
    for line in lines:
        if not line or (key == "options" and (line.split()[0] in _SECTIONS or _DISGUISES & set(line.split()[0]))):
            raise HaproxyError(f"HAPROXY {name}: {key} has a line that cannot be there: {line!r}")
    return lines


def _bound(bind: str) -> int:
    found = _BIND.match(bind)
    return int(found["port"]) if found else 0


def merge(parts: Sequence[tuple[str, dict[str, Any]]]) -> dict[str, Any]:
    """One value for the app, from (container, parsed value) of its services: same frontends are aggregated."""
    merged: dict[str, Any] = {}
    for container, value in parts:
        for name, entry in value.items():
            into = merged.setdefault(name, {"backends": []})
            into["backends"] += [{**backend, "ct": container} for backend in entry["backends"]]
            if "frontend" in entry:
                _merge_frontend(name, into, entry["frontend"])
    return merged


def _merge_frontend(name: str, into: dict[str, Any], frontend: dict[str, Any]) -> None:
    have = into.setdefault("frontend", {"mode": frontend["mode"], "bind": [], "options": []})
    if have["mode"] != frontend["mode"]:
        raise HaproxyError(f"HAPROXY {name}: two services of the app want different modes")
    for key in ("bind", "options"):
        have[key] += [item for item in frontend[key] if item not in have[key]]


def domains(merged: Mapping[str, Any]) -> tuple[str, ...]:
    """Host names that the app's backends in ``http-in`` and ``https-in`` ask for."""
    options = [backend["use_backend_option"] for name in HTTP for backend in merged.get(name, {}).get("backends", ())]
    return tuple(dict.fromkeys(host for option in options for host in haproxy_rule.hosts(option)))


def ports(merged: Mapping[str, Any]) -> tuple[int, ...]:
    """The ports that an app's own frontends listen on, on every node."""
    binds = [bind for name, entry in merged.items() if name not in HTTP for bind in entry["frontend"]["bind"]]
    return tuple(dict.fromkeys(map(_bound, binds)))


def frontends(merged: Mapping[str, Any]) -> tuple[str, ...]:
    """Names that must be unique over all apps."""
    return tuple(name for name in merged if name not in HTTP)


def backends(merged: Mapping[str, Any]) -> tuple[str, ...]:
    """Names that must be unique over all apps, also those of backends in ``http-in`` and ``https-in``."""
    return tuple(dict.fromkeys(backend["name"] for entry in merged.values() for backend in entry["backends"]))
