"""Copies between deploys: one point of the whole app, verified by the slave, told to everybody, never purged while they are needed."""

import json
import re
from collections.abc import Iterator
from subprocess import CompletedProcess

import pytest
from conftest import HELLO, App, Lab, eventually

from clusterlab import apps, cluster
from clusterlab.node import Node
from clusterlab.run import wait_until
from handler.core import names

pytestmark = pytest.mark.lab

SNAPSHOTS = "/var/lib/buttervolume/snapshots"
LABEL = "com.github.mlfmonde.cluster.pre-snapshot"

JOBS = """
  jobs:
    build: .
    command: ["sleep", "infinity"]
    init: true
    volumes:
      - data:/data
      - dump:/dump
"""


def two_volumes(lab: Lab, name: str, command: str, seconds: int) -> App:
    """examples/hello with a second volume, which the ``pre-snapshot`` command of the app dumps into, and a second container with both."""
    app = lab.app(name)
    text = (HELLO / "docker-compose.yml").read_text().replace("hello.example.com", app.domain)
    text = text.replace("      - data:/data\n", "      - data:/data\n      - dump:/dump\n")
    text = text.replace(
        "    networks:\n", f'    labels:\n      {LABEL}: "{command}"\n      {LABEL}-timeout: "{seconds}"\n    networks:\n', 1
    )
    text = text.replace("\nvolumes:\n", JOBS + "\nvolumes:\n")
    text = text.replace("\nnetworks:\n", "  dump:\n    driver: anybox/buttervolume:latest\n\nnetworks:\n")
    app.publish(**{"docker-compose__yml": text})
    return app


@pytest.fixture(scope="module")
def app(lab: Lab) -> App:
    """An app on node1 with a verified copy on node2."""
    made = two_volumes(lab, "copied", "cp /data/log /dump/log", 5)
    assert made.deploy("node1", "node2")["outcome"] == "committed"
    made.write("first")
    eventually("verified", lambda: missing(lab, made))
    return made


@pytest.fixture
def cut(lab: Lab) -> Iterator[None]:
    """node2 is cut off, and the others know it."""
    node2 = lab.node("node2")
    cluster.cut(node2, cluster.others(node2))
    try:
        wait_until("node2 is seen as gone", lambda: re.search(r"node2 .*GONE", worker(lab, "status").stdout), 60)
        yield
    finally:
        cluster.heal(node2, cluster.others(node2))


def worker(lab: Lab, *argv: str) -> CompletedProcess[str]:
    """The command ``cluster`` on node1."""
    command = ["docker", "compose", "--project-directory", "/cluster", "exec", "-T", "worker", "cluster", *argv]
    return lab.node("node1").inside(command, check=False, timeout=150)


def shown(lab: Lab, app: App) -> str:
    """What ``cluster status`` says of the app."""
    text = worker(lab, "status").stdout
    return re.split(r"\n  (?=\S)", text.partition(f"  {app.app}\n")[2])[0]


def said(lab: Lab, app: App) -> dict:
    """What node2 says that it has."""
    return (apps.kv(lab.node("node1"), "node/node2") or {}).get("copies", {}).get(app.app, {})


def missing(lab: Lab, app: App) -> str:
    return "" if set(said(lab, app)) == volumes(app) else f"node2 says {said(lab, app)}"


def volumes(app: App) -> set[str]:
    return {names.volume_name(app.app, key) for key in ("data", "dump")}


def check(lab: Lab, app: App) -> dict:
    """The check of the copy, as Consul has it."""
    answer = lab.node("node3").inside(["curl", "-fsS", "127.0.0.1:8500/v1/health/state/any"]).stdout
    return next((one for one in json.loads(answer) if one["CheckID"] == f"{app.app}:copy"), {})


def snapshots(node: Node, volume: str) -> list[str]:
    return sorted(name for name in node.inside(["ls", SNAPSHOTS]).stdout.split() if name.startswith(volume + "@"))


def parent(node: Node, snapshot: str) -> str:
    """What a received snapshot was the difference to; ``-`` when it came in full."""
    return re.search(r"Parent UUID:\s+(\S+)", node.inside(["btrfs", "subvolume", "show", f"{SNAPSHOTS}/{snapshot}"]).stdout)[1]


