"""Requests on TLS connections that were open before: Caddy leads them through HAProxy, which holds them. With both real programs."""

import http.client
import json
import os
import re
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from programs import free_port, need
from services import Server, echo
from test_maps import stage_maps

from clusterlab.run import PROJECT, wait_until
from handler.core import caddyfile
from handler.core.caddyfile import common
from handler.proxies import away, maps
from handler.proxies.paths import Paths, talk

pytestmark = pytest.mark.component

APP, HOST = "shop_main.12345", "shop.example.com"
DOMAINS = f"# app: {APP} {{event}}\n{HOST} {{node}}\n"
HAPROXY = """global
    stats socket {run}/haproxy/admin.sock mode 600 level admin
    lua-load {project}/haproxy/hold.lua
defaults
    timeout connect 5s
    timeout client 60s
    timeout server 60s
{frontend}
backend page-tls
    mode tcp
    server caddy 127.0.0.1:1 send-proxy-v2
backend tls-node1
    mode tcp
    server caddy 127.0.0.1:{https} send-proxy-v2
backend tls-node2
    mode tcp
    server caddy 127.0.0.1:{other} send-proxy-v2
"""
OPTIONS = """{{
	admin off
	skip_install_trust
	{order}
	http_port {http}
	https_port {https}
	servers {{
		listener_wrappers {{
			proxy_protocol {{
				fallback_policy use
			}}
			tls
		}}
	}}
}}
"""
SITE = f"""https://{HOST} {{
	tls internal
	redir /from /to
	rewrite /new* /old
	handle /sub/* {{
		reverse_proxy $CONTAINER:1
	}}
	reverse_proxy $CONTAINER:1
}}
"""


class Both:
    """HAProxy in front of two Caddys, ``node1`` and ``node2``, each with an echo behind it; marks are those of node1."""

    def __init__(self, paths: Paths) -> None:
        self.paths, self.haproxy, self.https, self.other = paths, free_port(), free_port(), free_port()
        self.echoes = {"node1": echo("node1"), "node2": echo("node2")}
        (paths.run / "haproxy").mkdir(parents=True)
        self.routes("node1", "e1")
        config = paths.haproxy / "haproxy.cfg"
        config.write_text(HAPROXY.format(run=paths.run, project=PROJECT, frontend=self._frontend(), **vars(self)))
        environment = {**os.environ, "HOLD_MAP": str(paths.haproxy / "hold.map")}
        self.programs = [subprocess.Popen(["haproxy", "-db", "-f", str(config)], env=environment)]
        for name, port in (("node1", self.https), ("node2", self.other)):
            self.programs.append(self._caddy(paths.state / name, name, port))
        for port in (self.haproxy, self.https, self.other):
            wait_until("it listens", lambda port=port: _listens(port), 20, 0.05)
        for port in (self.https, self.other):
            wait_until("a certificate", lambda port=port: _has_certificate(port), 40, 0.1)

    def _frontend(self) -> str:
        """The template's own lines."""
        found = re.search(r"frontend https-in\n.*?use_backend tls-\S+", (PROJECT / "templates/haproxy.cfg.ctmpl").read_text(), re.DOTALL)
        changes = {
            "*:443": f"127.0.0.1:{free_port()}",
            "*:1445": f"127.0.0.1:{self.haproxy}",
            "dst_port 1445": f"dst_port {self.haproxy}",
            '{{ env "PROXY_SUBNET" }}': "127.0.0.0/8",
            "{{ $self }}": "node1",
            "/var/lib/cluster/proxy/haproxy": str(self.paths.haproxy),
        }
        text = found[0]
        for old, new in changes.items():
            assert old in text
            text = text.replace(old, new)
        return text

    def _caddy(self, folder: Path, name: str, port: int) -> subprocess.Popen:
        folder.mkdir()
        text = caddyfile.translate(SITE, "ct", APP).caddyfile.replace("ct:1", f"127.0.0.1:{self.echoes[name].server_address[1]}")
        routes, _, _ = common.ROUTES.replace("haproxy.proxies:1445", f"127.0.0.1:{self.haproxy}").partition("http://")
        (order,) = re.findall(r"order .*", (PROJECT / "templates/Caddyfile.ctmpl").read_text())
        config = (
            OPTIONS.format(order=order, http=free_port(), https=port) + routes.replace("/etc/cluster/caddy", str(PROJECT / "caddy")) + text
        )
        if name == "node1":
            live = self.paths.caddy / "Caddyfile"
            live.parent.mkdir(parents=True)
            live.write_text(f"# app: {APP}\n{text}")
        config = config.replace(common.MARKS, str(self.paths.away if name == "node1" else folder / "none"))
        (folder / "Caddyfile").write_text(config)
        environment = {**os.environ, "XDG_DATA_HOME": str(folder), "XDG_CONFIG_HOME": str(folder)}
        argv = ["caddy", "run", "--adapter", "caddyfile", "--config", str(folder / "Caddyfile")]
        return subprocess.Popen(argv, env=environment, stderr=(folder / "log").open("w"))

    def routes(self, node: str, event: str, hold: str = "") -> None:
        """What consul-template renders."""
        stage_maps(self.paths, DOMAINS.format(node=node, event=event), hold)
        maps.apply(self.paths)

    def waiting(self) -> int:
        """Connections that HAProxy has sent nowhere yet."""
        return talk(self.paths.run / "haproxy" / "admin.sock", "show sess").count("fe=https-in be=<NONE>")

    def stop(self) -> None:
        for program in self.programs:
            program.terminate()
        for program in self.programs:
            program.wait(15)
        for server in self.echoes.values():
            _end(server)


