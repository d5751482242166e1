"""The store, the lease and the services on a real Consul."""

import threading
import time
import uuid

import pytest

from clusterlab.run import wait_until
from handler.adapters.consul import Consul, ConsulMembers, ConsulServices, ConsulStore
from handler.adapters.lease import ConsulLeases
from handler.core import checks
from handler.core.kv import CheckAbsent, CheckIndex, CheckSession, Create, Delete, DeleteTree, Set, Swap
from handler.errors import LeaseLost, StoreUnavailable

pytestmark = pytest.mark.component


@pytest.fixture
def agent(consul: str) -> Consul:
    return Consul(consul)


@pytest.fixture
def store(agent: Consul) -> ConsulStore:
    return ConsulStore(agent)


@pytest.fixture
def key() -> str:
    return f"test/{uuid.uuid4()}"


def test_absent_is_none_and_unreachable_is_an_error(store: ConsulStore, key: str) -> None:
    assert store.get(key) is None
    assert store.tree(key + "/") == ()
    with pytest.raises(StoreUnavailable):
        ConsulStore(Consul("http://127.0.0.1:1")).get(key)


@pytest.mark.parametrize("value", ["", "plain", "äöü 'quotes\" \n", "x" * 100_000])
def test_values_come_back_as_they_were(store: ConsulStore, key: str, value: str) -> None:
    store.put(key, value)
    assert store.get(key).value == value


def test_of_two_creations_one_succeeds(store: ConsulStore, key: str) -> None:
    assert store.transact([Create(key, "first")])
    assert not store.transact([Create(key, "second")])
    assert store.get(key).value == "first"


def test_a_swap_needs_the_index_that_was_read(store: ConsulStore, key: str) -> None:
    store.put(key, "1")
    seen = store.get(key)
    store.put(key, "2")
    assert not store.transact([Swap(key, "3", seen.index)])
    assert store.transact([Swap(key, "3", store.get(key).index)])


def test_a_transaction_is_done_whole_or_not_at_all(store: ConsulStore, key: str) -> None:
    store.put(key, "there")
    assert not store.transact([Set(key + "/other", "x"), CheckAbsent(key)])
    assert store.get(key + "/other") is None
    assert store.transact([Set(key + "/other", "x"), CheckIndex(key, store.get(key).index), Delete(key)])
    assert store.get(key) is None
    assert store.transact([DeleteTree(key + "/"), Delete("test/never-was")])
    assert store.tree(key + "/") == ()


def test_waiting_ends_with_a_change_and_with_the_time(store: ConsulStore, key: str) -> None:
    index = store.wait(key, 0, 5)
    threading.Timer(0.2, lambda: store.put(key, "now")).start()
    began = time.monotonic()
    changed = store.wait(key, index, 20)
    assert changed > index
    assert time.monotonic() - began < 10
    assert store.wait(key, changed, 0.2) >= 0


def test_a_lock_has_one_holder_and_is_free_at_once_after_release(agent: Consul, store: ConsulStore, key: str) -> None:
    leases = ConsulLeases(agent, "here")
    lease = leases.acquire(key, "mine")
    assert lease is not None
    lease.ensure()
    assert leases.acquire(key, "theirs") is None
    assert store.transact([CheckSession(key, lease.session)])
    lease.say("a step")
    assert store.get(key).value == "a step"
    assert store.get(key).session == lease.session
    lease.release()
    lease.release()
    again = leases.acquire(key, "theirs")
    assert again is not None
    assert not store.transact([CheckSession(key, lease.session), Set(key + "/x", "late")])
    again.release()


def test_a_lease_whose_session_was_ended_is_lost(agent: Consul, key: str) -> None:
    lease = ConsulLeases(agent, "here").acquire(key, "mine")
    agent.ask(lambda c: c.session.destroy(lease.session))
    deadline = time.monotonic() + 15
    with pytest.raises(LeaseLost):
        while time.monotonic() < deadline:
            lease.ensure()
            time.sleep(0.1)
    lease.release()


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
