"""The maps: which node a domain lives on, and which domains are held. Changed by HAProxy's runtime API, without a reload."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from itertools import takewhile
from typing import Any

from handler.core import routes, sections
from handler.core.sections import Sections
from handler.proxies import away, quarantine
from handler.proxies.paths import Paths, read, talk, write

log = logging.getLogger(__name__)

_PAUSE = "*"
"""The mark of :func:`paused` in ``hold.map``, see ``haproxy/hold.lua``."""
_YOUNG = 0.3
"""Seconds that a client far away needs from its first word to its request."""
_BATCH = 100
"""Commands in one line to HAProxy; its buffer is 16 KiB."""
_OLD = 1.0
"""Seconds for a worker that was replaced to take a change."""
_HOLD = "hold"
"""The word of a hold; in what is rendered, a colon and its event follow."""
_LATE = 3.0
"""Seconds after which a hold that is gone from Consul is lifted, although its record has not changed."""
_MANY = 2
"""A cluster with this many apps that loses all at once has lost its KV, not its apps."""


def apply(paths: Paths) -> None:
    """Domains before holds: when a hold is lifted by a commit, the requests must find the new node."""
    domains(paths)
    holds(paths)


def emptied(paths: Paths, staged: Sections) -> bool:
    """Whether all apps have vanished at once: then it is Consul that lost them, and the proxies go on with what they have."""
    known = sections.split(read(paths.haproxy / "domains.map")).parts
    said = paths.run / "emptied"
    if staged.parts or len(known) < _MANY:
        said.unlink(missing_ok=True)
        return False
    if not said.exists():
        log.error("proxies: all %d apps have vanished from Consul at once; going on with the last routes", len(known))
        write(said, "")
    return True


def domains(paths: Paths) -> None:
    """Bring in ``domains.map``; records that are broken, or claim what is another's, keep their last lines."""
    staged_path, live_path = paths.staging / "domains.map", paths.haproxy / "domains.map"
    if not staged_path.exists():
        return
    staged, live = sections.split(read(staged_path)), sections.split(read(live_path))
    if emptied(paths, staged):
        return
    bad = routes.refused(staged, live)
    _bring_in(paths, "domains.map", sections.join(sections.with_last_good(staged, live, bad)))
    quarantine.report(paths, "record", bad, staged.parts, live.parts)


def holds(paths: Paths) -> None:
    """Bring in ``hold.map`` and say which apps are held now, each for an event; none for a person's hold.

    A commit moves the app and lifts its hold in one transaction, but consul-template sees the two changes apart. So a hold that it does not
    say is over when the app's record names its event, as commit and abort write it there; or some seconds after it is gone.
    """
    staged_path = paths.staging / "hold.map"
    if not staged_path.exists():
        return
    wanted = sections.split(read(staged_path)).words
    events = {app: word.partition(":")[2] for app, word in wanted.items() if word.partition(":")[0] == _HOLD}
    ended = sections.split(read(paths.haproxy / "domains.map")).words
    before = json.loads(read(paths.applied) or "{}").get("hold", {})
    held = {app: _said(before.get(app, {}), event) for app, event in events.items()}
    for app, known in before.items():
        if app not in wanted and app in ended and (late := _late(known, ended[app])):
            held[app] = late
    _bring_in_holds(paths, held, wanted.keys() - held.keys())


def _said(known: Mapping[str, Any], event: str) -> Mapping[str, Any]:
    """A hold for ``event``, as consul-template says it; but that may be the hold before this node's own, which it has not seen yet."""
    if known.get("unseen") == event != known["event"]:
        return known
    return {"event": event, "since": known["since"] if known.get("event") == event else time.time()}


def _late(known: Mapping[str, Any], ended: str) -> Mapping[str, Any] | None:
    """A hold that consul-template does not say, yet or any more; None when it is over. ``ended`` is the event that ended last."""
    if ended == known.get("event"):
        return None
    if "unseen" in known:
        return known
    now = time.monotonic()  # the same for all processes of the node; the time of day may be set in this very moment
    gone = known.get("gone", now)
    return {**known, "gone": gone} if 0 <= now - gone < _LATE else None


