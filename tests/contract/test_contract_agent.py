"""``Members`` and ``Services``: in memory and on real agents of Consul.

An agent tells a new text with a new status at once, but a text alone some minutes later: no test waits for that.
"""

import uuid
from typing import Any

import pytest
from sides import AgentSide

from handler.errors import Permanent, StoreUnavailable

ADDRESS = "127.0.0.1"


@pytest.fixture
def app() -> str:
    return f"an_app.{uuid.uuid4().hex[:8]}"


@pytest.fixture
def suffix(app: str) -> str:
    """Only this test's checks end in it: agents keep what other tests registered."""
    return f":{app.rpartition('.')[2]}"


def check(app: str, suffix: str, ttl: str = "10m", **more: Any) -> dict[str, Any]:
    return {"CheckID": f"{app}{suffix}", "Name": "a question", "TTL": ttl, **more}


def test_a_node_knows_its_name_and_the_addresses_of_all(cluster: AgentSide) -> None:
    assert cluster.members.me() == "here"
    cluster.eventually(lambda: {"here", "there"} <= cluster.members.nodes().keys())
    for name in ("here", "there"):
        node = cluster.members.nodes()[name]
        assert node.name == name
        assert node.address
        assert node.alive


def test_a_node_that_is_gone_is_still_known_and_not_alive_a_little_later(cluster: AgentSide) -> None:
    with cluster.third() as name:
        cluster.eventually(lambda: name in cluster.members.nodes() and cluster.members.nodes()[name].alive)
    cluster.eventually(lambda: not cluster.members.nodes()[name].alive)


def test_a_node_without_a_server_knows_the_members_and_registers(cluster: AgentSide, app: str, suffix: str) -> None:
    """What only the servers know is unknown there, which is not the same as nothing."""
    me = cluster.cut_members.me()
    assert cluster.cut_members.nodes()[me].alive
    cluster.cut_services.register(app, ADDRESS, [check(app, suffix)])
    cluster.cut_services.report(app, check(app, suffix), "no copy")
    with pytest.raises(StoreUnavailable):
        cluster.cut_services.reports(suffix)
    cluster.cut_services.deregister(app)


@pytest.mark.parametrize("status", ["passing", "critical", ""])
def test_a_check_is_what_it_says_until_it_is_answered(cluster: AgentSide, app: str, suffix: str, status: str) -> None:
    """Nobody has looked yet where a check says nothing: that is no good news."""
    cluster.services.register(app, ADDRESS, [check(app, suffix, **({"Status": status} if status else {}))])
    cluster.eventually(lambda: cluster.services.reports(suffix) == {app: (status == "passing", "")})
    cluster.services.deregister(app)


def test_an_answer_is_told_with_its_text(cluster: AgentSide, app: str, suffix: str) -> None:
    cluster.services.register(app, ADDRESS, [check(app, suffix, Status="passing")])
    cluster.services.report(app, check(app, suffix), "no copy")
    cluster.eventually(lambda: cluster.services.reports(suffix) == {app: (False, "no copy")})
    cluster.services.report(app, check(app, suffix), "")
    cluster.eventually(lambda: cluster.services.reports(suffix)[app][0])
    cluster.services.deregister(app)


def test_a_check_that_nobody_answers_for_its_ttl_fails(cluster: AgentSide, app: str, suffix: str) -> None:
    short = check(app, suffix, "1s", Status="passing")
    cluster.services.register(app, ADDRESS, [short])
    cluster.eventually(lambda: not cluster.services.reports(suffix).get(app, (True,))[0])

    def passes() -> bool:
        cluster.services.report(app, short, "")
        return cluster.services.reports(suffix)[app][0]

    cluster.eventually(passes)
    cluster.services.deregister(app)


def test_checks_are_replaced_with_their_service(cluster: AgentSide, app: str, suffix: str) -> None:
    first, second, other = (check(app, f":{number}{suffix}", Status="passing") for number in (1, 2, 3))
    cluster.services.register(app, ADDRESS, [first, second])
    cluster.eventually(lambda: set(cluster.services.reports(suffix)) == {f"{app}:1", f"{app}:2"})
    cluster.services.register(app, ADDRESS, [first, other])
    cluster.eventually(lambda: set(cluster.services.reports(suffix)) == {f"{app}:1", f"{app}:3"})
    cluster.services.register(app, ADDRESS, [])
    cluster.eventually(lambda: cluster.services.reports(suffix) == {})
    cluster.services.deregister(app)


def test_a_service_is_forgotten_with_its_checks(cluster: AgentSide, app: str, suffix: str) -> None:
    cluster.services.deregister(app)
    cluster.services.register(app, ADDRESS, [check(app, suffix)])
    cluster.eventually(lambda: app in cluster.services.reports(suffix))
    for _ in range(2):
        cluster.services.deregister(app)
    cluster.eventually(lambda: cluster.services.reports(suffix) == {})


def test_a_check_is_made_when_it_is_answered_first(cluster: AgentSide, app: str, suffix: str) -> None:
    """An earlier version may have registered the service, without it."""
    cluster.services.register(app, ADDRESS, [])
    cluster.services.report(app, check(app, suffix, Status="passing"), "no copy")
    cluster.eventually(lambda: cluster.services.reports(suffix) == {app: (False, "no copy")})
    cluster.services.deregister(app)
    cluster.eventually(lambda: cluster.services.reports(suffix) == {})


def test_no_check_is_made_for_a_service_that_is_not_there(cluster: AgentSide, app: str, suffix: str) -> None:
    """It would stay in Consul for ever: nobody deregisters it."""
    with pytest.raises(Permanent):
        cluster.services.report(app, check(app, suffix), "")
    assert cluster.services.reports(suffix) == {}


def test_the_checks_of_all_nodes_are_told_and_no_others(cluster: AgentSide, app: str, suffix: str) -> None:
    other = f"other_{app}"
    cluster.services.register(app, ADDRESS, [check(app, suffix, Status="passing"), check(app, f"{suffix}:1")])
    cluster.there.register(other, ADDRESS, [check(other, suffix, Status="passing")])
    cluster.there.report(other, check(other, suffix), "no copy")
    wanted = {app: (True, ""), other: (False, "no copy")}
    for services in (cluster.services, cluster.there):
        cluster.eventually(lambda services=services: services.reports(suffix) == wanted)
    cluster.services.deregister(other)
    cluster.services.deregister(app)
    cluster.eventually(lambda: set(cluster.there.reports(suffix)) == {other})
    cluster.there.deregister(other)
    cluster.eventually(lambda: cluster.there.reports(suffix) == {})
