"""HAPROXY in the lab: a TCP service and a rule in http-in, through every node, before and after a move."""

import pytest
from conftest import App, Lab, eventually

from clusterlab import cluster

pytestmark = pytest.mark.lab

HAPROXY = """      HAPROXY: |
        NAME-tcp:
          frontend: {mode: tcp, bind: ["*:PORT"]}
          backends: [{name: NAME-tcp, port: 80, peer_port: PORT}]
        http-in:
          backends: [{name: NAME-http, port: 80, peer_port: 80, use_backend_option: "if { hdr(host) -i direct-NAME.example.com }"}]
"""


def with_haproxy(lab: Lab, name: str, port: int) -> App:
    app = lab.app(name)
    text = (app.folder / "docker-compose.yml").read_text()
    value = HAPROXY.replace("NAME", app.name).replace("PORT", str(port))
    app.publish(**{"docker-compose__yml": text.replace("    environment:\n", "    environment:\n" + value, 1)})
    return app


def ask(lab: Lab, source: str, target: str, port: int, *more: str) -> str:
    url = f"http://{lab.node(target).address}:{port}/data"
    return lab.node(source).inside(["curl", "-sf", "-m", "10", *more, url], check=False).stdout


def test_a_tcp_service_is_reached_through_every_node_and_follows_its_app(lab: Lab) -> None:
    app = with_haproxy(lab, "tcp", 2222)
    assert app.deploy("node1", "node2")["outcome"] == "committed"
    app.write("kept")
    host = ("-H", f"Host: direct-{app.name}.example.com")
    for master in ("node1", "node2"):
        if master != "node1":
            assert app.deploy(master, "node1")["outcome"] == "committed"
        for node in cluster.running():
            eventually("tcp", lambda node=node: ask(lab, "node3", node.name, 2222) != "kept\n", 15)
            eventually("http-in", lambda node=node: ask(lab, "node3", node.name, 80, *host) != "kept\n", 15)
    app.send("destroy")
    assert app.outcome()["outcome"] == "committed"
    eventually("closed", lambda: ask(lab, "node3", "node1", 2222), 15)
    eventually("no rules", lambda: "2222" in lab.node("node1").inside(["iptables-save"]).stdout, 15)


def test_a_port_or_frontend_of_another_app_is_refused_before_anything_is_changed(lab: Lab) -> None:
    first, second = with_haproxy(lab, "owner", 2223), with_haproxy(lab, "thief", 2223)
    assert first.deploy("node1")["outcome"] == "committed"
    assert second.deploy("node2")["outcome"] == "aborted"
    assert "2223" in second.history()["why"]
    assert second.record() == {}
