"""Services of a swarm, routed by keys that a person writes under ``swarm/``."""

import json
import socket
import ssl
import time
from collections.abc import Iterator

import pytest
from conftest import Lab, eventually

from clusterlab import cluster
from clusterlab.node import Node

pytestmark = pytest.mark.lab

NETWORK = "shop"
TLS_SHOP, DIRECT = "swarm port 443 shop", "swarm port 9000 shop"
RELOADS = 10
SERVER = (
    "use IO::Socket::INET; $SIG{CHLD} = 'IGNORE'; for my $port (80, 443, 9000) { next if fork;"
    " my $s = IO::Socket::INET->new(LocalPort => $port, Listen => 20, ReuseAddr => 1) or die; while (my $c = $s->accept) {"
    " sysread($c, my $in, 4000); my $text = 'swarm port ' . $port . ' ' . ($in =~ /shop/ ? 'shop' : '');"
    ' print $c $port == 80 ? "HTTP/1.0 200 OK\\r\\nContent-Length: " . length($text) . "\\r\\n\\r\\n$text" : $text; close $c } exit } sleep 100000'
)
"""HTTP on port 80, where swarm_reverse would be; on the others, what was heard."""


def docker(node: Node, *argv: str, check: bool = True) -> str:
    return node.inside(["docker", *argv], check=check).stdout.strip()


@pytest.fixture(scope="module")
def network(lab: Lab) -> Iterator[str]:
    """A real overlay network over the three nodes, where the kernel has vxlan; else one of the same name on each node."""
    first, *others = lab.nodes
    vxlan = "ip link add lab-vxlan type vxlan id 77 dev eth0 dstport 4799 && ip link del lab-vxlan"
    overlay = first.inside(["sh", "-c", vxlan], check=False).returncode == 0
    if overlay:
        if docker(first, "info", "-f", "{{.Swarm.LocalNodeState}}") != "active":
            docker(first, "swarm", "init", "--advertise-addr", first.address)
        token = docker(first, "swarm", "join-token", "-q", "worker")
        for node in others:
            docker(node, "swarm", "join", "--token", token, "--advertise-addr", node.address, f"{first.address}:2377", check=False)
        docker(first, "network", "create", "-d", "overlay", "--attachable", NETWORK)
    else:
        for node in lab.nodes:
            docker(node, "network", "create", NETWORK)
    servers = [others[0]] if overlay else lab.nodes
    for node in servers:
        names = ["--network-alias", "swarm_reverse", "--network-alias", "swarm_tcp"]
        docker(node, "run", "-d", "--name", "swarm-test", "--network", NETWORK, *names, "debian:trixie-slim", "perl", "-e", SERVER)
    for node in lab.nodes:
        docker(node, "network", "connect", NETWORK, "cluster-haproxy-1")
    yield "overlay" if overlay else "bridge"
    for node in lab.nodes:
        docker(node, "network", "disconnect", NETWORK, "cluster-haproxy-1")
        docker(node, "rm", "-f", "swarm-test", check=False)
    for node in [first] if overlay else lab.nodes:
        docker(node, "network", "rm", NETWORK)
    # the nodes stay in the swarm: `docker swarm leave` makes Docker forget the names of all containers on all networks of that host


@pytest.fixture(scope="module")
def keys(lab: Lab, network: str) -> Iterator[None]:
    put(lab, "swarm/our-shop", {"domains": ["shop.example.com"], "haproxy": direct("swarm_tcp")})
    yield
    lab.node("node3").inside(["curl", "-fsS", "-X", "DELETE", "127.0.0.1:8500/v1/kv/swarm/?recurse"])


def put(lab: Lab, key: str, value: object) -> None:
    text = value if isinstance(value, str) else json.dumps(value)
    lab.node("node3").inside(["curl", "-fsS", "-X", "PUT", "-d", text, f"127.0.0.1:8500/v1/kv/{key}"])


