"""The client's address arrives at the app, whatever way a request takes, and nobody can pretend to be another."""

import re

import pytest
from conftest import App, Lab, eventually

from clusterlab.cluster import GIT
from clusterlab.run import run

pytestmark = pytest.mark.lab

SPOOFED = "203.0.113.7"
PROXY = f"PROXY TCP4 {SPOOFED} 10.0.0.1 1234 80\\r\\n"


@pytest.fixture(scope="module")
def app(lab: Lab) -> App:
    app = lab.app("address")
    assert app.deploy("node1")["outcome"] == "committed"
    eventually("https", lambda: app.ask("node2", tls=True)[0] != 200, 10)
    return app


def seen(lab: Lab, app: App, client: str, through: str, *, tls: bool, more: tuple[str, ...] = ()) -> dict[str, str]:
    """The forwarded headers that the app got, when node ``client`` asked node ``through``."""
    scheme, port, address = ("https", 443, lab.node(through).address) if tls else ("http", 80, lab.node(through).address)
    where = ["--resolve", f"{app.domain}:{port}:{address}"]
    text = lab.node(client).inside(["curl", "-sk", "-m", "20", *where, *more, f"{scheme}://{app.domain}/headers"]).stdout
    return {name.lower(): value.strip() for name, value in re.findall(r"^(X-[\w-]+): (.*)$", text, re.MULTILINE | re.IGNORECASE)}


@pytest.mark.parametrize("tls", [False, True], ids=["http", "https"])
@pytest.mark.parametrize("through", ["node1", "node2"], ids=["own node", "foreign node"])
def test_the_app_sees_the_client(lab: Lab, app: App, through: str, tls: bool) -> None:
    found = seen(lab, app, "node3", through, tls=tls)
    assert found["x-forwarded-for"] == lab.node("node3").address
    assert found["x-forwarded-proto"] == ("https" if tls else "http")
    assert found["x-forwarded-host"] == app.domain


def test_headers_of_the_client_are_not_believed(lab: Lab, app: App) -> None:
    found = seen(lab, app, "node3", "node2", tls=False, more=("-H", f"X-Forwarded-For: {SPOOFED}", "-H", "X-Forwarded-Proto: https"))
    assert found["x-forwarded-for"] == lab.node("node3").address
    assert found["x-forwarded-proto"] == "http"


def spoof(app: App, address: str, port: int) -> list[str]:
    """A command that speaks the PROXY protocol to ``address`` and prints the answer."""
    script = (
        "use IO::Socket::INET; my $s = IO::Socket::INET->new(PeerAddr => $ARGV[0], PeerPort => $ARGV[1], Timeout => 5) or exit print 'refused';"
        f' print $s "{PROXY}GET /headers HTTP/1.1\\r\\nHost: {app.domain}\\r\\nConnection: close\\r\\n\\r\\n";'
        " $SIG{ALRM} = sub { exit }; alarm 10; print while <$s>;"
    )
    return ["perl", "-e", script, address, str(port)]


def in_a_container(lab: Lab, node: str, command: list[str]) -> str:
    """What a container on the apps' network prints."""
    run = ["docker", "run", "--rm", "--network", "cluster_default", "debian:trixie-slim", *command]
    return lab.node(node).inside(run, check=False).stdout


def test_a_container_s_proxy_header_is_refused_by_caddy(lab: Lab, app: App) -> None:
    assert "x-forwarded-for" not in in_a_container(lab, "node1", spoof(app, "caddy", 80)).lower()


@pytest.mark.parametrize("node", ["node1", "node2"], ids=["own node", "foreign node"])
@pytest.mark.parametrize("port", [1080, 1081])
def test_a_container_s_proxy_header_is_refused_by_the_peer_ports(lab: Lab, app: App, node: str, port: int) -> None:
    eventually("rules", lambda: "--dports 1080" not in lab.node(node).inside(["iptables", "-S", "CLUSTER-PORTS"], check=False).stdout, 20)
    assert in_a_container(lab, node, spoof(app, lab.node("node1").address, port)) in ("", "refused")


@pytest.mark.parametrize("port", [80, 1080, 1081])
def test_a_proxy_header_from_outside_is_refused(lab: Lab, app: App, port: int) -> None:
    """The lab's git server is not a node."""
    answer = run(["docker", "exec", GIT, *spoof(app, lab.node("node1").address, port)], check=False).stdout
    assert "x-forwarded-for" not in answer.lower()
    assert "200" not in answer.partition("\n")[0]
