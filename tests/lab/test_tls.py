"""Certificates of a real ACME server: obtained through the cluster, served by every node, kept when the app moves."""

import pytest
from conftest import App, Lab, eventually

from clusterlab import acme, cluster
from clusterlab.run import PROJECT

pytestmark = pytest.mark.lab

COMPOSE = (PROJECT / "examples" / "hello" / "docker-compose.yml").read_text().replace("tls self_signed", "tls admin@example.com")


def served(lab: Lab, app: App, through: str, client: str = "node3") -> tuple[str, str]:
    """(serial number, first line of the answer) over verified HTTPS, asked by one node through another; empty when it fails."""
    where = f"{app.domain}:443:{lab.node(through).address}"
    lab.node(client).inside(["tee", "/tmp/acme-root.pem"], input=acme.root())
    options = ["-sS", "-m", "10", "--cacert", "/tmp/acme-root.pem", "--resolve", where, "-w", "%{certs}"]
    answer = lab.node(client).inside(["curl", *options, f"https://{app.domain}/"], check=False).stdout
    serial = next((line for line in answer.splitlines() if line.startswith("Serial Number:")), "")
    return serial, answer.partition("\n")[0]


def test_a_certificate_is_obtained_served_by_all_and_kept_over_a_move(lab: Lab) -> None:
    app = lab.app("secure")
    app.publish(**{"docker-compose__yml": COMPOSE.replace("hello.example.com", app.domain)})
    assert app.deploy("node1", "node2")["outcome"] == "committed"
    eventually("certificate", lambda: not served(lab, app, "node2")[0], 30)
    first = served(lab, app, "node2")[0]
    for node in cluster.running():
        serial, text = served(lab, app, node.name)
        assert (serial, "hello" in text) == (first, True)
    key = f"/v1/kv/certificates/{app.domain}"
    eventually("shared", lambda: lab.node("node2").inside(["curl", "-fsS", f"127.0.0.1:8500{key}"], check=False).returncode, 15)
    eventually("taken", lambda: "taken from another node" not in worker_log(lab, "node2"), 15)
    for place in (("node2", "node1"), ("node1", "node2")):
        assert app.deploy(*place)["outcome"] == "committed"
        for node in cluster.running():
            serial, text = served(lab, app, node.name)
            assert (serial, "hello" in text) == (first, True), place
    app.send("destroy")
    assert app.outcome()["outcome"] == "committed"
    eventually("forgotten", lambda: lab.node("node2").inside(["curl", "-fsS", f"127.0.0.1:8500{key}"], check=False).returncode == 0, 15)


def worker_log(lab: Lab, node: str) -> str:
    return lab.node(node).inside(["docker", "compose", "--project-directory", "/cluster", "logs", "--no-log-prefix", "worker"]).stdout
