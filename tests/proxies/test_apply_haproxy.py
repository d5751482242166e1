"""Apps' parts of haproxy.cfg, with the real HAProxy: rendered from values, checked, left out alone."""

import json
import re
import signal
import socket
import subprocess

import pytest
from programs import free_port, need
from test_haproxy_rule import NAMED

from clusterlab.run import wait_until
from handler.core import haproxy as haproxy_value
from handler.proxies import haproxy, quarantine
from handler.proxies.paths import Paths

HEADER = """global
    stats socket {run}/haproxy/admin.sock mode 600 level admin expose-fd listeners
defaults
    timeout connect 1s
    timeout client 5s
    timeout server 5s
    default-server init-addr last,libc,none
frontend http-in
    mode http
    bind 127.0.0.1:{http}
#@http-in
frontend https-in
    mode tcp
    bind 127.0.0.1:{https}
#@https-in"""


def value(port: int, name: str, **changes: object) -> dict:
    backend = {"name": name, "port": 22, "peer_port": port, "ct": "localhost", **changes.pop("backend", {})}
    return {name: {"frontend": {"mode": "tcp", "bind": [f"*:{port}"], **changes}, "backends": [backend]}}


PARTS = ((2301, "old", "same"), (2302, "new", "same"), (2303, "third", "third"))


def stage(paths: Paths, header: str, **values: object) -> None:
    parts = [header]
    for app, one in values.items():
        text = one if isinstance(one, str) else json.dumps({"haproxy": one, "master": "node1", "ip": "127.0.0.1", "here": True})
        parts.append(f"# app: {app}\n#@haproxy {text}")
    (paths.staging / "haproxy.cfg").write_text("\n".join(parts) + "\n")


def refused(paths: Paths) -> dict:
    return quarantine.reasons(paths, "haproxy")


@pytest.fixture
def header(paths: Paths) -> str:
    need("haproxy")
    return HEADER.format(run=paths.run, http=free_port(), https=free_port())