def _listens(port: int) -> bool:
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", port)) == 0


def _has_certificate(port: int) -> bool:
    try:
        Visitor(port).connection.close()
    except OSError:
        return False
    return True


def _end(server: Server) -> None:
    server.shutdown()
    server.server_close()


class Visitor:
    """Keeps a TLS connection to node1's Caddy; what HAProxy says of its address is said by itself, as it comes without HAProxy."""

    def __init__(self, port: int) -> None:
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        plain = socket.create_connection(("127.0.0.1", port), 20)
        plain.sendall(b"PROXY TCP4 203.0.113.7 127.0.0.1 4711 443\r\n")
        self.connection = http.client.HTTPConnection(HOST, timeout=40)
        self.connection.sock = context.wrap_socket(plain, server_hostname=HOST)
        self.connection.auto_open = 0

    def ask(self, path: str = "/", method: str = "GET", body: bytes | None = None, **headers: str) -> tuple[int, dict, dict]:
        self.connection.request(method, path, body, headers)
        answer = self.connection.getresponse()
        text = answer.read().decode()
        return answer.status, json.loads(text) if text.startswith("{") else {}, {k.lower(): v for k, v in answer.getheaders()}


@pytest.fixture
def both(paths: Paths) -> Iterator[Both]:
    for program in ("caddy", "haproxy"):
        need(program)
    found = Both(paths)
    yield found
    found.stop()


def asked(visitor: Visitor, both: Both, *arguments: object) -> list:
    """A request that waits now; its answer is put into the list."""
    answers: list = []
    thread = threading.Thread(target=lambda: answers.append(visitor.ask(*arguments)), daemon=True)
    thread.start()
    wait_until("it waits", lambda: both.waiting() or answers, 20, 0.02)
    assert not answers, answers
    answers.append(thread)
    return answers


def test_a_request_on_an_open_connection_waits_and_finds_the_app_where_it_is_then(both: Both) -> None:
    visitors = [Visitor(both.https) for _ in range(2)]
    for visitor in visitors:
        status, said, headers = visitor.ask()
        assert (status, said["name"], headers.get("connection")) == (200, "node1", None)
    both.routes("node1", "e1", f"# app: {APP} hold:e2\n")
    waiting = asked(visitors[0], both, "/new/page?a=1", "POST", b"x" * 100000)
    both.routes("node2", "e2")
    waiting.pop(0).join(30)
    ((status, said, headers),) = waiting
    assert (status, said["name"], said["path"]) == (200, "node2", "/old?a=1")
    assert (said["Host"], said["X-Forwarded-For"], said["X-Forwarded-Proto"]) == (HOST, "203.0.113.7", "https")
    assert headers["connection"] == "close"
    # whoever asks after the move, and before this node's Caddy has dropped the app, is led on as well
    assert visitors[1].ask("/sub/x")[1]["name"] == "node2"


