"""Nothing that is wrong with one app, or with Consul, takes another one down or keeps it from being updated."""

import contextlib
import json
from collections.abc import Iterator

import pytest
from conftest import App, Lab, eventually, lasts

from clusterlab import apps, cluster
from clusterlab.run import wait_until
from handler.core import names, record
from handler.worker import SWEEP

pytestmark = pytest.mark.lab


@pytest.fixture(scope="module")
def bad(lab: Lab) -> App:
    return deployed(lab, "bad")


@pytest.fixture(scope="module")
def good(lab: Lab) -> App:
    return deployed(lab, "good")


def deployed(lab: Lab, name: str) -> App:
    app = lab.app(name)
    assert app.deploy("node1")["outcome"] == "committed"
    return app


def put(lab: Lab, key: str, value: str) -> None:
    """As a person does in Consul's UI."""
    lab.node("node2").inside(["curl", "-fsS", "-X", "PUT", "--data-binary", "@-", f"127.0.0.1:8500/v1/kv/{key}"], input=value)


def compose(lab: Lab, node: str, *argv: str) -> str:
    return lab.node(node).inside(["docker", "compose", "--project-directory", "/cluster", *argv]).stdout


def said(lab: Lab, since: str) -> str:
    """What node1 logs of its proxies' parts: consul-template's command and the worker both bring them in, whichever looks first."""
    return compose(lab, "node1", "logs", "--since", since, "consul-template", "worker")


def left_out(lab: Lab, app: App, reason: str) -> bool:
    return any(f"of {app.app} is left out" in line and reason in line for line in said(lab, "2m").splitlines())


def served(app: App) -> str:
    """A complaint unless every node leads to the app."""
    wrong = [node.name for node in cluster.running() if "hello" not in app.ask(node.name)[1]]
    return f"not served through {wrong}" if wrong else ""


def updatable(lab: Lab, app: App, word: str) -> None:
    """A change of the app's record arrives at its users. A node whose Consul has just started may not know the record yet."""
    known = wait_until("the record", app.record, 30)
    changed = known["caddyfile"].replace("encode", f"header X-Word {word}\n\tencode", 1)
    put(lab, names.record_key(app.app), record.dumps({**known, "caddyfile": changed}))
    ask = ["curl", "-si", "-m", "5", "-H", f"Host: {app.domain}", "127.0.0.1"]
    eventually("update", lambda: f"x-word: {word}" not in lab.node("node3").inside(ask, check=False).stdout.lower(), 30)
    put(lab, names.record_key(app.app), record.dumps(known))


def quarantine(app: App) -> str:
    """Everything that is said about the app in ``quarantine/``."""
    return json.dumps(apps.kv(cluster.running()[0], f"quarantine/{app.app}") or {})


def with_option(known: dict, option: str) -> dict:
    backend = {"name": "x", "port": 80, "peer_port": 2345, "ct": known["ct"]}
    return {**known, "haproxy": {"x": {"frontend": {"mode": "tcp", "bind": ["*:2345"], "options": [option]}, "backends": [backend]}}}


