"""Migrate on real nodes: the data of one app in another, made its own by the repository's scripts; the first one does not notice."""

import pytest
import state
from conftest import App, Lab, eventually

from clusterlab import apps
from clusterlab.run import PROJECT
from clusterlab.visitor import asking
from handler.core import names

pytestmark = pytest.mark.lab

COMPOSE = "docker-compose__yml"
POST = """#!/bin/sh
volume=/var/lib/buttervolume/volumes/{project}_data
echo "migrated: $*" >> $volume/log
"""
UPDATE = """#!/bin/sh
echo "updated: $*" >> /var/lib/buttervolume/volumes/{project}_data/log
"""


def couple(lab: Lab, name: str, place: tuple[str, str], **changes: str) -> tuple[App, App]:
    """Production on node1 with a copy on node2, and staging, with a second volume that is not migrated, somewhere."""
    compose = (PROJECT / "examples/hello/docker-compose.yml").read_text()
    label = 'labels: {com.github.mlfmonde.cluster.nonmigrable: "true"}'
    more = compose.replace("- data:/data", "- data:/data\n      - own:/own")
    more = more.replace("\nnetworks:\n", f"\n  own:\n    driver: anybox/buttervolume:latest\n    {label}\n\nnetworks:\n")
    production, staging = lab.app(name), lab.app(f"{name}test")
    for app in (production, staging):
        app.publish(**{COMPOSE: more.replace("hello.example.com", app.domain)})
    texts = {file: text.format(project=staging.project) for file, text in changes.items()}
    staging.publish(**{COMPOSE: more.replace("hello.example.com", staging.domain)}, **texts)
    assert production.deploy("node1", "node2")["outcome"] == "committed"
    assert staging.deploy(*place)["outcome"] == "committed"
    production.write("production")
    staging.write("staging")
    for app in (production, staging):
        lab.node(app.record()["master"]).inside(["sh", "-c", f"echo {app.name} > /var/lib/buttervolume/volumes/{app.project}_own/who"])
    return production, staging


def bring(production: App, staging: App, **more: object) -> dict:
    payload = {"target": {"repo": staging.repo}, **more}
    production.send("migrate", **payload)
    staging.event = production.event
    return staging.outcome()


@pytest.mark.parametrize(
    "place",
    [
        pytest.param(("node1", "node3"), id="same node", marks=pytest.mark.faults),
        pytest.param(("node2", "node1"), id="slave of the other", marks=pytest.mark.faults),
        pytest.param(("node3", ""), id="elsewhere"),
    ],
)
def test_data_arrives_and_is_made_staging_s_own_while_production_serves_on(lab: Lab, place: tuple[str, str]) -> None:
    production, staging = couple(lab, "prod", place, post_migrate__sh=POST, update__sh=UPDATE)
    lab.git_cut(place[0])  # all that it needs is there
    try:
        with asking(lab.node("node3").address, production.domain) as seen:
            assert bring(production, staging)["outcome"] == "committed"
    finally:
        lab.git_heal(place[0])
    assert seen.failed == []
    arguments = f"-r {staging.repo} -b main"
    assert staging.read("node1") == ["production", f"migrated: -R {production.repo} -B main {arguments}", f"updated: {arguments}"]
    assert production.read("node2") == ["production"]
    node = lab.node(place[0])
    assert node.inside(["cat", f"/var/lib/buttervolume/volumes/{staging.project}_own/who"]).stdout.strip() == staging.name
    production.write("more")
    assert "more" not in staging.read("node3")
    point = next(iter(apps.kv(node, names.op_key(staging.app, staging.event, "snapshots")).values())).partition("@")[2]
    staging.send("rollback", to=point)
    assert staging.outcome()["outcome"] == "committed"
    assert staging.read("node2") == ["staging"], "its former data can be brought back"
    kept = [name for name in state.observed(lab.node("node3"), production)["snapshots"] if place[0] == "node3"]
    assert not kept, "what was only sent for this is dropped"


def test_when_a_script_fails_the_target_s_data_is_back(lab: Lab) -> None:
    production, staging = couple(lab, "fail", ("node2", "node1"), post_migrate__sh=POST + "echo cannot clean >&2; exit 3\n")
    before = staging.record()
    outcome = bring(production, staging)
    assert outcome["outcome"] == "aborted"
    assert "post_migrate.sh" in outcome["why"]
    eventually("served again", lambda: staging.ask("node3")[0] != 200)
    assert staging.read("node3") == ["staging"]
    assert staging.record()["deploy_id"] == before["deploy_id"]
    assert "cannot clean" in staging.history()["tail"]
    # nothing in common: refused before anything is done
    other = lab.app("other")
    text = (PROJECT / "examples/hello/docker-compose.yml").read_text().replace("hello.example.com", other.domain)
    other.publish(**{COMPOSE: text.replace("data:/data", "files:/data").replace("  data:\n", "  files:\n")})
    assert other.deploy("node1")["outcome"] == "committed"
    assert "no volume in common" in bring(production, other)["why"]
