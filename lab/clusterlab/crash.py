"""Stop a node's handler exactly at a step of an operation, to kill it there. The module in ``lab/crash`` does the stopping.

Used by tests: :func:`install` once, then :func:`arm`, :func:`reached`, and :func:`kill` or :func:`go_on`; :func:`remove` at the end.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from clusterlab.node import Node
from clusterlab.run import CACHE, PROJECT

_COMPOSE = ("docker", "compose", "--project-directory", "/cluster")
_WORKER = "cluster-worker-1"


def _folder(node: Node) -> Path:
    return CACHE / "state" / node.name / "crash"


def install(nodes: Sequence[Node]) -> None:
    """Give the nodes' workers the module; they are made anew for it."""
    more = {"environment": {"PYTHONPATH": "/crash", "PYTHONDONTWRITEBYTECODE": "1"}, "volumes": ["/cluster/crash:/crash"]}
    for node in nodes:
        for name in ("arm", "reached"):
            (_folder(node) / name).mkdir(parents=True, exist_ok=True)
        shutil.copy2(PROJECT / "lab/crash/sitecustomize.py", _folder(node))
    _apply(nodes, more)


def remove(nodes: Sequence[Node]) -> None:
    """The workers are as they are shipped again."""
    _apply(nodes, {})
    for node in nodes:
        shutil.rmtree(_folder(node), ignore_errors=True)


def _apply(nodes: Sequence[Node], worker: dict[str, object]) -> None:
    for node in nodes:
        file = CACHE / "state" / node.name / "docker-compose.override.yml"
        override = json.loads(file.read_text())
        override["services"].pop("worker", None)
        override["services"].update({"worker": worker} if worker else {})
        file.write_text(json.dumps(override, indent=1))
    with ThreadPoolExecutor() as pool:
        list(pool.map(lambda node: node.inside([*_COMPOSE, "up", "-d", "--no-build", "--no-deps", "-t", "5", "worker"]), nodes))


def arm(node: Node, app: str, entry: str) -> None:
    """The node's handler shall stop at this entry of the app's journal, after it went on or was killed where it stands now."""
    temporary = _folder(node) / f"{app}.new"
    temporary.write_text(entry)
    temporary.rename(_folder(node) / "arm" / app)


def go_on(node: Node, app: str) -> None:
    """It stands no more."""
    (_folder(node) / "reached" / app).unlink(missing_ok=True)


def reached(node: Node, app: str) -> bool:
    """Whether it stands at the entry that was asked last."""
    return (_folder(node) / "reached" / app).exists()


def entries(node: Node, app: str, event: str) -> list[str]:
    """What the journal of an operation was told since :func:`install`, in order."""
    file = _folder(node) / "log"
    rows = [line.split("\t", 2) for line in file.read_text().splitlines()] if file.exists() else []
    return [row[2] for row in rows if row[:2] == [app, event]]


def kill(node: Node) -> None:
    """SIGKILL to the worker and all that it started; then its container is started again, without the pause of a restart policy."""
    node.inside(["sh", "-c", f"docker kill {_WORKER} && rm -f /cluster/crash/reached/* && docker start {_WORKER}"])
