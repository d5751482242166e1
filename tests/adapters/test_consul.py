"""What only a real agent can say of a service's form; members, services, the store and the lease are in tests/contract."""

import pytest

from handler.adapters.consul import Consul, ConsulMembers, ConsulServices, ConsulStore
from handler.core import checks, record
from handler.core.kv import Set
from handler.errors import Permanent, StoreUnavailable

pytestmark = pytest.mark.component
APP = "an_app.12345"


@pytest.fixture
def agent(consul: str) -> Consul:
    return Consul(consul)


def test_a_server_that_does_not_answer_is_no_answer() -> None:
    with pytest.raises(StoreUnavailable):
        ConsulMembers(Consul("http://127.0.0.1:1"), "here").nodes()


def test_consul_takes_the_checks_that_we_define(agent: Consul) -> None:
    urls = ["http://x.example.com/", "https://x.example.com/y", "tcp://127.0.0.1:1"]
    ConsulServices(agent).register(APP, "10.0.0.1", checks.definitions(APP, urls, None, "node2"))
    known = agent.ask(lambda c: c.agent.checks())
    assert {name for name, check in known.items() if check["ServiceID"] == APP} == {f"{APP}:{n}" for n in (1, 2, 3, "copy")}
    service = agent.ask(lambda c: c.agent.services())[APP]
    assert (service["Service"], service["Address"], service["Meta"]) == ("an-app-12345", "10.0.0.1", {"app": APP})
    ConsulServices(agent).deregister(APP)
    assert APP not in agent.ask(lambda c: c.agent.services())


def test_a_check_that_asks_nothing_is_refused(agent: Consul) -> None:
    """It may be in a repository's ``service.json``."""
    with pytest.raises(Permanent):
        ConsulServices(agent).register(APP, "10.0.0.1", [{"CheckID": f"{APP}:1", "Name": "x", "Interval": "60s"}])


@pytest.mark.parametrize("sizes", [(600_000,), (10, 200_000, 200_001)], ids=["one value", "all together"])
def test_a_transaction_that_is_too_large_is_refused_for_good_and_its_largest_key_is_named(agent: Consul, sizes: tuple[int, ...]) -> None:
    with pytest.raises(Permanent, match=f"large/{len(sizes) - 1} has {sizes[-1] // 1024} KiB"):
        ConsulStore(agent).transact([Set(f"large/{number}", "x" * size) for number, size in enumerate(sizes)])


def test_consul_takes_as_much_as_we_believe(agent: Consul) -> None:
    """Two values of this size are what :func:`record.too_large` allows; its limit is Consul's default."""
    value = "x" * ((record.MOST_BYTES - record.SPARE) * 3 // 4 // 2)
    assert ConsulStore(agent).transact([Set("large/a", value), Set("large/b", value)])
