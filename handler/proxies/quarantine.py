"""``quarantine/<app>``: parts that a proxy refused, with the reason; lifted by itself when the part is accepted again."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Mapping

from handler.proxies.paths import Paths, read, write

log = logging.getLogger(__name__)


def report(paths: Paths, part: str, bad: Mapping[str, str]) -> None:
    """Say in the log and in Consul which apps are in quarantine for ``part`` on this node, when that has changed."""
    remembered = paths.state / f"quarantine-{part}.json"
    before = json.loads(read(remembered) or "{}")
    if before == dict(bad):
        return
    for app, why in bad.items():
        log.error("proxies: %s of %s is left out, its last good version is kept: %s", part, app, why)
    for app in before.keys() - bad.keys():
        log.info("proxies: %s of %s is fine again", part, app)
    write(remembered, json.dumps(dict(bad)))
    _tell_consul(part, before, bad)


def _tell_consul(part: str, before: Mapping[str, str], bad: Mapping[str, str]) -> None:
    from handler import errors, settings  # noqa: PLC0415 slow to import, and seldom needed
    from handler.adapters.consul import Consul, ConsulStore  # noqa: PLC0415
    from handler.core import record  # noqa: PLC0415
    from handler.core.kv import Delete, Op, Set  # noqa: PLC0415

    here = settings.read()
    store = ConsulStore(Consul(here.consul, os.environ.get("CONSUL_HTTP_TOKEN") or None))
    writes: list[Op] = [Set(f"quarantine/{app}", record.dumps({"part": part, "why": why, "node": here.node})) for app, why in bad.items()]
    writes += [Delete(f"quarantine/{app}") for app in before.keys() - bad.keys()]
    try:
        for start in range(0, len(writes), 100):
            store.transact(writes[start : start + 100])
    except errors.ClusterError as error:
        log.warning("proxies: Consul cannot be told about the quarantine: %s", error)
