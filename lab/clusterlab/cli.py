"""The commands of the lab, as a table."""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import sys
from pathlib import Path

from clusterlab import apps, base, cluster, host, venv
from clusterlab.run import CACHE, LabError, run


def _up(arguments: argparse.Namespace) -> int:
    with _alone():
        cluster.up(arguments.nodes, arguments.image)
    print(f"{arguments.nodes} nodes serve. http://127.0.0.1:{cluster.HTTP} leads to node1.")
    return 0


def _down(_: argparse.Namespace) -> int:
    with _alone():
        cluster.down()
    return 0


def _status(_: argparse.Namespace) -> int:
    for node in cluster.nodes():
        print(f"{node.name}  {node.address}  {'up' if node in cluster.running() else 'no power'}")
    alive = cluster.running()
    if alive:
        print(
            alive[0]
            .inside(["docker", "compose", "--project-directory", "/cluster", "exec", "-T", "worker", "cluster", "status"], check=False)
            .stdout
        )
    return 0


def _exec(arguments: argparse.Namespace) -> int:
    interactive = ["-it"] if sys.stdin.isatty() else ["-i"]
    os.execvp("docker", ["docker", "exec", *interactive, cluster.by_name(arguments.node).container, *arguments.command])


def _publish(arguments: argparse.Namespace) -> int:
    print(apps.publish(arguments.dir, arguments.name, arguments.branch))
    return 0


def _event(arguments: argparse.Namespace) -> int:
    print(apps.event(cluster.by_name(arguments.source), arguments.name, arguments.json))
    return 0


def _wait(arguments: argparse.Namespace) -> int:
    outcome = apps.wait(cluster.running()[0], arguments.repo, arguments.branch, arguments.timeout)
    print(json.dumps(outcome, indent=1))
    return 0 if outcome["outcome"] == "committed" else 1


def _fault(name: str) -> object:
    def call(arguments: argparse.Namespace) -> int:
        node = cluster.by_name(arguments.node)
        if name in ("cut", "heal"):
            getattr(cluster, name)(node, cluster.others(node))
        else:
            getattr(cluster, name)(node)
        return 0

    return call


def _load(arguments: argparse.Namespace) -> int:
    for node in cluster.running():
        run(["sh", "-c", 'docker save "$1" | docker exec -i "$2" docker load -q', "sh", arguments.image, node.container])
    return 0


def _prepare(_: argparse.Namespace) -> int:
    host.prepare()
    base.ensure()
    return 0


def _venv(_: argparse.Namespace) -> int:
    print(venv.python())
    return 0


class _alone:  # noqa: N801 used like a function
    """Two labs would use the same disks and addresses."""

    def __enter__(self) -> None:
        CACHE.mkdir(parents=True, exist_ok=True)
        self._file = (CACHE / "lock").open("w")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise LabError("another lab is being started or stopped on this machine: wait for it") from None

    def __exit__(self, *_: object) -> None:
        self._file.close()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="lab/lab", description="A real cluster on one machine: nodes in containers.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, function: object, text: str) -> argparse.ArgumentParser:
        made = commands.add_parser(name, help=text, description=text)
        made.set_defaults(function=function)
        return made

    up = command("up", _up, "build what is missing, start the nodes, wait until all serve")
    up.add_argument("--nodes", type=int, default=3)
    up.add_argument("--image", action="append", default=[], help="an image of this host that every node gets as well")
    command("down", _down, "remove every trace")
    command("status", _status, "nodes, members, apps, roles")
    execute = command("exec", _exec, "run a command on a node")
    execute.add_argument("node")
    execute.add_argument("command", nargs=argparse.REMAINDER)
    publish = command("publish", _publish, "commit DIR as git repository NAME, print its url")
    publish.add_argument("dir", type=Path)
    publish.add_argument("name")
    publish.add_argument("--branch", default="main")
    event = command("event", _event, "send an event, as `consul event -name=NAME JSON` on a node")
    event.add_argument("name")
    event.add_argument("json")
    event.add_argument("--from", dest="source", default="node1")
    wait = command("wait", _wait, "wait for the outcome of the app's last event; exit 0 if committed")
    wait.add_argument("repo")
    wait.add_argument("branch")
    wait.add_argument("--timeout", type=float, default=600)
    for name, text in (
        ("cut", "its network to the other nodes is gone"),
        ("heal", "its network is back"),
        ("kill", "power loss"),
        ("start", "power on"),
    ):
        command(name, _fault(name), text).add_argument("node")
    command("load", _load, "give an image of this host to every node").add_argument("image")
    command("prepare", _prepare, "install what this host lacks, fetch or build the base images and programs")
    command("venv", _venv, "make the Python environment of the tests, print its interpreter")
    return parser


def main() -> int:
    """Entry point of ``lab/lab``."""
    arguments = _parser().parse_args()
    try:
        return int(arguments.function(arguments))
    except LabError as error:
        print(f"lab: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("lab: interrupted", file=sys.stderr)
        return 130
