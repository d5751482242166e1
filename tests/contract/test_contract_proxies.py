"""``Proxies``: in memory, and on the node's files; tests/lab/test_ports.py runs the same with HAProxy and Caddy.

Left out is what ``prepare`` does to visitors: in memory there are none.
"""

import uuid
from collections.abc import Mapping
from typing import Any

import pytest
from sides import ProxiesSide

from handler.core.caddyfile import parse
from handler.errors import BadInput

SITE = "http://contract.example.com {\n\trespond fine\n}"
TCP: dict[str, Any] = {
    "contract": {
        "frontend": {"mode": "tcp", "bind": ["*:2301"]},
        "backends": [{"name": "contract", "port": 22, "peer_port": 2301, "ct": "localhost"}],
    }
}
NONSENSE: dict[str, Any] = {"contract": {**TCP["contract"], "frontend": {**TCP["contract"]["frontend"], "options": ["nonsense"]}}}


@pytest.fixture
def named() -> str:
    return f"contract{uuid.uuid4().hex[:8]}_main.12345"


def test_what_was_not_prepared_can_be_settled(front: ProxiesSide, named: str) -> None:
    for committed in (True, False):
        front.proxies.settle(named, committed=committed)


def test_what_was_prepared_is_settled_once(front: ProxiesSide, named: str) -> None:
    front.proxies.prepare(named, SITE)
    for _ in range(2):
        front.proxies.settle(named, committed=False)


@pytest.mark.parametrize(("site", "haproxy"), [(SITE, {}), ("", TCP), (SITE, TCP), ("", {})], ids=["site", "tcp", "both", "neither"])
def test_a_part_that_the_proxies_understand_is_fine(front: ProxiesSide, named: str, site: str, haproxy: Mapping[str, Any]) -> None:
    front.proxies.check(named, site, haproxy)


@pytest.mark.parametrize(
    ("site", "haproxy"),
    [(SITE.replace("respond fine", "nonsense"), TCP), (SITE, NONSENSE)],
    ids=["site", "tcp"],
)
def test_a_part_that_a_proxy_refuses_is_bad_input_with_its_words(
    front: ProxiesSide, named: str, site: str, haproxy: Mapping[str, Any]
) -> None:
    with pytest.raises(BadInput, match="nonsense"):
        front.proxies.check(named, site, haproxy)


def test_nobody_is_busy_for_what_is_unknown(front: ProxiesSide) -> None:
    assert front.proxies.busy([]) == 0
    assert front.proxies.busy([("contract-nobody-1", 80)]) == 0


def test_they_may_be_told_to_begin_again(front: ProxiesSide) -> None:
    """Each start of the worker does."""
    for _ in range(2):
        front.proxies.begin()


def test_an_app_is_held_while_consul_says_so(front: ProxiesSide, named: str) -> None:
    assert not front.proxies.holds(named)
    front.say(named, True)
    front.eventually(lambda: front.proxies.holds(named))
    front.proxies.hold(named, "e2")
    assert front.proxies.holds(named)
    front.say(named, False)
    front.eventually(lambda: not front.proxies.holds(named))


def test_a_hold_counts_before_consul_says_it_and_ends_when_consul_never_does(front: ProxiesSide, named: str) -> None:
    """Told again with each question, as the node's own tick may come between: no record names the app, so that it lifts the hold."""
    front.eventually(lambda: front.proxies.hold(named, "e2") or front.proxies.holds(named))
    front.eventually(lambda: not front.proxies.holds(named))


def test_a_hold_that_consul_has_not_said_ends_with_its_operation(front: ProxiesSide, named: str) -> None:
    front.say(named, True)
    front.eventually(lambda: front.proxies.holds(named))
    front.say(named, False)
    front.eventually(lambda: not front.proxies.holds(named))
    front.proxies.release(named)
    front.proxies.hold(named, "e2")
    assert front.proxies.holds(named)
    front.proxies.release(named)
    front.proxies.release(named)
    front.eventually(lambda: not front.proxies.holds(named))


def test_a_tick_may_come_at_any_time_and_lifts_no_hold_that_consul_says(front: ProxiesSide, named: str) -> None:
    for _ in range(2):
        front.proxies.tick()
    assert not front.proxies.holds(named)
    front.say(named, True)
    front.eventually(lambda: front.proxies.holds(named))
    for _ in range(2):
        front.proxies.tick()
        assert front.proxies.holds(named)
    front.say(named, False)
    front.eventually(lambda: front.proxies.tick() or not front.proxies.holds(named))


@pytest.mark.parametrize("password", ["plain", "two words", "{\"'`#$ ä"], ids=["plain", "blank", "signs"])
def test_a_password_becomes_one_word_that_does_not_tell_it(front: ProxiesSide, password: str) -> None:
    word = front.proxies.hash_password(password)
    (site,) = parse(f"http://contract.example.com {{\n\tbasic_auth {{\n\t\tsomebody {word}\n\t}}\n}}\n")
    (auth,) = site.directives
    assert [(user.name, user.args) for user in auth.body] == [("somebody", (word,))]
    assert password not in word
