"""The command ``cluster``: what people ask a node about the cluster. Changes nothing, but for a copy that is asked for.

    cluster status             nodes, apps with their places and copies, what is held or in quarantine, messages refused last
    cluster history APP        the last operations of an app, with steps and durations; of `refused`: messages that were refused
    cluster points APP         on its master: the deploys and times that a rollback can go to
    cluster copy APP           on its master: a round of copies now; returns when the slave has verified it

Exit codes: 0 all is well, 1 something needs a person (status), there is no such app (history) or the copy failed, 2 wrong usage.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from handler import errors, settings, spool
from handler.adapters.buttervolume import Buttervolume
from handler.adapters.clock import SystemClock
from handler.adapters.consul import Consul, ConsulMembers, ConsulServices, ConsulStore
from handler.adapters.docker import Docker
from handler.copier import WORD
from handler.core import checks, copies, limits, names, record, rollback
from handler.core import points as core_points
from handler.core.copies import Round
from handler.ports import Clock, Entry, Members, Services, Store, Volumes
from handler.residence import Residence, operations, residence

TEMPLATES = (Path("/etc/cluster/jinja"), Path(__file__).resolve().parents[1] / "templates" / "jinja")


_REFUSED_SHOWN = 3
PATIENCE = 3600.0
"""Seconds for a round that a person asked for."""


@dataclass(frozen=True)
class Asked:
    """What the commands look at; ``wake`` is the worker's socket."""

    store: Store
    members: Members
    services: Services
    clock: Clock
    volumes: Volumes
    wake: Path


def main() -> int:
    """Entry point of the console script."""
    name, *arguments = sys.argv[1:] or ["status"]
    here = settings.read()
    agent = Consul(here.consul, os.environ.get("CONSUL_HTTP_TOKEN") or None)
    if name not in _COMMANDS:
        print(__doc__, file=sys.stderr)  # noqa: T201
        return 2
    try:
        docker, members = Docker(here.docker), ConsulMembers(agent, here.node)
        volumes = Buttervolume(docker, here.drivers, here.volumes_dir, here.state_dir / "locks", lambda: docker.plugin_socket(here.driver))
        asked = Asked(ConsulStore(agent), members, ConsulServices(agent), SystemClock(), volumes, here.wake)
        return _COMMANDS[name](asked, arguments)
    except errors.ClusterError as error:
        print(f"cluster: {error}", file=sys.stderr)  # noqa: T201
        return 1


def status(asked: Asked, _arguments: Sequence[str]) -> int:
    """One page about everything."""
    store = asked.store
    about = {entry.key.removeprefix("node/"): record.loads(entry.value) for entry in store.tree("node/")}
    held = {entry.key.removeprefix("maintenance/"): record.loads(entry.value) for entry in store.tree("maintenance/")}
    reports = asked.services.reports(checks.COPY)
    apps = [_app(asked, entry, about, reports) for entry in store.tree("app/")]
    quarantine = [row for entry in store.tree("quarantine/") for row in _quarantine(entry)]
    refused = sorted(store.tree(names.history_key(names.REFUSED, "")), key=lambda entry: entry.index)[-_REFUSED_SHOWN:]
    nodes = sorted(asked.members.nodes().values(), key=lambda node: node.name)
    _show(
        "status.txt",
        nodes=nodes,
        about=about,
        apps=apps,
        held=held,
        quarantine=quarantine,
        refused=[record.loads(entry.value) for entry in refused],
    )
    broken = [app for app in apps if app["problem"]]
    return 1 if broken or quarantine or not all(node.alive for node in nodes) else 0


def _app(asked: Asked, entry: Entry, about: Mapping[str, Any], reports: Mapping[str, tuple[bool, str]]) -> dict[str, Any]:
    name, known = entry.key.removeprefix("app/"), record.loads(entry.value)
    entry_last = asked.store.get(names.history_key(name, str(known.get("event", ""))))
    lives = residence(asked.store, name) or Residence()
    place = lives.placement
    last_round = _rounds(about.get(place.master, {}), name)
    passing, text = reports.get(name, (False, f"the worker of {place.master} says nothing about its copy"))
    problem = ""
    if not known:
        problem = "the record is not JSON"
    elif place.slave and not passing:
        problem = text
    elif last_round.failures >= limits.FAILURES:
        problem = f"{last_round.failures} rounds of copies failed in a row: {last_round.error}"
    return {
        "name": name,
        "place": place,
        "record": known,
        "last": record.loads(entry_last.value if entry_last else None),
        "round": last_round,
        "copies": _copies(asked, about.get(place.slave, {}), name, lives),
        "problem": problem,
    }


