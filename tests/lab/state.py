"""What has to be on a node, for a role: looked up on the real node."""

import json
from collections.abc import Collection
from typing import Any

from clusterlab.node import Node

PURGE = {"purge:1h:1d:1w:4w:1y": 1440}


LOOK = r"""
app=$1 project=$2 volume=$3 disk=/var/lib/buttervolume
say() { while read -r line; do echo "$1 $line"; done; }
ls /deploy | grep -F "$app-" | say checkouts
docker ps -a --filter "label=com.docker.compose.project=$project" --format '{{.ID}} {{.State}}' | while read -r id state; do
  address=$(docker inspect -f '{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}' "$id")
  echo "containers $state$(curl -fsS -m 2 -o /dev/null "http://$address/" && echo ', answers')"
done
docker volume ls -q --filter "name=$volume" | say volumes
ls $disk/volumes | grep -Fx "$volume" | say live
ls $disk/snapshots | grep -E "^$volume@[^@]+\$" | while read -r name; do
  echo "snapshots $name $(btrfs property get -ts "$disk/snapshots/$name" ro)"
done
grep -F "$volume," $disk/config/schedule.csv | say schedules
curl -fsS "127.0.0.1:8500/v1/agent/service/$app" | tr -d '\n' | sed 's/^/service /'; echo
curl -fsS "127.0.0.1:8500/v1/agent/checks" | tr -d '\n' | sed 's/^/checks /'; echo
ls "/run/cluster/own/$app" | say token
docker images -q --filter "reference=cluster/$project-*" | say images
"""
"""All that is of an app on a node, one line each; one program to start, since tests look often. Containers are asked, and not Docker
for their health: after a pause it calls them unhealthy until their next check.
"""


_STARTS = "/run/starts"


def observed(node: Node, app: Any) -> dict[str, Any]:
    """Everything of ``app`` that is on ``node``; ``incomplete`` are snapshots that an interrupted receive left behind: not read-only."""
    text = node.inside(["sh", "-c", LOOK, "look", app.app, app.project, app.volume], check=False).stdout
    seen: dict[str, list[str]] = {}
    for line in text.splitlines():
        what, _, value = line.partition(" ")
        seen.setdefault(what, []).append(value)
    snapshots = dict(value.split(" ", 1) for value in seen.get("snapshots", ()))
    rows = [row.split(",") for row in seen.get("schedules", ())]
    return {
        "checkouts": sorted(seen.get("checkouts", ())),
        "containers": sorted(seen.get("containers", ())),
        "volumes": seen.get("volumes", []),
        "live": seen.get("live", []),
        "snapshots": sorted(snapshots),
        "incomplete": sorted(name for name, flag in snapshots.items() if "ro=true" not in flag),
        "schedules": {row[1]: int(row[2]) for row in rows if row[0] == app.volume},
        "service": _service(app.app, seen),
        "token": "token" in seen,
        "images": seen.get("images", []),
    }


def watch_starts(node: Node) -> None:
    """Write down which containers are started from this boot on; dockerd itself only remembers its last 256 events."""
    wanted = "--filter type=container --filter event=start --format '{{index .Actor.Attributes \"com.docker.compose.project\"}}'"
    node.inside(["sh", "-c", f"exec timeout 600 docker events --since 10m {wanted} >{_STARTS} 2>&1 &"])


def started(node: Node) -> set[str]:
    """The projects of which a container was started since then; the cluster's own is among them once the node is up."""
    return set(node.inside(["cat", _STARTS]).stdout.split())


def _service(app: str, seen: dict[str, list[str]]) -> dict[str, Any]:
    found, checks = (json.loads((seen.get(what) or ["{}"])[0] or "{}") for what in ("service", "checks"))
    if not found:
        return {}
    return {"address": found["Address"], "checks": sorted(c["Name"] for c in checks.values() if c["ServiceID"] == app)}


def complaint(
    node: Node, app: Any, role: str, peer: str = "", *, keeps_copy: bool | None = False, record: Any = None, kept: Collection[str] = ()
) -> str:
    """What is wrong on ``node`` for ``role``; empty when all is as the table says. ``peer`` is the slave's address, for a master.

    ``keeps_copy`` is for a node without a role: whether snapshots have to be there, or None when they may. ``kept`` are those that have to
    be there in any case, and are no copy. ``record`` saves a look.
    """
    seen = observed(node, app)
    record = app.record() if record is None else record
    deploy = f"{app.app}-{record.get('deploy_id')}"
    copies = {f"replicate:{peer}": 60} if peer else {"snapshot": 60}
    checks = sorted([f"http://{app.domain}", f"https://{app.domain}", *([f"copy on {record.get('slave')}"] if peer else [])])
    gone = {"containers": [], "volumes": [], "live": [], "service": {}, "token": False}
    wanted = {
        "master": {
            "checkouts": [deploy],
            "volumes": [app.volume],
            "live": [app.volume],
            "token": True,
            "schedules": {**copies, **PURGE},
            "service": {"address": node.address, "checks": checks},
        },
        "slave": {**gone, "checkouts": [deploy], "schedules": PURGE},
        "nothing": {**gone, "checkouts": [], "schedules": {}, "images": []},
    }[role]
    wrong = [f"{key} is {seen[key]}, not {value}" for key, value in wanted.items() if seen[key] != value]
    if role == "master" and seen["containers"] != ["running, answers"]:
        wrong.append(f"containers are {seen['containers']}")
    if role in ("master", "slave") and len(seen["images"]) != 1:
        wrong.append(f"images are {seen['images']}")
    copies_here = set(seen["snapshots"]).difference(kept)
    if missing := set(kept).difference(seen["snapshots"]):
        wrong.append(f"what was kept is gone: {sorted(missing)}")
    if role == "slave" and not copies_here:
        wrong.append("there is no copy")
    if role == "nothing" and keeps_copy is not None and bool(copies_here) != keeps_copy:
        wrong.append(f"snapshots are {seen['snapshots']}")
    if role != "master" and seen["incomplete"]:
        wrong.append(f"copies are not complete: {seen['incomplete']}")
    return f"{node.name} as {role}: " + "; ".join(wrong) if wrong else ""
