"""The maps: which node a domain lives on, and which domains are held. Changed by HAProxy's runtime API, without a reload."""

from __future__ import annotations

import json
import logging
import time

from handler.core import sections
from handler.proxies import quarantine
from handler.proxies.paths import Paths, read, talk, write

log = logging.getLogger(__name__)

_BATCH = 100
"""Commands in one line to HAProxy; its buffer is 16 KiB."""
_LATE = 3.0
"""Seconds after which a hold that is gone from Consul is lifted, although its record has not changed."""
_MANY = 2
"""A cluster with this many apps that loses all at once has lost its KV, not its apps."""


def apply(paths: Paths) -> None:
    """Domains before holds: when a hold is lifted by a commit, the requests must find the new node."""
    domains(paths)
    holds(paths)


def domains(paths: Paths) -> None:
    """Bring in ``domains.map``; broken records keep their last lines."""
    staged_path, live_path = paths.staging / "domains.map", paths.haproxy / "domains.map"
    if not staged_path.exists():
        return
    staged, live = sections.split(read(staged_path)), sections.split(read(live_path))
    if not staged.parts and len(live.parts) >= _MANY:
        log.error("proxies: all %d apps have vanished from Consul at once; going on with the last routes", len(live.parts))
        return
    bad = {app: "the record is not JSON" for app, word in staged.words.items() if word == sections.BROKEN}
    _bring_in(paths, "domains.map", sections.join(sections.with_last_good(staged, live, bad)))
    quarantine.report(paths, "record", bad)


def holds(paths: Paths) -> None:
    """Bring in ``hold.map`` and say which apps are held now.

    A commit moves the app and lifts its hold in one transaction, but consul-template sees the two changes apart. So a hold that is
    gone stays until the app's record has changed as well (commit and abort both write the event there), or for a few seconds.
    """
    staged_path = paths.staging / "hold.map"
    if not staged_path.exists():
        return
    staged, live = sections.split(read(staged_path)), sections.split(read(paths.haproxy / "hold.map"))
    records = sections.split(read(paths.haproxy / "domains.map")).words
    before = json.loads(read(paths.applied) or "{}").get("hold", {})
    now = time.time()
    known_records = {app: before.get(app, {}).get("record", records.get(app)) for app in staged.words}
    held = {app: {"record": known_records[app]} for app, word in staged.words.items() if word == "hold"}
    for app, known in before.items():
        gone = known.get("gone", now)
        if app not in staged.parts and app in records and records[app] == known["record"] and 0 <= now - gone < _LATE:
            held[app] = {**known, "gone": gone}
    parts = {**{app: live.parts[app] for app in held if app in live.parts}, **staged.parts}
    words = {app: staged.words.get(app, "hold") for app in parts}
    _bring_in(paths, "hold.map", sections.join(sections.Sections("", parts, words)))
    write(paths.applied, json.dumps({"hold": held, "at": now}))


def hold_now(paths: Paths, app: str) -> None:
    """Hold one app before consul-template says so; it has a few seconds to say it, see :func:`holds`. Called by the worker."""
    records = sections.split(read(paths.haproxy / "domains.map"))
    live = sections.split(read(paths.haproxy / "hold.map"))
    applied = json.loads(read(paths.applied) or "{}").get("hold", {})
    names = sections.map_lines(records.parts.get(app, ""))
    parts = {**live.parts, app: "\n".join(f"{name} hold" for name in names)}
    _bring_in(paths, "hold.map", sections.join(sections.Sections("", parts, {**live.words, app: "hold"})))
    applied[app] = {"record": records.words.get(app), "gone": time.time()}
    write(paths.applied, json.dumps({"hold": applied, "at": time.time()}))


def _bring_in(paths: Paths, name: str, text: str) -> None:
    live_path = paths.haproxy / name
    old, new = sections.map_lines(read(live_path)), sections.map_lines(text)
    write(live_path, text)
    commands = sections.map_commands(str(live_path), old, new)
    sock = paths.run / "haproxy" / "admin.sock"
    try:
        for start in range(0, len(commands), _BATCH):
            answer = talk(sock, ";".join(commands[start : start + _BATCH]))
            if answer:
                raise OSError(answer.splitlines()[0])
    except OSError as error:
        log.warning("proxies: %s is written, but HAProxy did not take the change now: %s", name, error)
        _reload_instead(paths)
    if commands:
        log.info(
            "proxies: %s: %s", name, "; ".join(command.partition(" map ")[0] + " " + command.split(" ", 3)[-1] for command in commands[:8])
        )


def _reload_instead(paths: Paths) -> None:
    """A new worker reads the files."""
    try:
        talk(paths.run / "haproxy" / "master.sock", "reload")
    except OSError:
        log.info("proxies: HAProxy does not run; it reads the files when it starts")