DAMAGE = {
    "broken JSON": (lambda _known, _good: "{", "no JSON object"),
    "a list": (lambda _known, _good: "[1]", "no JSON object"),
    "domains that are no list": (lambda known, _good: {**known, "domains": "x"}, "list of domains"),
    "a wrong Caddyfile": (lambda known, _good: {**known, "caddyfile": known["caddyfile"].replace("encode", "encoed")}, "encoed"),
    "a Caddyfile that is cut off": (lambda known, _good: {**known, "caddyfile": known["caddyfile"][:-3]}, "caddyfile"),
    "a wrong HAProxy option": (lambda known, _good: with_option(known, "nosuch option"), "unknown keyword"),
    "a line of too many words": (lambda known, _good: with_option(known, " ".join(["word"] * 70)), "words"),
    "another app's domain": (lambda known, good: {**known, "domains": [*known["domains"], good.domain]}, "belongs to"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_bad_edit_is_left_out_alone_and_lifted_by_its_repair(lab: Lab, good: App, bad: App, damage: str) -> None:
    known = bad.record()
    change, reason = DAMAGE[damage]
    value = change(known, good)
    put(lab, names.record_key(bad.app), value if isinstance(value, str) else record.dumps(value))
    try:
        eventually("quarantine", lambda: reason not in quarantine(bad), 30)
        assert served(good) == ""
        assert served(bad) == "", "its last good routing"
        updatable(lab, good, "word" + str(abs(hash(damage)) % 1000))
        status = compose(lab, "node3", "exec", "-T", "worker", "sh", "-c", "cluster status || true")
        assert f"QUARANTINE {bad.app}" in status
        assert reason in status
        # another node may have said it in Consul before this one heard of it
        eventually("logged", lambda: not left_out(lab, bad, reason), 60)
    finally:
        put(lab, names.record_key(bad.app), record.dumps(known))
    eventually("lifted", lambda: quarantine(bad) != "{}", 30)
    assert served(bad) == ""


def test_a_name_that_does_not_resolve_hurts_its_own_app_only(lab: Lab, good: App, bad: App) -> None:
    known = bad.record()
    put(lab, names.record_key(bad.app), record.dumps({**known, "caddyfile": known["caddyfile"].replace(known["ct"], "nobody.invalid")}))
    try:
        eventually("page", lambda: bad.ask("node2")[0] != 503, 20)
        assert served(good) == ""
        updatable(lab, good, "resolve")
    finally:
        put(lab, names.record_key(bad.app), record.dumps(known))
    eventually("app", lambda: served(bad), 30)


# --- names belong to one app -----------------------------------------------------------------------------------------


@contextlib.contextmanager
def gone_afterwards(*listed: App) -> Iterator[None]:
    """Destroys the apps, so that the names are free for other tests."""
    try:
        yield
    finally:
        for app in listed:
            app.send("destroy")
            app.outcome()


def test_of_two_apps_that_claim_a_domain_at_the_same_moment_one_is_refused(lab: Lab) -> None:
    first, second = lab.app("rival"), lab.app("rival")
    text = (second.folder / "docker-compose.yml").read_text().replace(second.domain, first.domain)
    second.publish(**{"docker-compose__yml": text})
    with gone_afterwards(first, second):
        first.send(source="node1", master="node1")
        second.send(source="node2", master="node2")
        outcomes = [first.outcome(), second.outcome()]
        assert sorted(one["outcome"] for one in outcomes) == ["aborted", "committed"]
        loser = next(one for one in outcomes if one["outcome"] == "aborted")
        assert f"domain/{first.domain} belongs to" in loser["why"]


def test_a_domain_of_another_app_is_refused_while_that_one_serves_on(lab: Lab, good: App) -> None:
    thief = lab.app("thief")
    text = (thief.folder / "docker-compose.yml").read_text().replace(thief.domain, good.domain)
    thief.publish(**{"docker-compose__yml": text})
    outcome = thief.deploy("node2")
    assert outcome["outcome"] == "aborted"
    assert "belongs to" in outcome["why"]
    assert served(good) == ""


# --- checks ----------------------------------------------------------------------------------------------------------


def checks(lab: Lab, node: str, app: App) -> dict[str, dict]:
    """The app's checks, as Consul's UI shows them, from any node."""
    answer = lab.node(node).inside(["curl", "-fsS", "127.0.0.1:8500/v1/health/state/any"]).stdout
    return {check["Name"]: check for check in json.loads(answer) if check["ServiceID"] == app.app}


def test_checks_are_visible_on_all_nodes_and_a_stopped_container_turns_them_critical(lab: Lab, good: App) -> None:
    """Of an app that has been up for a while: each of Consul's looks is a minute after the one before."""
    urls = [f"http://{good.domain}", f"https://{good.domain}"]
    for node in cluster.running():
        eventually("checks", lambda node=node: sorted(checks(lab, node.name, good)) != urls, 20)
        found = checks(lab, node.name, good)
        assert {check["Node"] for check in found.values()} == {"node1"}
    definitions = json.loads(lab.node("node1").inside(["curl", "-fsS", "127.0.0.1:8500/v1/agent/checks"]).stdout)
    assert {one["Interval"] for one in definitions.values() if one["ServiceID"] == good.app} == {"1m0s"}
    eventually("passing", lambda: any(one["Status"] != "passing" for one in checks(lab, "node2", good).values()), 90)
    container = good.record()["ct"]
    lab.node("node1").inside(["docker", "stop", container])
    try:
        eventually("critical", lambda: any(one["Status"] != "critical" for one in checks(lab, "node2", good).values()), 90)
    finally:
        lab.node("node1").inside(["docker", "start", container])


def test_service_json_replaces_the_checks_and_check_urls_are_added(lab: Lab) -> None:
    extra = lab.app("extra")
    text = (extra.folder / "docker-compose.yml").read_text()
    extra.publish(
        **{"docker-compose__yml": text.replace("      CADDYFILE: |", "      CONSUL_CHECK_URLS: http://127.0.0.1:8500/\n      CADDYFILE: |")}
    )
    assert extra.deploy("node1")["outcome"] == "committed"
    wanted = ["http://127.0.0.1:8500/", f"http://{extra.domain}", f"https://{extra.domain}"]
    eventually("checks", lambda: sorted(checks(lab, "node3", extra)) != wanted, 20)
    own = {"service": {"checks": [{"name": "mine", "tcp": "127.0.0.1:80", "interval": "5s"}]}}
    extra.publish(service__json=json.dumps(own))
    assert extra.deploy("node1")["outcome"] == "committed"
    eventually("own checks", lambda: list(checks(lab, "node3", extra)) != ["mine"], 20)


# --- Consul ----------------------------------------------------------------------------------------------------------


def test_an_emptied_tree_stops_nothing_and_a_deploy_repairs_it(lab: Lab, good: App, bad: App) -> None:
    good.write("before")
    lab.node("node3").inside(["curl", "-fsS", "-X", "DELETE", "127.0.0.1:8500/v1/kv/app/?recurse"])
    eventually("seen", lambda: "have vanished" not in said(lab, "1m"), 20)
    compose(lab, "node1", "restart", "worker")  # it looks at everything when it starts
    eventually("worker", lambda: "worker of node1" not in compose(lab, "node1", "logs", "--since", "20s", "worker"), 30)
    for app in (good, bad):
        assert served(app) == ""
    for app in (good, bad):
        assert app.deploy("node1")["outcome"] == "committed"
        eventually("served", lambda app=app: served(app), 20)
    assert "before" in good.read("node2")
    updatable(lab, good, "restored")


def test_consul_away_on_a_node_stops_nothing(lab: Lab, good: App) -> None:
    compose(lab, "node1", "stop", "consul")
    try:
        eventually(
            "gone", lambda: lab.node("node1").inside(["curl", "-fsS", "127.0.0.1:8500/v1/status/leader"], check=False).returncode == 0, 20
        )
        assert served(good) == ""
    finally:
        compose(lab, "node1", "start", "consul")
    eventually("back", lambda: lab.node("node1").inside(["curl", "-fsS", "127.0.0.1:8500/v1/kv/?keys"], check=False).returncode, 60)
    updatable(lab, good, "consul")


def test_all_of_consul_away_stops_nothing(lab: Lab, good: App) -> None:
    for node in cluster.running():
        compose(lab, node.name, "stop", "consul")
    try:
        lasts(SWEEP + 5.0)  # each worker has looked at all its apps meanwhile
        for node in cluster.running():
            assert "hello" in good.ask(node.name)[1]
            assert "hello" in good.ask(node.name, tls=True)[1]
    finally:
        for node in cluster.running():
            compose(lab, node.name, "start", "consul")
    eventually("leader", lambda: lab.node("node1").inside(["curl", "-fsS", "127.0.0.1:8500/v1/kv/?keys"], check=False).returncode, 60)
    updatable(lab, good, "leader")


def test_consul_template_killed_comes_back_by_itself(lab: Lab, good: App) -> None:
    find = ["docker", "inspect", "-f", "{{.State.Pid}}", "cluster-consul-template-1"]
    before = lab.node("node1").inside(find).stdout.strip()
    lab.node("node1").inside(["kill", "-9", before])
    assert served(good) == ""
    eventually("back", lambda: lab.node("node1").inside(find).stdout.strip() in (before, "0"), 30)
    updatable(lab, good, "killed")
