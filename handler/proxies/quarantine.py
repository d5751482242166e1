"""``quarantine/<app>``: parts that a proxy refused, with the reason; lifted by itself when the part is accepted again.

The value has, for each node that refuses something of the app, the parts and why:
``{"node2": {"caddyfile": {"why", "last_good", "refused"}}}``, where ``refused`` is a mark of the text that was.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Mapping
from typing import Any

from handler.core import record
from handler.core.kv import CheckAbsent, CheckIndex, Create, Delete, Op, Swap
from handler.ports import Entry
from handler.proxies.paths import Paths, read, write

log = logging.getLogger(__name__)

_SHOWN = 2000
"""Characters of the last good part that are shown."""


def report(paths: Paths, part: str, bad: Mapping[str, str], refused: Mapping[str, str], kept: Mapping[str, str]) -> None:
    """Say in the log and in Consul which apps are in quarantine for ``part`` on this node.

    ``refused`` has the texts that were refused, ``kept`` those that serve instead.
    """
    known = _known(paths)
    before = {app: found[part] for app, found in known["now"].items() if part in found}
    now = {app: {"why": why, "last_good": kept.get(app, "")[:_SHOWN], "refused": _mark(refused.get(app, ""))} for app, why in bad.items()}
    if before != now:
        for app, why in bad.items():
            if app not in before or before[app]["why"] != why:
                log.error("proxies: %s of %s is left out, its last good version is kept: %s", part, app, why)
        for app in before.keys() - bad.keys():
            log.info("proxies: %s of %s is fine again", part, app)
        merged = {app: {name: one for name, one in found.items() if name != part} for app, found in known["now"].items()}
        for app, one in now.items():
            merged.setdefault(app, {})[part] = one
        known["now"] = {app: found for app, found in merged.items() if found}
        write(_file(paths), json.dumps(known))
    tell(paths)


def tell(paths: Paths) -> None:
    """Bring Consul up to date; the worker asks for it again and again, since Consul may be away when a part is refused."""
    known = _known(paths)
    changed = [app for app in {*known["now"], *known["told"]} if known["now"].get(app) != known["told"].get(app)]
    if changed and _tell_consul({app: known["now"].get(app) for app in changed}):
        write(_file(paths), json.dumps({"now": known["now"], "told": known["now"]}))


def refused(paths: Paths, part: str, texts: Mapping[str, str]) -> dict[str, str]:
    """Those of ``texts`` (by app) that are what was refused before, with the reason."""
    known = {app: found[part] for app, found in _known(paths)["now"].items() if part in found}
    return {app: known[app]["why"] for app, text in texts.items() if app in known and known[app]["refused"] == _mark(text)}


def _mark(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def reasons(paths: Paths, part: str) -> dict[str, str]:
    """App -> why ``part`` is refused on this node."""
    return {app: found[part]["why"] for app, found in _known(paths)["now"].items() if part in found}


def _file(paths: Paths) -> Any:
    return paths.state / "quarantine.json"


def _known(paths: Paths) -> dict[str, Any]:
    return {"now": {}, "told": {}, **json.loads(read(_file(paths)) or "{}")}


def _write(key: str, text: str, entry: Entry | None) -> list[Op]:
    """Only as long as no other node has written meanwhile."""
    if text == record.dumps({}):
        return [CheckIndex(key, entry.index), Delete(key)] if entry else [CheckAbsent(key)]
    return [Swap(key, text, entry.index) if entry else Create(key, text)]


def _tell_consul(changed: Mapping[str, Any]) -> bool:
    from handler import errors, settings  # noqa: PLC0415 slow to import, and seldom needed
    from handler.adapters.consul import Consul, ConsulStore  # noqa: PLC0415

    here = settings.read()
    store = ConsulStore(Consul(here.consul, os.environ.get("CONSUL_HTTP_TOKEN") or None))
    done = True
    try:
        for app, found in changed.items():
            key = f"quarantine/{app}"
            entry = store.get(key)
            value = {**record.loads(entry.value if entry else None), here.node: found}
            text = record.dumps({node: parts for node, parts in value.items() if parts})
            done &= store.transact(_write(key, text, entry))
    except errors.ClusterError as error:
        log.warning("proxies: Consul cannot be told about the quarantine, trying again later: %s", error)
        return False
    return done
