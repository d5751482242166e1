"""The services and the members on a real Consul; the store and the lease are in tests/contract."""

import pytest

from clusterlab.run import wait_until
from handler.adapters.consul import Consul, ConsulMembers, ConsulServices
from handler.core import checks
from handler.errors import StoreUnavailable

pytestmark = pytest.mark.component


@pytest.fixture
def agent(consul: str) -> Consul:
    return Consul(consul)


def test_a_server_that_does_not_answer_is_no_answer() -> None:
    with pytest.raises(StoreUnavailable):
        ConsulMembers(Consul("http://127.0.0.1:1"), "here").nodes()


def test_services_come_and_go(agent: Consul) -> None:
    services = ConsulServices(agent)
    check = {"CheckID": "app:1", "Name": "http://x", "HTTP": "http://127.0.0.1:1/", "Interval": "60s"}
    services.register("an_app.12345", "127.0.0.1", [check, {**check, "CheckID": "app:2"}])
    services.register("an_app.12345", "127.0.0.1", [check])
    assert set(agent.ask(lambda c: c.agent.checks())) == {"app:1"}
    services.deregister("an_app.12345")
    services.deregister("an_app.12345")
    assert "an_app.12345" not in agent.ask(lambda c: c.agent.services())


def test_the_worker_answers_a_check_that_everybody_sees(agent: Consul) -> None:
    services = ConsulServices(agent)
    check = checks.copy_check("an_app.12345", "node2")
    services.register("an_app.12345", "127.0.0.1", checks.definitions("an_app.12345", ["tcp://127.0.0.1:1"], None, "node2"))
    assert services.reports(checks.COPY) == {"an_app.12345": (True, "")}
    services.report("an_app.12345", check, "no copy")
    eventually_reports(services, {"an_app.12345": (False, "no copy")})
    services.register("an_app.12345", "127.0.0.1", checks.definitions("an_app.12345", ["tcp://127.0.0.1:1"], None))
    eventually_reports(services, {})
    services.report("an_app.12345", check, "")  # of a service that an earlier version registered
    wait_until("passing", lambda: services.reports(checks.COPY).get("an_app.12345", (False,))[0], 10)  # a text alone is told minutes later
    services.deregister("an_app.12345")
    eventually_reports(services, {})


def eventually_reports(services: ConsulServices, wanted: dict) -> None:
    wait_until(f"reports {wanted}", lambda: services.reports(checks.COPY) == wanted, 10, 0.1)


def test_members_have_addresses(agent: Consul) -> None:
    assert ConsulMembers(agent, "here").nodes()["here"].alive