def _copies(asked: Asked, slave: Mapping[str, Any], app: str, lives: Residence) -> list[dict[str, Any]]:
    """What the slave says it has; a row for each volume. Ages are by this node's clock."""
    said = copies.said_of({"": slave}, "", app)
    rows = []
    for volume in lives.volumes:
        time = copies.taken_at(copies.snapshot_of(said, volume))
        size = said[volume].get("bytes") if said and time is not None else None
        age = None if time is None else max(0.0, asked.clock.now() - time)
        rows.append(
            {"volume": volume, "time": "" if time is None else copies.shown(time), "minutes": age and age / 60, "size": _size(size)}
        )
    return rows


def _size(count: Any) -> str:
    if not isinstance(count, int):
        return "size unknown"
    return f"{count / 1e6:.1f} MB" if count >= 1e6 else f"{count / 1e3:.1f} kB"


def _quarantine(entry: Entry) -> Iterator[dict[str, Any]]:
    """One row for each node and part; see :mod:`handler.proxies.quarantine`."""
    for node, parts in sorted(record.loads(entry.value).items()):
        for part, found in sorted(parts.items()):
            yield {"app": entry.key.removeprefix("quarantine/"), "node": node, "part": part, "why": found.get("why")}


def history(asked: Asked, arguments: Sequence[str]) -> int:
    """The last operations of one app, oldest first."""
    if len(arguments) != 1:
        print(__doc__, file=sys.stderr)  # noqa: T201
        return 2
    entries = sorted(asked.store.tree(names.history_key(arguments[0], "")), key=lambda entry: entry.index)
    if not entries:
        raise errors.BadInput(f"there is no history of {arguments[0]}; `cluster status` lists the apps")
    _show("history.txt", entries=[record.loads(entry.value) for entry in entries])
    return 0


def points(asked: Asked, arguments: Sequence[str]) -> int:
    """To where a rollback can go; the data has to be on this node."""
    if len(arguments) != 1:
        print(__doc__, file=sys.stderr)  # noqa: T201
        return 2
    app, me = arguments[0], asked.members.me()
    lives = _mine(asked, app)
    complete = {volume: [one.name for one in held if one.complete] for volume, held in asked.volumes.stock().items()}
    here = {name for held in complete.values() for name in held}
    times = core_points.shared({volume: held for volume, held in complete.items() if volume in lives.volumes})
    deploys = [
        {"id": deploy_id, "commit": back.commit, "here": not back.lost and set(back.snapshots.values()) <= here}
        for deploy_id, back in rollback.possible(operations(asked.store, app).ended()).items()
        if deploy_id != lives.deploy_id
    ]
    _show("points.txt", app=app, node=me, now=lives.deploy_id, deploys=deploys[::-1], times=times)
    return 0


def copy(asked: Asked, arguments: Sequence[str]) -> int:
    """Ask this node's worker for a round, and wait for its end."""
    if len(arguments) != 1:
        print(__doc__, file=sys.stderr)  # noqa: T201
        return 2
    (app,), me = arguments, asked.members.me()
    _mine(asked, app)
    before = _round(asked, me, app).tried
    if not spool.poke(asked.wake, WORD + app):
        raise errors.Temporary("the worker does not run on this node")
    deadline, index = asked.clock.monotonic() + PATIENCE, 0
    while (last := _round(asked, me, app)).tried == before:
        if asked.clock.monotonic() > deadline:
            raise errors.Temporary(f"the copy of {app} is still under way; `cluster status` will show it")
        index = asked.store.wait(names.node_key(me), index, 10.0)
    if last.error:
        raise errors.Permanent(f"{app}: {last.error}")
    print(f"{app}: copy of {last.time}, in {last.seconds:.2f} s")  # noqa: T201
    return 0


def _mine(asked: Asked, app: str) -> Residence:
    """Where the app lives, if that is this node."""
    lives = residence(asked.store, app) or Residence()
    master = lives.placement.master
    if master != asked.members.me():
        raise errors.BadInput(f"{app} lives on {master}: ask there" if master else f"there is no {app}; `cluster status` lists the apps")
    return lives


def _round(asked: Asked, node: str, app: str) -> Round:
    entry = asked.store.get(names.node_key(node))
    return _rounds(record.loads(entry.value if entry else None), app)


def _rounds(about: Mapping[str, Any], app: str) -> Round:
    rounds = about.get("rounds")
    return copies.read_round(rounds.get(app) if isinstance(rounds, dict) else None)


def _show(template: str, **values: Any) -> None:
    # plain text for a terminal: nothing to escape
    environment = Environment(loader=FileSystemLoader(TEMPLATES), undefined=StrictUndefined, trim_blocks=True, autoescape=False)  # noqa: S701
    print(environment.get_template(template).render(**values))  # noqa: T201


_COMMANDS: dict[str, Callable[[Asked, Sequence[str]], int]] = {"status": status, "history": history, "points": points, "copy": copy}
