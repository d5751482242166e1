"""Repositories and events of the lab, and what became of them."""

from __future__ import annotations

import base64
import json
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from clusterlab.node import GIT_HOST, Node
from clusterlab.run import CACHE, PROJECT, LabError, run, wait_until

sys.path.insert(0, str(PROJECT))
from handler.core import names  # noqa: E402 the lab belongs to this checkout


def publish(directory: Path, name: str, branch: str = "main") -> str:
    """Commit a directory as repository ``name`` and return the url that nodes clone from."""
    if not directory.is_dir():
        raise LabError(f"{directory} is no directory")
    bare = CACHE / "state" / "git" / f"{name}.git"
    if not bare.parent.exists():
        raise LabError("the lab is not up: `lab/lab up` first")
    if not bare.exists():
        run(["git", "init", "-q", "--bare", f"--initial-branch={branch}", bare])
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder) / "work"
        shutil.copytree(directory, work, symlinks=True)
        git = ["git", "-C", work, "-c", "user.name=lab", "-c", "user.email=lab@example.com"]
        run([*git, "init", "-q", f"--initial-branch={branch}"])
        if run([*git, "fetch", "-q", bare, branch], check=False).returncode == 0:
            run([*git, "reset", "-q", "--soft", "FETCH_HEAD"])
        run([*git, "add", "-A"])
        run([*git, "commit", "-q", "--allow-empty", "-m", f"{name} as of now"])
        run([*git, "push", "-q", bare, f"HEAD:{branch}"])
    return f"git://{GIT_HOST}/{name}"


def event(node: Node, kind: str, payload: str) -> str:
    """Send an event from a node, in the seed's own words; returns Consul's answer."""
    return node.inside(
        ["docker", "compose", "--project-directory", "/cluster", "exec", "-T", "consul", "consul", "event", f"-name={kind}", payload]
    ).stdout.strip()


def kv(node: Node, key: str) -> Any:
    """A JSON value in Consul, or None."""
    answer = node.inside(["curl", "-fsS", "-m", "5", f"127.0.0.1:8500/v1/kv/{key}?stale"], check=False)
    if answer.returncode:
        return None
    return json.loads(base64.b64decode(json.loads(answer.stdout)[0]["Value"] or "") or "null")


def kept(node: Node, app: str) -> dict[str, set[str]]:
    """Snapshots that the app's history names, by the node that kept them when it was replaced as the master."""
    answer = node.inside(["curl", "-sS", "-m", "5", f"127.0.0.1:8500/v1/kv/{names.history_key(app, '')}?recurse"])
    found: dict[str, set[str]] = {}
    for row in json.loads(answer.stdout or "[]"):  # Consul answers with nothing when there is none
        for name, snapshots in (json.loads(base64.b64decode(row["Value"] or "") or "{}").get("kept") or {}).items():
            found.setdefault(name, set()).update(snapshots)
    return found


def wait(node: Node, repo: str, branch: str, seconds: float, after: str = "") -> dict[str, Any]:
    """The outcome of the app's last event; ``after`` is an event that does not count, because it was there before."""
    app = names.app_name(repo, branch)

    def outcome() -> Any:
        intent = kv(node, names.intent_key(app))
        if not intent or intent["id"] == after:
            return None
        found = kv(node, names.op_key(app, intent["id"], "outcome"))
        return {**found, "event": intent["id"], "app": app} if found else None

    return dict(wait_until(f"outcome of {app}", outcome, seconds, 0.2))


def last_event(node: Node, repo: str, branch: str) -> str:
    """Id of the app's newest accepted event; empty when there is none."""
    intent = kv(node, names.intent_key(names.app_name(repo, branch)))
    return str(intent["id"]) if intent else ""


def history(node: Node, app: str, event_id: str, seconds: float = 60) -> dict[str, Any]:
    """What happened in an operation, once it is written in full."""
    deadline = time.monotonic() + seconds
    while True:
        found = kv(node, names.history_key(app, event_id))
        if found or time.monotonic() > deadline:
            return found or {}
        time.sleep(0.2)