@pytest.mark.component
class TestHaproxyParts:
    @pytest.mark.parametrize(
        ("bad", "reason"),
        [
            (value(2300, "x", options=["nosuch option"]), "^unknown keyword 'nosuch'"),
            (value(2300, "x", options=[" ".join(["w"] * 70)]), "words"),
            (value(2300, "x", backend={"port": "many"}), "port"),
            (value(80, "x"), "which the nodes need"),
            (value(2301, "x"), "port 2301 belongs to good"),
            (value(2302, "good"), "front-good"),
            ({"x": 3}, "must be an object"),
            ("[]", "attribute"),
            ("{", "Expecting"),
        ],
        ids=["option", "words", "port", "taken", "clash", "name", "type", "list", "json"],
    )
    def test_a_bad_part_is_left_out_alone_and_others_are_updated(self, paths: Paths, header: str, bad: object, reason: str) -> None:
        stage(paths, header, good=value(2301, "good"))
        haproxy.apply(paths)
        stage(paths, header, good=value(2301, "good", options=["option tcplog"]), zbad=bad)
        haproxy.apply(paths)
        text = (paths.haproxy / "haproxy.cfg").read_text()
        assert "option tcplog" in text
        assert "# app: zbad" not in text
        assert re.search(reason, refused(paths)["zbad"])
        stage(paths, header, good=value(2301, "good"), zbad=value(2303, "fine"))
        haproxy.apply(paths)
        assert "front-fine" in (paths.haproxy / "haproxy.cfg").read_text()
        assert refused(paths) == {}

    def test_an_app_that_moves_goes_before_a_newcomer_with_the_same_backend(self, paths: Paths, header: str) -> None:
        """The newcomer's name sorts first; it has been written by hand, without a claim."""
        old, new, third = (value(port, name, backend={"name": back}) for port, name, back in PARTS)
        stage(paths, header, old=old, other=value(2304, "other"))
        haproxy.apply(paths)
        for master in ("node2", "node3"):
            moved = json.dumps({"haproxy": old, "master": master, "ip": "127.0.0.2", "here": False})
            stage(paths, header, anew=new, old=moved, other=value(2304, "other"), third=third)
            haproxy.apply(paths)
            text = (paths.haproxy / "haproxy.cfg").read_text()
            assert f"server {master} 127.0.0.2:2301" in text
            assert "front-third" in text
            assert "# app: anew" not in text
            assert list(refused(paths)) == ["anew"]
            assert "same name" in refused(paths)["anew"]

    def test_who_is_refused_another_port_keeps_its_own(self, paths: Paths, header: str) -> None:
        """HAProxy itself would take a port twice, and share it out."""
        stage(paths, header, app=value(2301, "app"), able=value(2303, "able"), zoo=value(2302, "zoo"))
        haproxy.apply(paths)
        stage(paths, header, able=value(2301, "able"), anew=value(2301, "anew"), app=value(2302, "app"), zoo=value(2302, "zoo"))
        haproxy.apply(paths)
        text = (paths.haproxy / "haproxy.cfg").read_text()
        assert [text.count(f"bind *:{port}") for port in (2301, 2302, 2303)] == [1, 1, 1]
        assert refused(paths).keys() == {"able", "anew", "app"}

    def test_a_broken_value_keeps_the_last_good_part(self, paths: Paths, header: str) -> None:
        stage(paths, header, app=value(2301, "app"))
        haproxy.apply(paths)
        stage(paths, header, app=value(2301, "app", options=["nonsense here"]))
        haproxy.apply(paths)
        assert haproxy.ports(paths) == (2301,)
        assert list(refused(paths)) == ["app"]

    def test_a_name_that_does_not_resolve_hurts_nobody(self, paths: Paths, header: str) -> None:
        stage(paths, header, app=value(2301, "app", backend={"ct": "nobody.invalid"}), other=value(2302, "other"))
        haproxy.apply(paths)
        assert haproxy.ports(paths) == (2301, 2302)

    def test_http_in_gets_the_app_s_rule(self, paths: Paths, header: str) -> None:
        rule = "if { hdr(host) -i another.example.com }"
        stage(paths, header, app={"http-in": {"backends": [{"name": "a", "port": 80, "peer_port": 80, "use_backend_option": rule}]}})
        haproxy.apply(paths)
        text = (paths.haproxy / "haproxy.cfg").read_text()
        assert text.index(f"use_backend backend-a {rule}") < text.index("frontend https-in")

    def test_a_part_is_checked_before_it_is_deployed(self, tmp_path) -> None:
        assert haproxy.check_part(tmp_path, "app", value(2301, "app", backend={"ct": "not-started-yet"})) == ""
        assert "nonsense" in haproxy.check_part(tmp_path, "app", value(2301, "app", options=["nonsense"]))

    @pytest.mark.parametrize("rule", [rule for rule, _ in NAMED])
    def test_a_rule_that_is_accepted_is_one_for_haproxy_as_well(self, tmp_path, rule: str) -> None:
        backend = {"name": "a", "port": 80, "peer_port": 80, "use_backend_option": rule}
        assert haproxy.check_part(tmp_path, "app", {"http-in": {"backends": [backend]}}) == ""

    @pytest.mark.parametrize("second", ["own", "other"])
    def test_a_backend_s_name_twice_in_one_app_is_refused_before_it_is_deployed(self, tmp_path, second: str) -> None:
        one = value(2301, "own", backend={"name": "same"})
        two = haproxy_value.merge([("a", haproxy_value.check(one)), ("b", haproxy_value.check({second: one["own"]}))])
        assert "same name" in haproxy.check_part(tmp_path, "app", two)

    def test_connections_of_a_part_go_on_while_another_changes(self, paths: Paths, header: str) -> None:
        (paths.run / "haproxy").mkdir(parents=True)
        service, port, second = socket.create_server(("127.0.0.1", 0)), free_port(), free_port()
        one = value(port, "one", backend={"port": service.getsockname()[1]})
        stage(paths, header, one=one)
        haproxy.apply(paths)
        socket_path = paths.run / "haproxy" / "master.sock"
        program = subprocess.Popen(["haproxy", "-W", "-db", "-S", f"{socket_path}", "-f", str(paths.haproxy / "haproxy.cfg")])
        try:
            client = wait_until("haproxy", lambda: connected(port), 10, 0.05)
            server = service.accept()[0]
            stage(paths, header, one=one, two=value(second, "two", backend={"port": service.getsockname()[1]}))
            haproxy.apply(paths)
            wait_until("second port", lambda: connected(second), 10, 0.05)
            client.sendall(b"still here")
            assert server.recv(100) == b"still here"
        finally:
            program.send_signal(signal.SIGKILL)
            program.wait(10)
            service.close()

    def test_what_was_written_while_haproxy_began_is_caught_up(self, paths: Paths, header: str) -> None:
        """It has read the file of before, and answers only afterwards."""
        (paths.run / "haproxy").mkdir(parents=True)
        service, port = socket.create_server(("127.0.0.1", 0)), free_port()
        stage(paths, header)
        haproxy.apply(paths)
        before = paths.haproxy / "before.cfg"
        before.write_text((paths.haproxy / "haproxy.cfg").read_text())
        stage(paths, header, one=value(port, "one", backend={"port": service.getsockname()[1]}))
        haproxy.apply(paths)
        new = (paths.haproxy / "haproxy.cfg").read_text()
        (paths.haproxy / "haproxy.cfg").write_text(before.read_text())
        socket_path = paths.run / "haproxy" / "master.sock"
        program = subprocess.Popen(["haproxy", "-W", "-db", "-S", f"{socket_path}", "-f", str(paths.haproxy / "haproxy.cfg")])
        try:
            wait_until("haproxy", socket_path.exists, 10, 0.05)
            (paths.haproxy / "haproxy.cfg").write_text(new)
            assert not connected(port)
            wait_until("the port", lambda: haproxy.catch_up(paths) or connected(port), 10, 0.1)
            assert not paths.missed("haproxy").exists()
        finally:
            program.send_signal(signal.SIGKILL)
            program.wait(10)
            service.close()


def connected(port: int) -> socket.socket | None:
    try:
        return socket.create_connection(("127.0.0.1", port), 5)
    except OSError:
        return None
