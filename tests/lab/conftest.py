"""The lab for tests: three real nodes, started once; apps made from examples/hello, one for each test."""

import json
import os
import re
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from clusterlab import apps, cluster
from clusterlab.node import GIT_ADDRESS, Node
from clusterlab.run import PROJECT, LabError, wait_until
from handler.core import names

HELLO = PROJECT / "examples" / "hello"
HEALTH_INTERVAL = "20s"
"""Between health checks of an app that is up: each costs the machine a good part of a second, and nothing here waits for one."""
STOP_APPS = """docker ps --format '{{.ID}} {{.Label "com.docker.compose.project"}}' |
    awk '$2 && $2 != "cluster" {print $1}' | xargs -r docker stop -t 1"""
"""What a person has stopped stays so, until the worker of that node starts anew."""
PAUSE = 0.4
"""Seconds between looks: each starts programs on a node, on the cores that have to do what is waited for."""


@dataclass
class App:
    """examples/hello under a name and a domain of its own. ``witness`` is the node that Consul is read on, else the first that runs."""

    lab: "Lab"
    name: str
    folder: Path
    repo: str = ""
    branch: str = "main"
    event: str = ""
    witness: str = ""
    lines: list[str] = field(default_factory=list)

    @property
    def app(self) -> str:
        return names.app_name(self.repo, self.branch)

    @property
    def project(self) -> str:
        return names.project_name(self.app)

    @property
    def volume(self) -> str:
        return names.volume_name(self.app, "data")

    @property
    def domain(self) -> str:
        return f"{self.name}.example.com"

    def publish(self, **changes: str) -> None:
        """Publish the example with its own domain; ``changes`` are file name -> text (``__`` for a dot); scripts can be executed."""
        shutil.rmtree(self.folder, ignore_errors=True)
        shutil.copytree(HELLO, self.folder)
        compose = self.folder / "docker-compose.yml"
        compose.write_text(
            compose.read_text().replace("hello.example.com", self.domain).replace(" interval: 2s", f" interval: {HEALTH_INTERVAL}")
        )
        for file, text in changes.items():
            path = self.folder / file.replace("__", ".")
            path.write_text(text)
            path.chmod(0o755 if path.suffix == ".sh" else 0o644)
        self.repo = apps.publish(self.folder, self.name, self.branch)

    def send(self, kind: str = "deploy", source: str = "node3", **values: object) -> str:
        """Send an event; returns its id."""
        payload = json.dumps({"repo": self.repo, "branch": self.branch, **values})
        self.event = self.lab.event(kind, payload, source)
        return self.event

    def outcome(self, seconds: float = 120) -> dict:
        """The outcome of the last event."""
        key, node = names.op_key(self.app, self.event, "outcome"), self.seen_from
        return wait_until(f"outcome of {self.app}", lambda: apps.kv(node, key), seconds, PAUSE)

    def deploy(self, master: str, slave: str = "", **values: object) -> dict:
        """Deploy and return the outcome; a new app is reached through every node some moments after its commit."""
        new = not self.record()
        self.send(master=master, **({"slave": slave} if slave else {}), **values)
        outcome = self.outcome()
        if new and outcome["outcome"] == "committed":
            for node in cluster.running():
                eventually(f"{self.app} is routed by {node.name}", lambda node=node: self.ask(node.name)[0] != 200)
        return outcome

    @property
    def seen_from(self) -> Node:
        return self.lab.node(self.witness) if self.witness else cluster.running()[0]

    def record(self) -> dict:
        return apps.kv(self.seen_from, names.record_key(self.app)) or {}

    def history(self) -> dict:
        return apps.history(self.seen_from, self.app, self.event)

    def ask(self, node: str, path: str = "/", data: str | None = None, *, tls: bool = False) -> tuple[int, str]:
        """Ask the app through the proxies of a node: (status, text)."""
        one = self.lab.node(node)
        scheme, port = ("https", 443) if tls else ("http", 80)
        more = ["-d", data] if data is not None else []
        answer = one.inside(
            [
                "curl",
                "-sk",
                "-m",
                "40",
                "--resolve",
                f"{self.domain}:{port}:{one.address}",
                "-w",
                "\n%{http_code}",
                *more,
                f"{scheme}://{self.domain}{path}",
            ],
            check=False,
        )
        text, _, status = answer.stdout.rpartition("\n")
        return int(status or 0), text

    def write(self, line: str, node: str = "node3") -> None:
        """Write a line; it is remembered when it was acknowledged."""
        status, text = self.ask(node, "/data", line)
        assert status == 200, (status, text)
        self.lines.append(line)

    def read(self, node: str) -> list[str]:
        status, text = self.ask(node, "/data")
        assert status == 200, (status, text)
        return text.split("\n")[:-1]


