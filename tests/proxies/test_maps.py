"""The maps: where domains live, and what is held; with the real programs where they matter."""

import json
import subprocess
import time
from pathlib import Path

import pytest
from programs import need
from test_apply import GOOD, live, stage

from clusterlab.run import wait_until
from handler.core import sections
from handler.proxies import caddy, maps, quarantine
from handler.proxies.paths import Paths, talk


def stage_maps(paths: Paths, domains: str, hold: str = "") -> None:
    (paths.staging / "domains.map").write_text(domains)
    (paths.staging / "hold.map").write_text(hold)


def held(paths: Paths) -> list[str]:
    return sorted(json.loads(paths.applied.read_text())["hold"])


def marks(paths: Paths) -> dict[str, int]:
    """Host -> the second since which it is held."""
    return {host: int(second) for host, second in sections.map_lines((paths.haproxy / "hold.map").read_text()).items()}


def test_a_page_is_shown_at_once_and_a_hold_keeps_the_second_at_which_it_began(paths: Paths, monkeypatch) -> None:
    stage_maps(paths, "# app: a e1\na.example.com node1\n# app: b e1\nb.example.com node1\n", "# app: a hold:e2\n# app: b page\n")
    monkeypatch.setattr(time, "time", lambda: 1000.5)
    maps.apply(paths)
    monkeypatch.setattr(time, "time", lambda: 1010.5)
    maps.apply(paths)
    assert marks(paths) == {"a.example.com": 1000, "b.example.com": 0}


def test_a_hold_that_is_gone_stays_until_the_record_has_changed(paths: Paths) -> None:
    stage_maps(paths, "# app: a e1\na.example.com node1\n", "# app: a hold:e2\n")
    maps.apply(paths)
    assert held(paths) == ["a"]
    stage_maps(paths, "# app: a e1\na.example.com node1\n")
    maps.apply(paths)
    assert held(paths) == ["a"], "the route is still the old one"
    assert marks(paths)["a.example.com"] > time.time() - 60
    stage_maps(paths, "# app: a e2\na.example.com node2\n")
    maps.apply(paths)
    assert held(paths) == []
    assert marks(paths) == {}


def test_a_hold_does_not_outlive_its_key_for_long(paths: Paths, monkeypatch) -> None:
    stage_maps(paths, "# app: a e1\na.example.com node1\n", "# app: a hold:e2\n")
    maps.apply(paths)
    stage_maps(paths, "# app: a e1\na.example.com node1\n")
    maps.apply(paths)
    later = time.monotonic() + 60
    monkeypatch.setattr(time, "monotonic", lambda: later)
    maps.apply(paths)
    assert held(paths) == []


@pytest.mark.parametrize("by", [-3600, 3600])
def test_a_clock_that_is_set_meanwhile_lifts_no_hold(paths: Paths, monkeypatch, by: int) -> None:
    stage_maps(paths, "# app: a e1\na.example.com node1\n", "# app: a hold:e2\n")
    maps.apply(paths)
    stage_maps(paths, "# app: a e1\na.example.com node1\n")
    maps.apply(paths)
    wrong = time.time() + by
    monkeypatch.setattr(time, "time", lambda: wrong)
    maps.apply(paths)
    assert held(paths) == ["a"]


def test_a_hold_by_the_worker_counts_at_once_and_until_consul_knows_it(paths: Paths) -> None:
    stage_maps(paths, "# app: a e1\na.example.com node1\n")
    maps.apply(paths)
    maps.hold_now(paths, "a", "e2")
    assert held(paths) == ["a"]
    maps.apply(paths)  # the templates do not know it yet
    assert marks(paths)["a.example.com"] > time.time() - 60
    stage_maps(paths, "# app: a e1\na.example.com node1\n", "# app: a hold:e2\n")
    maps.apply(paths)
    stage_maps(paths, "# app: a e2\na.example.com node2\n")
    maps.apply(paths)
    assert held(paths) == []


