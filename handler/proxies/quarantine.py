"""``quarantine/<app>``: parts that a proxy refused, with the reason; lifted by itself when the part is accepted again.

The value has, for each node that refuses something of the app, the parts and why: ``{"node2": {"caddyfile": {"why", "last_good"}}}``.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Mapping
from typing import Any

from handler.proxies.paths import Paths, read, write

log = logging.getLogger(__name__)

_SHOWN = 2000
"""Characters of the last good part that are shown."""


def report(paths: Paths, part: str, bad: Mapping[str, str], kept: Mapping[str, str]) -> None:
    """Say in the log and in Consul which apps are in quarantine for ``part`` on this node; ``kept`` has what serves instead."""
    known = _known(paths)
    before = {app: found[part]["why"] for app, found in known["now"].items() if part in found}
    if before != dict(bad):
        for app in sorted(bad.keys() - {app for app, why in before.items() if bad.get(app) == why}):
            log.error("proxies: %s of %s is left out, its last good version is kept: %s", part, app, bad[app])
        for app in before.keys() - bad.keys():
            log.info("proxies: %s of %s is fine again", part, app)
        others = {app: {name: one for name, one in found.items() if name != part} for app, found in known["now"].items()}
        for app, why in bad.items():
            others.setdefault(app, {})[part] = {"why": why, "last_good": kept.get(app, "")[:_SHOWN]}
        known["now"] = {app: found for app, found in others.items() if found}
        write(_file(paths), json.dumps(known))
    tell(paths)


def tell(paths: Paths) -> None:
    """Bring Consul up to date; the worker asks for it again and again, since Consul may be away when a part is refused."""
    known = _known(paths)
    changed = [app for app in {*known["now"], *known["told"]} if known["now"].get(app) != known["told"].get(app)]
    if changed and _tell_consul({app: known["now"].get(app) for app in changed}):
        write(_file(paths), json.dumps({"now": known["now"], "told": known["now"]}))


def reasons(paths: Paths, part: str) -> dict[str, str]:
    """App -> why ``part`` is refused on this node."""
    return {app: found[part]["why"] for app, found in _known(paths)["now"].items() if part in found}


def _file(paths: Paths) -> Any:
    return paths.state / "quarantine.json"


def _known(paths: Paths) -> dict[str, Any]:
    return {"now": {}, "told": {}, **json.loads(read(_file(paths)) or "{}")}


def _tell_consul(changed: Mapping[str, Any]) -> bool:
    from handler import errors, settings  # noqa: PLC0415 slow to import, and seldom needed
    from handler.adapters.consul import Consul, ConsulStore  # noqa: PLC0415
    from handler.core import record  # noqa: PLC0415
    from handler.core.kv import Create, Delete, Op, Swap  # noqa: PLC0415

    here = settings.read()
    store = ConsulStore(Consul(here.consul, os.environ.get("CONSUL_HTTP_TOKEN") or None))
    done = True
    try:
        for app, found in changed.items():
            key = f"quarantine/{app}"
            entry = store.get(key)
            value = {**record.loads(entry.value if entry else None), here.node: found}
            text = record.dumps({node: parts for node, parts in value.items() if parts})
            op: Op = Swap(key, text, entry.index) if entry else Create(key, text)
            done &= store.transact([op if text != "{}" else Delete(key)])
    except errors.ClusterError as error:
        log.warning("proxies: Consul cannot be told about the quarantine, trying again later: %s", error)
        return False
    return done
