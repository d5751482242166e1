"""The downtime of a move of examples/hello with 200 MB in its volume, seen by a client that asks a third node every 10 ms.

The reference is the same work done by hand in a script, without any of our programs: stop, snapshot, incremental send, restore, up. Its
client asks both nodes' published ports. In both, 5 MB were changed since the last copy.
"""

import json
import sys
import time

from bench.figures import row
from clusterlab import apps, cluster
from clusterlab.node import Node
from clusterlab.run import PROJECT, wait_until
from clusterlab.visitor import asking

ROUNDS = 6
_FILL = "dd if=/dev/urandom of={file} bs=1M count={size} conv=fsync status=none"
_BYHAND = """
set -e
cd /byhand
docker compose stop -t 10 >/dev/null 2>&1
btrfs subvolume snapshot -r /var/lib/buttervolume/volumes/byhand /var/lib/buttervolume/snapshots/byhand@{new} >/dev/null
btrfs send -q -p /var/lib/buttervolume/snapshots/byhand@{old} /var/lib/buttervolume/snapshots/byhand@{new} |
  ssh -p 1122 -F /byhand/ssh {peer} "btrfs receive -q /var/lib/buttervolume/snapshots"
"""
_RESTORE = """
set -e
cd /byhand
btrfs subvolume delete /var/lib/buttervolume/volumes/byhand >/dev/null 2>&1 || true
btrfs subvolume snapshot /var/lib/buttervolume/snapshots/byhand@{new} /var/lib/buttervolume/volumes/byhand >/dev/null
docker compose up -d >/dev/null 2>&1
"""
_COMPOSE = """
services:
  web:
    image: byhand
    build: app
    ports: ["8081:80"]
    volumes: ["/var/lib/buttervolume/volumes/byhand:/data"]
"""


def measure() -> tuple[str, ...]:
    """Moves and moves by hand in turns."""
    node1, node2, node3 = cluster.nodes()
    url = apps.publish(PROJECT / "examples/hello", "hello")
    _deploy(node3, url, node1, node2)
    app = apps.names.app_name(url, "main")
    container = apps.names.container_name(app, "web")
    node1.inside(["docker", "exec", container, "sh", "-c", _FILL.format(file="/data/big", size=200)])
    _prepare_by_hand(node1, node2)
    ours, by_hand = [], []
    for number in range(ROUNDS):
        source, target = (node1, node2) if number % 2 == 0 else (node2, node1)
        source.inside(["docker", "exec", container, "sh", "-c", _FILL.format(file="/data/changed", size=5)])
        with asking(node3.address, "hello.example.com") as seen:
            time.sleep(0.5)  # some requests before, so that the gap has both ends
            _deploy(node3, url, target, source)
            time.sleep(0.5)
        if seen.failed:
            print(f"a move had {len(seen.failed)} failed requests, among them {seen.failed[0]}", file=sys.stderr)
        ours.append(seen.longest)
        by_hand.append(_by_hand(source, target, number))
    return row("downtime of a move, 200 MB, 5 MB changed; by hand", ours, by_hand, "")


def _deploy(node: Node, url: str, master: Node, slave: Node) -> None:
    before = apps.last_event(node, url, "main")
    apps.event(node, "deploy", json.dumps({"repo": url, "branch": "main", "master": master.name, "slave": slave.name}))
    outcome = apps.wait(node, url, "main", 120, after=before)
    assert outcome["outcome"] == "committed", outcome
    apps.history(node, outcome["app"], outcome["event"])


def _prepare_by_hand(node1: Node, node2: Node) -> None:
    ssh = (
        "Host *\n  IdentityFile /var/lib/buttervolume/ssh/id_ed25519\n  StrictHostKeyChecking no\n  UserKnownHostsFile /dev/null\n"
        "  LogLevel ERROR\n  ControlMaster auto\n  ControlPath /run/byhand-%C\n  ControlPersist 1h\n"
    )
    for node in (node1, node2):
        node.inside(["sh", "-c", "mkdir -p /byhand/app; cat > /byhand/ssh"], input=ssh)
        node.inside(["sh", "-c", "cat > /byhand/docker-compose.yml"], input=_COMPOSE)
        for name in ("Dockerfile", "VERSION", "server"):
            text = (PROJECT / "examples/hello" / name).read_text()
            node.inside(["sh", "-c", f"cat > /byhand/app/{name}"], input=text)
        node.inside(["sh", "-c", "cd /byhand && docker compose build -q"])
    node1.inside(["btrfs", "subvolume", "create", "/var/lib/buttervolume/volumes/byhand"])
    node1.inside(["sh", "-c", _FILL.format(file="/var/lib/buttervolume/volumes/byhand/big", size=200)])
    first = "/var/lib/buttervolume/snapshots/byhand@first"
    node1.inside(["btrfs", "subvolume", "snapshot", "-r", "/var/lib/buttervolume/volumes/byhand", first])
    send = f"btrfs send -q {first} | ssh -p 1122 -F /byhand/ssh {node2.address} 'btrfs receive -q /var/lib/buttervolume/snapshots'"
    node1.inside(["sh", "-c", send])
    node2.inside(["sh", "-c", f"ssh -p 1122 -F /byhand/ssh {node1.address} true"])
    node1.inside(["sh", "-c", "cd /byhand && docker compose up -d"])


def _by_hand(source: Node, target: Node, number: int) -> float:
    names = {"old": number or "first", "new": number + 1, "peer": target.address}
    source.inside(["sh", "-c", _FILL.format(file="/var/lib/buttervolume/volumes/byhand/changed", size=5)])
    wait_until(
        "by hand serves", lambda: source.inside(["curl", "-fsS", "-m", "1", f"{source.address}:8081/"], check=False).returncode == 0, 20
    )
    with asking(source.address, "x", port=8081, at_once=2) as before, asking(target.address, "x", port=8081, at_once=2) as after:
        time.sleep(0.5)
        source.inside(["sh", "-c", _BYHAND.format(**names)])
        target.inside(["sh", "-c", _RESTORE.format(**names)])
        wait_until("by hand serves", lambda: any(a[2] == 200 for a in after.answers), 20, 0.05)
    last = max(when + took for when, took, status, _ in before.answers if status == 200)
    first = min(when + took for when, took, status, _ in after.answers if status == 200)
    return first - last