def test_a_hold_by_the_worker_stays_while_consul_template_has_not_seen_it(paths: Paths, monkeypatch) -> None:
    """It may have much to do, or not run: behind that hold a version is on trial."""
    stage_maps(paths, "# app: a e1\na.example.com node1\n")
    maps.apply(paths)
    maps.hold_now(paths, "a", "e2")
    later = time.monotonic() + 2400  # update.sh and a health check as long as they may take
    monkeypatch.setattr(time, "monotonic", lambda: later)
    maps.apply(paths)
    assert held(paths) == ["a"]
    stage_maps(paths, "# app: a e2\na.example.com node1\n")  # it was put and lifted between two looks
    maps.apply(paths)
    assert held(paths) == []


def test_a_hold_that_lasted_long_is_lifted_no_earlier_than_a_short_one(paths: Paths, monkeypatch) -> None:
    """The maps are brought in each few seconds, while consul-template says the hold."""
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now)
    stage_maps(paths, "# app: a e1\na.example.com node1\n", "# app: a hold:e2\n")
    maps.apply(paths)
    maps.apply(paths)
    now += 10.0
    stage_maps(paths, "# app: a e1\na.example.com node1\n")
    maps.apply(paths)
    assert held(paths) == ["a"], "the route is still the old one"


def test_a_hold_by_the_worker_ends_with_its_operation_also_when_consul_template_does_not_run(paths: Paths, monkeypatch) -> None:
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now)
    stage_maps(paths, "# app: a e1\na.example.com node1\n")
    maps.apply(paths)
    maps.release(paths, "a")
    maps.hold_now(paths, "a", "e2")
    maps.apply(paths)
    maps.release(paths, "a")
    maps.apply(paths)
    assert held(paths) == ["a"], "the route may be the old one"
    now += 10.0
    maps.apply(paths)
    assert held(paths) == []


@pytest.mark.parametrize("seen", [False, True])
@pytest.mark.parametrize("late", [False, True])
def test_the_next_operation_has_a_hold_of_its_own(paths: Paths, monkeypatch, seen: bool, late: bool) -> None:
    """Whatever of the one before consul-template says late; else visitors would be late at once, or served by what is on trial."""
    now, second = time.monotonic(), 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    monkeypatch.setattr(time, "time", lambda: second)

    def renders(ended: str, hold: str = "") -> None:
        nonlocal now
        stage_maps(paths, f"# app: a {ended}\na.example.com node1\n", f"# app: a hold:{hold}\n" if hold else "")
        for _ in range(2):
            maps.apply(paths)
            now += 10.0

    renders("e1")
    maps.hold_now(paths, "a", "e2")
    if seen:
        renders("e1", "e2")
    maps.release(paths, "a")
    second = 2000.0
    maps.hold_now(paths, "a", "e3")
    if late:
        renders("e1", "e2")
    for ended, hold in (("e1", ""), ("e2", ""), ("e2", "e3"), ("e2", "")):
        stage_maps(paths, f"# app: a {ended}\na.example.com node1\n", f"# app: a hold:{hold}\n" if hold else "")
        maps.apply(paths)
        assert marks(paths) == {"a.example.com": 2000}, (ended, hold)
    renders("e3")
    assert held(paths) == []


def test_a_person_s_hold_is_that_of_no_event(paths: Paths) -> None:
    stage_maps(paths, "# app: a e1\na.example.com node1\n", "# app: a hold:\n")
    maps.apply(paths)
    maps.hold_now(paths, "a", "e2")
    maps.apply(paths)
    assert held(paths) == ["a"]
    stage_maps(paths, "# app: a e2\na.example.com node1\n", "# app: a hold:\n")
    maps.apply(paths)
    assert held(paths) == ["a"], "it stays after the operation"
    stage_maps(paths, "# app: a e2\na.example.com node1\n")
    maps.apply(paths)
    assert held(paths) == []