def direct(container: str) -> dict:
    backend = {"name": "shop", "port": 9000, "peer_port": 3399, "ct": container}
    return {"shop": {"frontend": {"mode": "tcp", "bind": ["*:3399"], "options": []}, "backends": [backend]}}


def http(node: Node) -> str:
    return node.inside(["curl", "-sS", "-m", "5", "-H", "Host: shop.example.com", f"http://{node.address}/"], check=False).stdout


def heard(address: str, port: int, first: bytes) -> str:
    """What a TCP service answers to ``first``."""
    try:
        with socket.create_connection((address, port), 5) as sock:
            sock.settimeout(5)
            sock.sendall(first)
            return sock.recv(100).decode(errors="replace")
    except OSError as error:
        return str(error)


def hello(name: str) -> bytes:
    """The first words of a TLS client."""
    sent = ssl.MemoryBIO()
    client = ssl.create_default_context().wrap_bio(ssl.MemoryBIO(), sent, server_hostname=name)
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    return sent.read()


HELLO = hello("shop.example.com")


def tls(node: Node) -> str:
    return heard(node.address, 443, HELLO)


def direct_port(node: Node) -> str:
    return heard(node.address, 3399, b"shop?")


def amiss(answer: str, wanted: str) -> str:
    """A complaint for ``eventually``; no answer at all is one, too."""
    return "" if wanted in answer else answer or "no answer"


@pytest.mark.usefixtures("keys")
def test_domains_lead_to_swarm_reverse_from_every_node() -> None:
    for node in cluster.running():
        eventually(node.name, lambda node=node: amiss(http(node), "swarm port 80 shop"), 20)
        eventually(node.name, lambda node=node: amiss(tls(node), TLS_SHOP), 20)


@pytest.mark.usefixtures("keys")
def test_haproxy_leads_directly_to_the_service_from_every_node(record_property: object, network: str) -> None:
    record_property("network", network)
    for node in cluster.running():
        eventually(node.name, lambda node=node: amiss(direct_port(node), DIRECT), 20)


@pytest.mark.usefixtures("keys")
def test_a_reload_of_haproxy_closes_no_connection_to_swarm_reverse(lab: Lab) -> None:
    """A new worker looks the name up before it takes connections: with ``init-addr none`` it would have no address for some milliseconds."""
    node, answers = lab.node("node2"), list[str]()
    eventually("node2 has its haproxy.cfg", lambda: amiss(direct_port(node), DIRECT), 20)
    eventually("the name is found", lambda: amiss(tls(node), TLS_SHOP), 20)
    for _ in range(RELOADS):
        docker(node, "exec", "cluster-haproxy-1", "sh", "-c", "kill -USR2 1")  # docker kill would switch off its restart: moby 11065
        end = time.monotonic() + 2.0
        while time.monotonic() < end:
            answers.append(tls(node))
    failed = [answer for answer in answers if answer != TLS_SHOP]
    assert not failed, f"{len(failed)} of {len(answers)} failed: {set(failed)}"


@pytest.mark.usefixtures("keys")
def test_a_broken_key_keeps_its_last_good_routes(lab: Lab) -> None:
    first, status = lab.node("node1"), ["docker", "compose", "--project-directory", "/cluster", "exec", "-T", "worker", "cluster", "status"]
    eventually("routed", lambda: amiss(http(first), "swarm port 80 shop"), 20)
    eventually("routed", lambda: amiss(direct_port(first), DIRECT), 20)
    put(lab, "swarm/our-shop", "{")
    eventually("quarantine", lambda: amiss(lab.node("node2").inside(status, check=False).stdout, "QUARANTINE swarm/our-shop"), 20)
    assert "swarm port 80" in http(first)
    assert direct_port(first) == DIRECT
    put(lab, "swarm/our-shop", {"domains": ["shop.example.com"], "haproxy": direct("swarm_tcp")})
    eventually("lifted", lambda: "QUARANTINE" in lab.node("node2").inside(status, check=False).stdout, 20)
