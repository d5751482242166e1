"""The command ``cluster``: what people ask a node about the cluster. Reads only.

    cluster status             nodes, apps with their places and copies, what is held, refused or in quarantine
    cluster history APP        the last operations of an app, with steps and durations

Exit codes: 0 all is well, 1 something needs a person (status) or there is no such app (history), 2 wrong usage.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from handler import errors, settings
from handler.adapters.consul import Consul, ConsulMembers, ConsulStore
from handler.core import names, record
from handler.ports import Entry, Members, Store

TEMPLATES = (Path("/etc/cluster/jinja"), Path(__file__).resolve().parents[1] / "templates" / "jinja")


def main() -> int:
    """Entry point of the console script."""
    name, *arguments = sys.argv[1:] or ["status"]
    here = settings.read()
    agent = Consul(here.consul, os.environ.get("CONSUL_HTTP_TOKEN") or None)
    if name not in _COMMANDS:
        print(__doc__, file=sys.stderr)  # noqa: T201
        return 2
    try:
        return _COMMANDS[name](ConsulStore(agent), ConsulMembers(agent, here.node), arguments)
    except errors.ClusterError as error:
        print(f"cluster: {error}", file=sys.stderr)  # noqa: T201
        return 1


def status(store: Store, members: Members, _arguments: Sequence[str]) -> int:
    """One page about everything."""
    about = {entry.key.removeprefix("node/"): record.loads(entry.value) for entry in store.tree("node/")}
    held = {entry.key.removeprefix("maintenance/"): record.loads(entry.value) for entry in store.tree("maintenance/")}
    apps = [_app(store, entry.key.removeprefix("app/"), entry.value) for entry in store.tree("app/")]
    quarantine = [row for entry in store.tree("quarantine/") for row in _quarantine(entry)]
    nodes = sorted(members.nodes().values(), key=lambda node: node.name)
    _show("status.txt", nodes=nodes, about=about, apps=apps, held=held, quarantine=quarantine)
    broken = [app for app in apps if app["problem"]]
    return 1 if broken or quarantine or not all(node.alive for node in nodes) else 0


def _app(store: Store, name: str, value: str) -> dict[str, Any]:
    known = record.loads(value)
    entry = store.get(names.history_key(name, str(known.get("event", ""))))
    last = record.loads(entry.value if entry else None)
    place = record.placement(known)
    problem = ""
    if not known:
        problem = "the record is not JSON"
    elif place.slave and last and not last.get("copy"):
        problem = f"no verified copy on {place.slave}"
    return {"name": name, "place": place, "record": known, "last": last, "problem": problem}


def _quarantine(entry: Entry) -> Iterator[dict[str, Any]]:
    """One row for each node and part; see :mod:`handler.proxies.quarantine`."""
    for node, parts in sorted(record.loads(entry.value).items()):
        for part, found in sorted(parts.items()):
            yield {"app": entry.key.removeprefix("quarantine/"), "node": node, "part": part, "why": found.get("why")}


def history(store: Store, _members: Members, arguments: Sequence[str]) -> int:
    """The last operations of one app, oldest first."""
    if len(arguments) != 1:
        print(__doc__, file=sys.stderr)  # noqa: T201
        return 2
    entries = sorted(store.tree(names.history_key(arguments[0], "")), key=lambda entry: entry.index)
    if not entries:
        raise errors.BadInput(f"there is no history of {arguments[0]}; `cluster status` lists the apps")
    _show("history.txt", entries=[record.loads(entry.value) for entry in entries])
    return 0


def _show(template: str, **values: Any) -> None:
    # plain text for a terminal: nothing to escape
    environment = Environment(loader=FileSystemLoader(TEMPLATES), undefined=StrictUndefined, trim_blocks=True, autoescape=False)  # noqa: S701
    print(environment.get_template(template).render(**values))  # noqa: T201


_COMMANDS: dict[str, Callable[[Store, Members, Sequence[str]], int]] = {"status": status, "history": history}