@pytest.mark.parametrize("word", ["hold:e2", "hold"])
def test_holds_that_an_earlier_version_noted_or_rendered_are_understood(paths: Paths, word: str) -> None:
    stage_maps(paths, "# app: a e1\na.example.com node1\n", f"# app: a {word}\n")
    paths.run.mkdir(parents=True)
    for known in ({"record": "e1", "since": 5.5}, {"record": "e1", "since": 5.5, "gone": 1.0}, {"since": 5.5, "unseen": 1.0}):
        paths.applied.write_text(json.dumps({"hold": {"a": known, "b": known}}))
        maps.apply(paths)
        assert held(paths) == ["a"]


def test_a_worker_that_says_nothing_keeps_no_other_from_hearing_of_a_change(paths: Paths, monkeypatch) -> None:
    heard: list[str] = []
    listed = "#<PID> <type>\n1 master\n# workers\n12 worker\n# old workers\n8 worker\n9 worker\n# programs\n"

    def talk(sock: Path, line: str, _seconds: float = 0) -> str:
        if line.startswith("show proc"):
            return listed
        if line.startswith("@!8"):
            raise OSError("timed out")
        heard.append(f"{sock.name} {line.partition(' ')[0]}")
        return ""

    monkeypatch.setattr(maps, "talk", talk)
    stage_maps(paths, "# app: a e1\na.example.com node1\n")
    maps.apply(paths)
    assert heard == ["admin.sock add", "master.sock @!9"]


@pytest.mark.component
def test_an_emptied_kv_does_not_empty_the_routes(paths: Paths) -> None:
    need("caddy")
    stage_maps(paths, "# app: a e1\na.example.com node1\n# app: b e1\nb.example.com node2\n")
    stage(paths, a=GOOD, c="")
    caddy.apply(paths)
    maps.apply(paths)
    stage_maps(paths, "")
    stage(paths)
    caddy.apply(paths)
    maps.apply(paths)
    assert "respond good" in live(paths).parts["a"]
    assert "b.example.com node2" in (paths.haproxy / "domains.map").read_text()


def test_a_record_that_claims_another_s_domain_is_left_out_alone(paths: Paths) -> None:
    stage_maps(paths, "# app: b e1\nb.example.com node2\n")
    maps.apply(paths)
    stage_maps(paths, "# app: a e1\nb.example.com node1\n# app: b e2\nb.example.com node3\n# app: c broken\n# app: d e1\nTwo words node1\n")
    maps.apply(paths)
    assert sections.map_lines((paths.haproxy / "domains.map").read_text()) == {"b.example.com": "node3"}
    assert quarantine.reasons(paths, "record").keys() == {"a", "c", "d"}
    assert "b.example.com belongs to b" in quarantine.reasons(paths, "record")["a"]


@pytest.mark.component
def test_a_real_haproxy_takes_the_change_without_a_reload(paths: Paths) -> None:
    program = need("haproxy")
    (paths.run / "haproxy").mkdir(parents=True)
    stage_maps(paths, "# app: a e1\na.example.com node1\n")
    maps.apply(paths)
    socket, map_file = paths.run / "haproxy" / "admin.sock", paths.haproxy / "domains.map"
    config = paths.run / "haproxy.cfg"
    config.write_text(
        f"global\n stats socket {socket} level admin\ndefaults\n mode http\n timeout client 5s\n timeout server 5s\n timeout connect 5s\n"
        f"frontend f\n bind unix@{paths.run}/f.sock\n http-request set-var(txn.n) hdr(host),map({map_file},none)\n"
    )
    server = subprocess.Popen([program, "-W", "-db", "-f", str(config)], stderr=subprocess.DEVNULL)
    try:
        wait_until("haproxy", socket.exists, 10)
        before = talk(socket, "show info").split("Pid: ")[1].split()[0]
        stage_maps(paths, "# app: a e2\na.example.com node2\n# app: b e1\nb.example.com node1\n")
        maps.apply(paths)
        shown = {line.split()[1]: line.split()[2] for line in talk(socket, f"show map {map_file}").splitlines()}
        assert shown == {"a.example.com": "node2", "b.example.com": "node1"}
        assert talk(socket, "show info").split("Pid: ")[1].split()[0] == before
    finally:
        server.terminate()
        server.wait(10)
