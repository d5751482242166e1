"""What has to be on a node, for a role: the table of the roles in DESIGN, looked up on the real node."""

import json
from typing import Any

from clusterlab.node import Node

PURGE = {"purge:1h:1d:1w:4w:1y": 1440}


def lines(node: Node, *argv: str) -> list[str]:
    return node.inside(list(argv), check=False).stdout.split("\n")[:-1]


def observed(node: Node, app: Any) -> dict[str, Any]:
    """Everything of ``app`` that is on ``node``."""
    listed = lines(node, "ls", "/deploy")
    return {
        "checkouts": sorted(name for name in listed if name.startswith(app.app + "-")),
        "containers": sorted(
            lines(
                node,
                "docker",
                "ps",
                "-a",
                "--filter",
                f"label=com.docker.compose.project={app.project}",
                "--format",
                "{{.State}} {{.Status}}",
            )
        ),
        "volumes": lines(node, "docker", "volume", "ls", "-q", "--filter", f"name={app.volume}"),
        "live": [name for name in lines(node, "ls", "/var/lib/buttervolume/volumes") if name == app.volume],
        "snapshots": sorted(
            name
            for name in lines(node, "ls", "/var/lib/buttervolume/snapshots")
            if name.startswith(app.volume + "@") and name.count("@") == 1
        ),
        "schedules": schedules(node, app.volume),
        "service": service(node, app.app),
        "token": bool(lines(node, "ls", f"/run/cluster/own/{app.app}")),
        "images": lines(node, "docker", "images", "-q", "--filter", f"reference=cluster/{app.project}-*"),
    }


def schedules(node: Node, volume: str) -> dict[str, int]:
    text = node.inside(["cat", "/var/lib/buttervolume/config/schedule.csv"], check=False).stdout
    rows = [line.strip().split(",") for line in text.splitlines()]
    return {row[1]: int(row[2]) for row in rows if row[0] == volume}


def service(node: Node, app: str) -> dict[str, Any]:
    found = json.loads(node.inside(["curl", "-fsS", "127.0.0.1:8500/v1/agent/services"]).stdout).get(app)
    if not found:
        return {}
    checks = json.loads(node.inside(["curl", "-fsS", "127.0.0.1:8500/v1/agent/checks"]).stdout)
    return {"address": found["Address"], "checks": sorted(c["Name"] for c in checks.values() if c["ServiceID"] == app)}


def incomplete(node: Node, snapshots: list[str]) -> list[str]:
    """Those that an interrupted receive left behind: not read-only."""
    return [
        name
        for name in snapshots
        if "ro=true" not in node.inside(["btrfs", "property", "get", "-ts", f"/var/lib/buttervolume/snapshots/{name}", "ro"]).stdout
    ]


def complaint(node: Node, app: Any, role: str, peer: str = "", *, keeps_copy: bool = False) -> str:
    """What is wrong on ``node`` for ``role``; empty when all is as the table says. ``peer`` is the slave's address, for a master."""
    seen = observed(node, app)
    record = app.record()
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
    if role == "master" and not (len(seen["containers"]) == 1 and "(healthy)" in seen["containers"][0]):
        wrong.append(f"containers are {seen['containers']}")
    if role in ("master", "slave") and len(seen["images"]) != 1:
        wrong.append(f"images are {seen['images']}")
    if role == "slave" and not seen["snapshots"]:
        wrong.append("there is no copy")
    if role == "nothing" and bool(seen["snapshots"]) != keeps_copy:
        wrong.append(f"snapshots are {seen['snapshots']}")
    if role != "master" and (broken := incomplete(node, seen["snapshots"])):
        wrong.append(f"copies are not complete: {broken}")
    return f"{node.name} as {role}: " + "; ".join(wrong) if wrong else ""