class Lab:
    """The three nodes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.number = 0

    def node(self, name: str) -> Node:
        return Node(int(name.removeprefix("node")))  # not looked up: tests ask for nodes many times a second

    @property
    def nodes(self) -> list[Node]:
        return cluster.nodes()

    def event(self, kind: str, payload: str | None, source: str = "node3") -> str:
        command = ["docker", "compose", "--project-directory", "/cluster", "exec", "-T", "consul", "consul", "event", f"-name={kind}"]
        answer = self.node(source).inside([*command, *([payload] if payload is not None else [])]).stdout
        return re.search(r"Event ID: (\S+)", answer)[1]

    def app(self, name: str, **changes: str) -> App:
        self.number += 1
        app = App(self, f"{name}{self.number}", self.folder / f"{name}{self.number}")
        app.publish(**changes)
        return app

    def git_cut(self, name: str) -> None:
        self.node(name).inside(["iptables", "-w", "-I", "OUTPUT", "-d", GIT_ADDRESS, "-j", "REJECT"])

    def git_heal(self, name: str) -> None:
        self.node(name).inside(["iptables", "-w", "-D", "OUTPUT", "-d", GIT_ADDRESS, "-j", "REJECT"])


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """Starts three nodes, or takes those that run when CLUSTER_LAB_REUSE is set; then they stay as well."""
    reuse = bool(os.environ.get("CLUSTER_LAB_REUSE")) and len(cluster.running()) == 3
    if not reuse:
        cluster.up(3)
    yield Lab(tmp_path_factory.mktemp("apps"))
    if not os.environ.get("CLUSTER_LAB_REUSE"):
        cluster.down()


@pytest.fixture(scope="module", autouse=True)
def stopped_afterwards() -> Iterator[None]:
    """Of no use to later modules, while the health checks of all apps that there ever were took both cores in the end."""
    yield
    for node in cluster.running():
        node.inside(["sh", "-c", STOP_APPS], check=False)  # of a node that is just starting, some stay


@pytest.fixture(autouse=True)
def together(request: pytest.FixtureRequest) -> None:
    """A test begins when nodes that were cut off before are known to all again; until then their apps' events are refused."""
    if "lab" in request.fixturenames:
        request.getfixturevalue("lab")
        wait_until("all nodes know each other", cluster.together, 120, 0.5)


def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo) -> None:
    """When a lab test fails, the last lines of who does operations, and of who brings routes in, tell more than the assertion."""
    if call.when == "call" and call.excinfo and "lab" in getattr(item, "fixturenames", ()):
        for node in cluster.running():
            for service in ("worker", "consul-template"):
                item.add_report_section("call", f"{service} of {node.name}", last_lines(node, service))


def last_lines(node: Node, service: str) -> str:
    command = ["docker", "compose", "--project-directory", "/cluster", "logs", "--no-log-prefix", "-t", "--tail", "60", service]
    try:
        return node.inside(command, check=False, timeout=30).stdout[-8000:]
    except LabError as error:
        return str(error)  # what failed may be that node's Docker


def eventually(what: str, condition: object, seconds: float = 60) -> None:
    """Wait until ``condition()`` gives no complaint (an empty or false value)."""
    deadline = time.monotonic() + seconds
    while True:
        complaint = condition()
        if not complaint:
            return
        if time.monotonic() > deadline:
            pytest.fail(f"{what}: {complaint}")
        time.sleep(PAUSE)


def lasts(seconds: float) -> None:
    """How long a fault lasts is part of the fault, not a wait for something."""
    time.sleep(seconds)