def hold_now(paths: Paths, app: str, event: str) -> None:
    """Hold one app before consul-template says so: it may have much to do, or not run, while a version is on trial behind the hold.

    Called by the worker. ``unseen`` is the event of the hold that consul-template may still say meanwhile.
    """
    pages = [name for name, word in sections.split(read(paths.haproxy / "hold.map")).words.items() if word != _HOLD and name != app]
    held = json.loads(read(paths.applied) or "{}").get("hold", {})
    known = held.get(app, {})
    if known.get("event") != event or "gone" in known:
        held[app] = {"event": event, "since": time.time(), "unseen": known.get("event", "")}
    _bring_in_holds(paths, held, pages)


def release(paths: Paths, app: str) -> None:
    """What consul-template has not seen until now, it need not see any more. Called by the worker when no operation is under way."""
    applied = json.loads(read(paths.applied) or "{}")
    known = applied.get("hold", {}).get(app, {})
    if "unseen" in known:
        del known["unseen"]
        known["gone"] = time.monotonic()
        write(paths.applied, json.dumps(applied))


@contextmanager
def paused(paths: Paths) -> Iterator[None]:
    """New requests for this node's Caddy wait meanwhile, and those that came just before get a moment.

    With each configuration Caddy starts new servers and closes the connections of the old ones that have no request yet (net/http,
    Server.Shutdown): a TLS handshake under way would end without an answer.
    """
    sock, file = paths.run / "haproxy" / "admin.sock", paths.haproxy / "hold.map"
    try:
        talk(sock, f"add map {file} {_PAUSE} {time.time():.3f}")
        time.sleep(_YOUNG)
    except OSError:
        yield  # HAProxy does not run, so nobody comes
        return
    try:
        yield
    finally:
        with suppress(OSError):  # the mark ends by itself
            talk(sock, f"del map {file} {_PAUSE}")


def _bring_in_holds(paths: Paths, held: Mapping[str, Any], pages: Iterable[str]) -> None:
    """Write the map: host -> the second at which its hold began; 0, which is long ago, where a person wants the page."""
    began = {**dict.fromkeys(pages, 0), **{app: int(known["since"]) for app, known in held.items()}}
    hosts = sections.split(read(paths.haproxy / "domains.map")).parts
    parts = {app: "\n".join(f"{host} {second}" for host in sections.map_lines(hosts.get(app, ""))) for app, second in began.items()}
    words = {app: _HOLD if app in held else "page" for app in began}
    led_away = away.wanted(paths, began)
    away.unmark(paths, led_away)
    _bring_in(paths, "hold.map", sections.join(Sections("", parts, words)))
    away.mark(paths, led_away)
    write(paths.applied, json.dumps({"hold": held, "at": time.time()}))


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
        _tell_old_workers(paths, commands)
        log.info(
            "proxies: %s: %s", name, "; ".join(command.partition(" map ")[0] + " " + command.split(" ", 3)[-1] for command in commands[:8])
        )


def _tell_old_workers(paths: Paths, commands: Sequence[str]) -> None:
    """A worker that was replaced by a reload keeps the requests that it holds, and has maps of its own.

    Reached through the master, which leaves the connection open: https://docs.haproxy.org/3.0/management.html#9.4.
    """
    sock = paths.run / "haproxy" / "master.sock"
    with suppress(OSError):
        _, _, old = talk(sock, "show proc;quit", _OLD).partition("# old workers\n")
        for line in takewhile(lambda line: not line.startswith("#"), old.splitlines()):
            with suppress(OSError):  # one that says nothing keeps no other from hearing it
                for start in range(0, len(commands), _BATCH):
                    told = (f"@!{line.split()[0]} {command};" for command in commands[start : start + _BATCH])
                    talk(sock, "".join(told) + "quit", _OLD)


def _reload_instead(paths: Paths) -> None:
    """A new worker reads the files."""
    try:
        talk(paths.run / "haproxy" / "master.sock", "reload")
    except OSError:
        log.info("proxies: HAProxy does not run; it reads the files when it starts")