def copy(lab: Lab, app: App) -> str:
    """A round of copies now; returns its time."""
    answer = worker(lab, "copy", app.app)
    assert answer.returncode == 0, answer.stderr
    return re.search(r"copy of (\S+),", answer.stdout)[1]


def schedule(node: Node, volume: str, action: str, timer: str) -> None:
    node.inside(["buttervolume", "schedule", action, timer, volume])


def test_a_round_is_one_point_of_the_whole_app_with_its_own_dump(lab: Lab, app: App) -> None:
    app.write("before the round")
    time = copy(lab, app)
    node2 = lab.node("node2")
    for volume in volumes(app):
        assert f"{volume}@{time}" in snapshots(node2, volume)
        assert said(lab, app)[volume]["snapshot"] == f"{volume}@{time}"
    dump = node2.inside(["cat", f"{SNAPSHOTS}/{names.volume_name(app.app, 'dump')}@{time}/log"]).stdout
    assert dump.split("\n")[:-1] == app.lines
    listed = lab.node("node1").inside(["buttervolume", "scheduled"]).stdout.splitlines()
    ours = [line for line in listed if app.project in line]
    assert len(ours) == 4
    assert all("(paused)" in line for line in ours)
    eventually("sizes", lambda: not all(value["bytes"] for value in said(lab, app).values()), 90)
    status = shown(lab, app)
    assert len(re.findall(r"copy of \S+: \S+ \S+ UTC, \d+ min old, \d+\.\d [kM]B", status)) == 2, status
    assert "PROBLEM" not in status
    assert check(lab, app)["Status"] == "passing"


def test_all_volumes_of_a_copy_are_of_one_moment_while_the_app_writes(lab: Lab, app: App) -> None:
    """In each container a program counts in both volumes, in one just after the other: two moments would differ. One container is what a
    person has started, as by ``docker compose run``.
    """
    node1, node2, services = lab.node("node1"), lab.node("node2"), ("web", "jobs", "by-hand")
    count = 'until (-e "/data/stop") { $i++; for $d ("/data", "/dump") { open F, ">", "$d/t-%s"; print F $i; close F; rename "$d/t-%s", "$d/%s" } }'
    live = f"/var/lib/buttervolume/volumes/{app.volume}"
    web, by_hand = names.container_name(app.app, "web"), names.container_name(app.app, "by-hand")
    image = node1.inside(["docker", "inspect", "-f", "{{.Image}}", web]).stdout.strip()
    labels = [word for label in (f"project={app.project}", "oneoff=True") for word in ("--label", f"com.docker.compose.{label}")]
    node1.inside(["docker", "run", "-d", "--name", by_hand, *labels, "--volumes-from", web, "--entrypoint", "sleep", image, "600"])
    for service in services:
        node1.inside(["docker", "exec", "-d", names.container_name(app.app, service), "perl", "-e", count.replace("%s", service)])
    try:
        for service in services:
            wait_until(
                f"{service} counts", lambda path=f"{live}/{service}": int(node1.inside(["cat", path], check=False).stdout or 0) > 1000, 30
            )
        time = copy(lab, app)
    finally:
        node1.inside(["touch", f"{live}/stop"])
        node1.inside(["docker", "rm", "-f", by_hand])
    for service in services:
        copies = [f"{SNAPSHOTS}/{names.volume_name(app.app, key)}@{time}/{service}" for key in ("data", "dump")]
        first, second = (int(node2.inside(["cat", path]).stdout) for path in copies)
        assert 0 <= first - second <= 1, service


