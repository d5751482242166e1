"""Requests that HAProxy holds, by its real program: whatever happens to its clock, or while another app has it reloaded."""

import contextlib
import http.client
import os
import subprocess
import threading
from collections.abc import Iterator

import pytest
from programs import free_port, need
from test_maps import stage_maps

from clusterlab.run import PROJECT, wait_until
from handler.proxies import maps
from handler.proxies.paths import Paths, talk

pytestmark = pytest.mark.component

HOST = "a.example.com"
DOMAINS = "# app: a {event}\n" + HOST + " node1\n"
CONFIG = """global
    stats socket {run}/haproxy/admin.sock mode 600 level admin expose-fd listeners
    lua-load {state}/clock.lua
    lua-load {project}/haproxy/hold.lua
defaults
    mode http
    timeout connect 5s
    timeout client 60s
    timeout server 60s
frontend http-in
    bind 127.0.0.1:{port}
    http-request set-var(txn.host) req.hdr(host)
    http-request lua.hold
    http-request return status 503 if {{ var(txn.late) -m bool }}
    http-request return status 200 content-type text/plain string served
"""
CLOCK = "local real = core.now\ncore.now = function() local t = real() return {{ sec = t.sec + {ahead}, usec = t.usec }} end\n"
"""As of a worker that started when the time of day was ahead, or behind, and was set right since."""


class Holding:
    """HAProxy with its master, as on a node; ``ahead`` is how wrong its clock was when it started, in seconds."""

    def __init__(self, paths: Paths, ahead: int) -> None:
        self.paths, self.port = paths, free_port()
        (paths.run / "haproxy").mkdir(parents=True)
        self.renders("e1")
        (paths.state / "clock.lua").write_text(CLOCK.format(ahead=ahead))
        config = paths.haproxy / "haproxy.cfg"
        config.write_text(CONFIG.format(run=paths.run, state=paths.state, project=PROJECT, port=self.port))
        self.master = paths.run / "haproxy" / "master.sock"
        argv = ["haproxy", "-W", "-db", "-S", f"{self.master},mode,600", "-f", str(config)]
        self.program = subprocess.Popen(argv, env={**os.environ, "HOLD_MAP": str(paths.haproxy / "hold.map")})
        wait_until("it serves", self.serves, 20, 0.05)

    def serves(self) -> bool:
        try:
            return self.ask() == 200
        except OSError:
            return False

    def ask(self) -> int:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=50)
        connection.request("GET", "/", headers={"Host": HOST})
        return connection.getresponse().status

    def asking(self) -> "Asking":
        return Asking(self)

    def renders(self, event: str, hold: str = "") -> None:
        """consul-template does."""
        stage_maps(self.paths, DOMAINS.format(event=event), hold)
        maps.apply(self.paths)

    def workers(self) -> int:
        with contextlib.suppress(OSError):  # the master starts anew with each reload
            return talk(self.master, "show proc;quit").count(" worker ")
        return 0


class Asking(threading.Thread):
    """A visitor who waits; ``answer`` is the status, 0 before there is one."""

    def __init__(self, holding: Holding) -> None:
        super().__init__(daemon=True)
        self.holding, self.answer = holding, 0
        sock = holding.paths.run / "haproxy" / "admin.sock"
        before = talk(sock, "show sess").count("fe=http-in")
        self.start()
        wait_until("it waits", lambda: self.answer or talk(sock, "show sess").count("fe=http-in") > before, 20, 0.02)

    def run(self) -> None:
        self.answer = self.holding.ask()


@pytest.fixture
def ahead() -> int:
    return 0


@pytest.fixture
def holding(paths: Paths, ahead: int) -> Iterator[Holding]:
    need("haproxy")
    found = Holding(paths, ahead)
    yield found
    found.program.terminate()
    found.program.wait(15)


@pytest.mark.parametrize("ahead", [-3600, 0, 120, 3600])
def test_a_clock_that_was_wrong_when_haproxy_started_ends_no_hold(holding: Holding) -> None:
    maps.hold_now(holding.paths, "a", "e2")
    visitor = holding.asking()
    visitor.join(1.5)  # the hold lasts that long
    assert visitor.answer == 0
    holding.renders("e2")
    visitor.join(20)
    assert visitor.answer == 200


def test_what_waits_when_haproxy_is_reloaded_is_served_when_the_hold_is_lifted(holding: Holding) -> None:
    """As when another app's ports change meanwhile: the old worker keeps the request, and has maps of its own."""
    holding.renders("e1", "# app: a hold:e2\n")
    visitors = [holding.asking()]
    talk(holding.master, "reload", 20.0)
    wait_until("two workers", lambda: holding.workers() == 2, 20, 0.05)
    visitors.append(holding.asking())
    assert [visitor.answer for visitor in visitors] == [0, 0]
    holding.renders("e2")
    for visitor in visitors:
        visitor.join(10)
    assert [visitor.answer for visitor in visitors] == [200, 200]


def test_a_hold_that_is_never_lifted_ends_with_the_page(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    need("haproxy")
    monkeypatch.setenv("HOLD_SECONDS", "2")
    holding = Holding(paths, 0)
    try:
        maps.hold_now(holding.paths, "a", "e2")
        visitor = holding.asking()
        visitor.join(20)
        assert visitor.answer == 503
    finally:
        holding.program.terminate()
        holding.program.wait(15)
