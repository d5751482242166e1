"""Changes of some apps are not noticed by the visitors of others."""

from contextlib import ExitStack

import pytest
from conftest import Lab, eventually
from test_isolation import updatable

from clusterlab.visitor import WebSocket, asking

pytestmark = pytest.mark.lab


def test_changes_of_another_app_cost_no_request_and_no_websocket(lab: Lab) -> None:
    quiet, busy = lab.app("quiet"), lab.app("busy")
    for app in (quiet, busy):
        assert app.deploy("node1")["outcome"] == "committed"
    eventually("https", lambda: quiet.ask("node3", tls=True)[0] != 200, 20)
    through = lab.node("node3").address
    sock = WebSocket(through, quiet.domain)
    with ExitStack() as stack:
        ways = [(tls, keep) for tls in (False, True) for keep in (False, True)]
        seen = [stack.enter_context(asking(through, quiet.domain, at_once=2, tls=tls, keep=keep)) for tls, keep in ways]
        for number in range(6):
            updatable(lab, busy, f"change{number}")
    lives = sock.lives()
    sock.close()
    assert [len(one.answers) > 20 for one in seen] == [True] * 4
    assert [one.failed for one in seen] == [[]] * 4
    assert lives


def test_wildcards_lead_to_their_app_and_exact_names_to_theirs(lab: Lab) -> None:
    wild, exact = lab.app("wild"), lab.app("exact")
    text = (wild.folder / "docker-compose.yml").read_text()
    wild.publish(**{"docker-compose__yml": text.replace(f"http://{wild.domain}", f"http://*.{wild.domain}")})
    text = (exact.folder / "docker-compose.yml").read_text()
    exact.publish(VERSION="exact", **{"docker-compose__yml": text.replace(exact.domain, f"one.{wild.domain}")})
    exact.name = f"one.{wild.name}"
    wild.send(master="node1")
    assert wild.outcome()["outcome"] == "committed"
    assert exact.deploy("node2")["outcome"] == "committed"
    wild.name = f"any.{wild.name}"
    eventually("wildcard", lambda: "version 1" not in wild.ask("node3")[1], 20)
    eventually("exact", lambda: "version exact" not in exact.ask("node3")[1], 20)  # until it is routed, the wildcard answers for it
