"""The maintenance page: when a person wants it, when a hold takes too long, when the app's container is down."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from conftest import App, Lab, eventually

from clusterlab import cluster

pytestmark = pytest.mark.lab

OWN = "<!doctype html><h1>We are painting the walls, {visitor}</h1>"
DEFAULT = "Back in a moment"


def kv(lab: Lab, *argv: str) -> None:
    lab.node("node2").inside(["docker", "compose", "--project-directory", "/cluster", "exec", "-T", "consul", "consul", "kv", *argv])


def shows(app: App, page: str, node: str, *, tls: bool) -> str:
    """A complaint unless that node answers with the page."""
    status, text = app.ask(node, tls=tls)
    return "" if status == 503 and page in text else f"{node} says {status}: {text[:200]}"


def works(app: App, node: str, *, tls: bool) -> str:
    return "" if app.ask(node, tls=tls)[0] == 200 else f"{node} does not answer"


def both(ask: Callable[[bool], str]) -> list[str]:
    """Ask without and with TLS, at the same time."""
    with ThreadPoolExecutor() as pool:
        return list(pool.map(ask, (False, True)))


def on_all(app: App, what: object, seconds: float = 15, **more: object) -> None:
    for tls in (False, True):
        for node in cluster.running():
            eventually("answer", lambda node=node, tls=tls: what(app, node=node.name, tls=tls, **more), seconds)


@pytest.mark.parametrize("own", [False, True], ids=["default", "own"])
def test_a_hand_set_page_is_shown_on_all_nodes_until_it_is_removed(lab: Lab, own: bool) -> None:
    app = lab.app("page", **({"maintenance__html": OWN} if own else {}))
    assert app.deploy("node1")["outcome"] == "committed"
    kv(lab, "put", f"maintenance/{app.app}", json.dumps({"mode": "page"}))
    on_all(app, shows, page=OWN if own else DEFAULT)
    kv(lab, "delete", f"maintenance/{app.app}")
    on_all(app, works)


def test_a_hand_set_page_stays_while_the_app_moves(lab: Lab) -> None:
    """Who looks at what moved before the visitors do takes the page away when it pleases them."""
    app = lab.app("paged")
    assert app.deploy("node1", "node2")["outcome"] == "committed"
    kv(lab, "put", f"maintenance/{app.app}", json.dumps({"mode": "page", "why": "deploy day"}))
    on_all(app, shows, page=DEFAULT)
    assert app.deploy("node2", "node1")["outcome"] == "committed"
    on_all(app, shows, page=DEFAULT)
    kv(lab, "delete", f"maintenance/{app.app}")
    on_all(app, works)


def test_a_hold_that_lasts_too_long_ends_in_the_page(lab: Lab) -> None:
    app = lab.app("held")
    assert app.deploy("node1")["outcome"] == "committed"
    kv(lab, "put", f"maintenance/{app.app}", json.dumps({"mode": "hold"}))
    eventually("held", lambda: app.app not in lab.node("node3").inside(["cat", "/run/cluster/proxies-applied.json"]).stdout, 10)
    for node in ("node3", "node1"):  # the second one finds the hold's time already over
        assert both(lambda tls, node=node: shows(app, DEFAULT, node, tls=tls)) == ["", ""]
    kv(lab, "delete", f"maintenance/{app.app}")
    eventually("app", lambda: any(both(lambda tls: works(app, "node3", tls=tls))), 20)


@pytest.mark.parametrize("own", [False, True], ids=["default", "own"])
def test_a_container_that_is_down_means_the_page_with_retry_after(lab: Lab, own: bool) -> None:
    app = lab.app("down", **({"maintenance__html": OWN} if own else {}))
    assert app.deploy("node1")["outcome"] == "committed"
    container = app.record()["ct"]
    lab.node("node1").inside(["docker", "stop", container])
    on_all(app, shows, page=OWN if own else DEFAULT)
    answer = lab.node("node2").inside(["curl", "-si", "-H", f"Host: {app.domain}", "127.0.0.1"]).stdout.lower()
    assert "retry-after: 5" in answer
    assert "content-type: text/html" in answer
    lab.node("node1").inside(["docker", "start", container])
    on_all(app, works)


def test_a_node_that_is_gone_means_the_page_on_the_others(lab: Lab) -> None:
    app = lab.app("gone")
    assert app.deploy("node1")["outcome"] == "committed"
    node1 = lab.node("node1")
    cluster.cut(node1, cluster.others(node1))
    try:
        eventually("page", lambda: shows(app, DEFAULT, "node3", tls=False), 20)
    finally:
        cluster.heal(node1, cluster.others(node1))
    eventually("app", lambda: works(app, "node3", tls=False), 60)