def test_in_place_it_reaches_the_app_again(both: Both) -> None:
    visitor = Visitor(both.https)
    visitor.ask()
    both.routes("node1", "e1", f"# app: {APP} hold:e2\n")
    waiting = asked(visitor, both)
    both.routes("node1", "e2")
    waiting.pop(0).join(30)
    assert waiting[0][0] == 200
    assert waiting[0][1]["name"] == "node1"
    assert not list(both.paths.away.iterdir())


def test_nothing_is_led_in_circles(both: Both) -> None:
    """Here HAProxy leads to the node that has the mark; that takes two nodes that disagree."""
    both.paths.away.mkdir(parents=True)
    (both.paths.away / APP).touch()
    status, _, headers = Visitor(both.https).ask()
    assert status == 503
    assert headers["retry-after"] == "5"


def test_a_redirect_of_the_site_does_not_come_before_the_hold(both: Both) -> None:
    """Its rules may be other ones after the switch."""
    visitor = Visitor(both.https)
    assert visitor.ask("/from")[0] == 302
    both.routes("node1", "e1", f"# app: {APP} hold:e2\n")
    waiting = asked(visitor, both, "/from")
    both.routes("node2", "e2")
    waiting.pop(0).join(30)
    assert waiting[0][0] == 302


def test_a_request_without_tls_is_never_led_away() -> None:
    """HAProxy has held it; one that comes when the mark is still there is answered."""
    both = caddyfile.translate("shop.example.com {\nproxy / http://ct:1\n}", "ct", APP).caddyfile
    assert f"@{common.AWAY} {{\n\t\tprotocol https\n" in both
    assert common.AWAY not in caddyfile.translate("http://shop.example.com {\nproxy / http://ct:1\n}", "ct", APP).caddyfile


def test_a_mark_is_there_only_while_haproxy_holds(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else what Caddy leads to HAProxy comes back at once, to the mark."""
    there: list[tuple[str, bool]] = []

    def talk(sock: Path, line: str, _seconds: float = 0) -> str:
        if sock.name == "admin.sock":
            there.append((line.partition(" ")[0], (paths.away / APP).exists()))
        return ""

    monkeypatch.setattr(maps, "talk", talk)
    stage_maps(paths, DOMAINS.format(node="node1", event="e1"))
    maps.apply(paths)
    there.clear()
    maps.hold_now(paths, APP, "e2")
    assert there == [("add", False)]
    assert (paths.away / APP).exists()
    there.clear()
    stage_maps(paths, DOMAINS.format(node="node1", event="e2"))
    maps.apply(paths)
    assert there == [("del", False)]


@pytest.mark.parametrize("name", ["swarm/wiki", "../escaped", "/escaped", ".hidden", "a" * 300])
def test_a_key_of_any_name_below_maintenance_hurts_no_app(paths: Paths, name: str) -> None:
    stage_maps(paths, "# app: shop e1\ns.example.com node1\n", f"# app: {name} hold:e2\n# app: shop hold:e2\n")
    maps.apply(paths)
    assert [mark.name for mark in paths.away.iterdir()] == ["shop"]
    assert not list(paths.run.rglob("*escaped*"))
    stage_maps(paths, "# app: shop e2\ns.example.com node1\n", f"# app: {name} hold:e2\n")
    maps.apply(paths)
    assert not list(paths.away.iterdir())


def test_marks_are_of_what_is_held_and_of_what_has_left(paths: Paths) -> None:
    paths.caddy.mkdir(parents=True)
    (paths.caddy / "Caddyfile").write_text("".join(f"# app: {app}\n" for app in ("left", "here", "new")))
    stage_maps(paths, "# app: left e1\na.example.com node2\n# app: here e1\nb.example.com node1\n# app: other e1\nc.example.com node2\n")
    maps.apply(paths)
    assert {mark.name for mark in paths.away.iterdir()} == {"left"}
    assert away.wanted(paths, ["here"]) == {"left", "here"}
    (paths.caddy / "Caddyfile").write_text("# app: here\n")
    maps.apply(paths)
    assert not list(paths.away.iterdir())
