"""How soon an app serves again when an operation failed: from the moment when the failure is known to the first request that is answered.

The failure is known when the node that leads logs why its step failed. What fails is a new version that ends at its start, or data that
cannot be put in its place. The reference is one start of the old container by hand, from ``docker start`` until it answers, on the same node
in the same run.
"""

import json
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from bench.figures import row
from clusterlab import apps, cluster
from clusterlab.node import Node
from clusterlab.run import PROJECT, LabError, wait_until
from clusterlab.visitor import Seen, asking

ROUNDS = 4
_NAME = "fails"
_HOST = f"{_NAME}.example.com"
_START = """
set -e
docker stop -t 10 {container} >/dev/null
began=$(date +%s%N)
docker start {container} >/dev/null
address=$(docker inspect -f '{{{{range .NetworkSettings.Networks}}}}{{{{.IPAddress}}}}{{{{end}}}}' {container})
until curl -fs -m 5 -o /dev/null "http://$address/"; do :; done
echo $(( $(date +%s%N) - began ))
"""


def measure() -> list[tuple[str, ...]]:
    """Moves that fail on their target, and a new version that fails in place; between them, starts by hand."""
    node1, node2, node3 = cluster.nodes()
    with tempfile.TemporaryDirectory() as folder:
        good, broken = _source(Path(folder) / "good"), _source(Path(folder) / "broken", broken=True)
        url = apps.publish(good, _NAME)
        _deploy(node3, url, node1, node2, "committed")
        app = apps.names.app_name(url, "main")
        start = _START.format(container=apps.names.container_name(app, "web"))
        moved, unplaced, in_place, starts = [], [], [], []
        for _ in range(ROUNDS):
            apps.publish(good, _NAME)
            with _in_the_way(node2, apps.names.volume_name(app, "data")):
                unplaced.append(_back_after(node3, url, node2, node1))
            apps.publish(broken, _NAME)
            moved.append(_back_after(node3, url, node2, node1))
            in_place.append(_back_after(node3, url, node1, node2))
            starts.append(int(node1.inside(["sh", "-c", start]).stdout) / 1e9)
            wait_until("it is served again", lambda: _served(node3), 30, 0.05)
    aim = "at most 5000 more"
    return [
        row("a move fails: from then to the first request served; one container start", moved, starts, aim),
        row("a move's data cannot be put in its place: the same; one container start", unplaced, starts, aim),
        row("a new version in place fails: the same; one container start", in_place, starts, aim),
    ]


def _source(folder: Path, *, broken: bool = False) -> Path:
    shutil.copytree(PROJECT / "examples/hello", folder)
    compose, server = folder / "docker-compose.yml", folder / "server"
    compose.write_text(compose.read_text().replace("hello.example.com", _HOST))
    if broken:
        server.write_text(server.read_text().replace("my $server =", "die 'broken on purpose'; my $server ="))
    return folder


@contextmanager
def _in_the_way(node: Node, volume: str) -> Iterator[None]:
    """Where the volume is to be, there is a directory that is none; btrfs may have put the volume into it."""
    path = f"/var/lib/buttervolume/volumes/{volume}"
    node.inside(["mkdir", path])
    try:
        yield
    finally:
        node.inside(["sh", "-c", f"btrfs subvolume delete {path}/* 2>/dev/null; rmdir {path}"])


def _deploy(node: Node, url: str, master: Node, slave: Node, wanted: str) -> str:
    before = apps.last_event(node, url, "main")
    apps.event(node, "deploy", json.dumps({"repo": url, "branch": "main", "master": master.name, "slave": slave.name}))
    outcome = apps.wait(node, url, "main", 180, after=before)
    if outcome["outcome"] != wanted:
        raise LabError(f"the deploy to {master.name} was to be {wanted}: {outcome}")
    return str(outcome["event"])


def _served(node: Node) -> bool:
    with asking(node.address, _HOST, at_once=1) as seen:
        time.sleep(0.1)
    return any(200 <= answer[2] < 400 for answer in seen.answers)


def _back_after(node3: Node, url: str, target: Node, other: Node) -> float:
    """Seconds from the failure on ``target`` to the first answer that a visitor got after it."""
    with asking(node3.address, _HOST) as seen:
        time.sleep(0.5)  # some requests before, so that there is a gap to be seen
        event = _deploy(node3, url, target, other, "aborted")
        known = _failure(target, apps.names.app_name(url, "main"), event)
        answered = wait_until("it is served again", lambda: _answered_after(seen, known), 60, 0.05)
    return float(answered - known)


def _failure(node: Node, app: str, event: str) -> float:
    """When the leader knew, on this machine's monotonic clock: all nodes' clocks are the same one here."""
    logs = node.inside(["docker", "logs", "-t", "--tail", "500", "cluster-worker-1"]).stdout.splitlines()
    begun = next(number for number, line in reversed(list(enumerate(logs))) if event in line and "-> " in line)
    line = next(line for line in logs[begun:] if f"ERROR   {app}: " in line)
    stamp = line.split()[0]
    wall = datetime.fromisoformat(stamp[:26] + "+00:00").timestamp()
    return wall - time.time() + time.monotonic()


def _answered_after(seen: Seen, known: float) -> float:
    """When the first good answer came that was still waited for, or asked, after ``known``; 0 while there is none."""
    return min((when + took for when, took, status, _ in list(seen.answers) if 200 <= status < 400 and when + took > known), default=0.0)