def test_a_purge_keeps_what_the_next_incremental_send_needs(lab: Lab, app: App) -> None:
    node1, node2, volume = lab.node("node1"), lab.node("node2"), app.volume
    for node, source in ((node1, f"/var/lib/buttervolume/volumes/{volume}"), (node2, f"{SNAPSHOTS}/{snapshots(node2, volume)[-1]}")):
        for day in (1, 2, 3):
            old = f"{SNAPSHOTS}/{volume}@2020-01-0{day}T00:00:00.000000"
            node.inside(["btrfs", "subvolume", "snapshot", "-r", source, old])
    copy(lab, app)
    time = copy(lab, app)
    pattern = "purge:1m:2m"
    for node in (node1, node2):
        schedule(node, volume, pattern, "1")
    try:
        for node in (node1, node2):
            eventually(f"purged on {node.name}", lambda node=node: [n for n in snapshots(node, volume) if "@2020" in n], 120)
            assert f"{volume}@{time}" in snapshots(node, volume)
        assert f"{volume}@{time}@{node2.address}" in snapshots(node1, volume)
    finally:
        for node in (node1, node2):
            schedule(node, volume, pattern, "delete")
    app.write("after the purge")
    after = copy(lab, app)
    assert parent(node2, f"{volume}@{after}") != "-"


def test_a_dead_worker_leaves_no_app_paused(lab: Lab, app: App) -> None:
    """As a worker leaves it that is killed between pausing and taking up again: its mark is on disk, the containers are frozen."""
    node1, container = lab.node("node1"), names.container_name(app.app, "web")
    journal = f"/var/lib/cluster/journal/{app.app}"
    node1.inside(["sh", "-c", f"mkdir -p {journal} && echo 'paused: {container}' > {journal}/copy"])
    node1.inside(["docker", "pause", container])
    node1.inside(["pkill", "-9", "-f", "handler work"])
    state = ["docker", "inspect", "-f", "{{.State.Status}}", container]
    eventually("the app goes on", lambda: node1.inside(state).stdout.strip() != "running", 60)
    assert app.ask("node3")[0] == 200
    node1.inside(["docker", "pause", container])  # by a person: that is theirs
    try:
        answer = worker(lab, "copy", app.app)
        assert "web does not run" in answer.stderr, answer
        assert node1.inside(state).stdout.strip() == "paused"
    finally:
        node1.inside(["docker", "unpause", container])


@pytest.mark.faults
def test_missed_copies_are_critical_and_heal_by_themselves(lab: Lab, app: App, cut: None) -> None:
    other = two_volumes(lab, "lonely", "sleep 20", 1)
    other.send(master="node1", slave="node2", source="node1")
    assert other.outcome()["outcome"] == "committed"
    for _ in range(3):
        answer = worker(lab, "copy", app.app)
        assert answer.returncode == 1
        assert "node2 is down" in answer.stderr
    eventually("critical", lambda: check(lab, app).get("Status") != "critical", 60)
    status = worker(lab, "status")
    assert status.returncode == 1
    assert "rounds of copies failed in a row: node2 is down" in shown(lab, app)
    before = said(lab, app)

    cluster.heal(lab.node("node2"), cluster.others(lab.node("node2")))
    eventually("a new copy", lambda: any(said(lab, app)[volume] == before[volume] for volume in volumes(app)), 150)
    eventually("passing", lambda: check(lab, app).get("Status") != "passing", 90)
    eventually("the slave that was down at a deploy has its copy", lambda: missing(lab, other), 90)
    assert "PROBLEM" not in shown(lab, app)

    answer = worker(lab, "copy", other.app)
    assert answer.returncode == 1
    assert re.search(r"pre-snapshot of web: .*(more than 1 s|not ended since)", answer.stderr), answer.stderr
    newest = {said(lab, other)[volume]["snapshot"].partition("@")[2] for volume in volumes(other)}
    assert len(newest) == 1
    assert not missing(lab, other)


def test_rounds_are_made_when_the_schedule_says(lab: Lab, app: App) -> None:
    copy(lab, app)
    before = said(lab, app)
    node1 = lab.node("node1")
    for volume in volumes(app):
        for timer in ("1", "pause"):  # else Buttervolume's own scheduler may be faster than the worker, which pauses the line
            schedule(node1, volume, f"replicate:{lab.node('node2').address}", timer)
    eventually("a new copy", lambda: any(said(lab, app)[volume] == before[volume] for volume in volumes(app)), 150)
    assert len({value["snapshot"].partition("@")[2] for value in said(lab, app).values()}) == 1
