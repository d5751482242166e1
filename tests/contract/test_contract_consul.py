"""``Store`` and ``Leases``: in memory and on a real Consul."""

import uuid

import pytest
from sides import ConsulSide

from handler.core.kv import CheckAbsent, CheckIndex, CheckSession, Create, Delete, DeleteTree, Set, Swap
from handler.errors import LeaseLost, StoreUnavailable


@pytest.fixture
def key() -> str:
    return f"test/{uuid.uuid4()}"


def test_absent_is_none_and_unreachable_is_an_error(side: ConsulSide, key: str) -> None:
    assert side.store.get(key) is None
    assert side.store.tree(key + "/") == ()
    for ask in (side.unreachable.get, lambda name: side.unreachable.wait(name, 0, 1.0), lambda name: side.unreachable.put(name, "x")):
        with pytest.raises(StoreUnavailable):
            ask(key)


def test_who_holds_a_lease_waits_for_no_answer_longer_than_it_is_sure(side: ConsulSide, key: str) -> None:
    store = side.silent.within(lambda: 0.5)
    for ask in (store.get, store.tree, lambda name: store.wait(name, 0, 1.0), lambda name: store.put(name, "x")):
        began = side.now()
        with pytest.raises(StoreUnavailable):
            ask(key)
        assert 0.4 < side.now() - began < 5  # noqa: PLR2004 seconds, 10 for others


@pytest.mark.parametrize("value", ["", "plain", "äöü 'quotes\" \n", "x" * 100_000], ids=["empty", "plain", "odd", "long"])
def test_values_come_back_as_they_were(side: ConsulSide, key: str, value: str) -> None:
    side.store.put(key, value)
    assert side.store.get(key).value == value


def test_of_two_creations_one_succeeds(side: ConsulSide, key: str) -> None:
    assert side.store.transact([Create(key, "first")])
    assert not side.store.transact([Create(key, "second")])
    assert side.store.get(key).value == "first"


def test_what_was_deleted_can_be_created(side: ConsulSide, key: str) -> None:
    side.store.put(key, "first")
    assert side.store.transact([Delete(key)])
    assert side.store.transact([Create(key, "second")])
    assert side.store.get(key).value == "second"


def test_a_swap_needs_the_index_that_was_read(side: ConsulSide, key: str) -> None:
    side.store.put(key, "1")
    seen = side.store.get(key)
    side.store.put(key, "2")
    assert not side.store.transact([Swap(key, "3", seen.index)])
    assert side.store.get(key).index > seen.index
    assert side.store.transact([Swap(key, "3", side.store.get(key).index)])
    assert side.store.get(key).value == "3"
    assert not side.store.transact([Swap(key + "/never", "x", 1)])


def test_a_transaction_is_done_whole_or_not_at_all(side: ConsulSide, key: str) -> None:
    side.store.put(key, "there")
    assert not side.store.transact([Set(key + "/other", "x"), CheckAbsent(key)])
    assert side.store.get(key + "/other") is None
    assert side.store.transact([Set(key + "/other", "x"), CheckIndex(key, side.store.get(key).index), Delete(key)])
    assert side.store.get(key) is None
    assert side.store.transact([DeleteTree(key + "/"), Delete("test/never-was")])
    assert side.store.tree(key + "/") == ()


def test_a_tree_has_what_is_below_in_the_order_of_the_keys(side: ConsulSide, key: str) -> None:
    for part in ("/b", "/a/deep/1", "-beside", "/c"):
        side.store.put(key + part, part)
    assert [entry.value for entry in side.store.tree(key + "/")] == ["/a/deep/1", "/b", "/c"]


def test_of_two_writes_in_one_tree_the_later_has_the_higher_index(side: ConsulSide, key: str) -> None:
    side.store.put(key + "/z", "first")
    side.store.put(key + "/a", "second")
    later, earlier = side.store.tree(key + "/")
    assert later.index > earlier.index


@pytest.mark.parametrize("below", ["", "/below/deep"])
def test_waiting_ends_with_a_change_of_the_key_or_below(side: ConsulSide, key: str, below: str) -> None:
    index = side.store.wait(key, 0, 5)
    assert index >= 1
    side.later(0.2, lambda: side.store.put(key + below, "now"))
    began = side.now()
    watched = key if not below else key + "/"
    assert side.store.wait(watched, side.store.wait(watched, 0, 5), 20) > index
    assert side.now() - began < 10


def test_waiting_ends_with_the_time(side: ConsulSide, key: str) -> None:
    side.store.put(key, "before")
    index, began = side.store.wait(key, 0, 5), side.now()
    assert side.store.wait(key, index, 0.3) == index
    assert 0.2 < side.now() - began < 5


def test_a_change_before_the_wait_is_not_missed(side: ConsulSide, key: str) -> None:
    side.store.put(key, "before")
    index = side.store.wait(key, 0, 5)
    side.store.put(key, "after")
    began = side.now()
    assert side.store.wait(key, index, 20) > index
    assert side.now() - began < 10


def test_a_deletion_is_a_change(side: ConsulSide, key: str) -> None:
    side.store.put(key + "/a", "before")
    index = side.store.wait(key + "/", 0, 5)
    side.later(0.2, lambda: side.store.transact([Delete(key + "/a")]))
    assert side.store.wait(key + "/", index, 20) > index
    assert side.store.tree(key + "/") == ()


def test_a_lock_has_one_holder_and_is_free_at_once_after_release(side: ConsulSide, key: str) -> None:
    lease = side.leases.acquire(key, "mine")
    assert lease is not None
    lease.ensure()
    assert 0 < lease.sure() <= 10  # noqa: PLR2004 seconds
    assert side.leases.acquire(key, "theirs") is None
    assert side.store.transact([CheckSession(key, lease.session)])
    lease.say("a step")
    assert side.store.get(key).value == "a step"
    assert side.store.get(key).session == lease.session
    lease.release()
    lease.release()
    assert not side.store.get(key).session
    again = side.leases.acquire(key, "theirs")
    assert again is not None
    assert again.session != lease.session
    assert not side.store.transact([CheckSession(key, lease.session), Set(key + "/x", "late")])
    again.release()


def test_the_release_of_a_lock_is_a_change(side: ConsulSide, key: str) -> None:
    lease = side.leases.acquire(key, "mine")
    index = side.store.wait(key, 0, 5)
    lease.release()
    assert side.store.wait(key, index, 20) > index


def test_a_write_of_somebody_else_does_not_take_the_lock(side: ConsulSide, key: str) -> None:
    lease = side.leases.acquire(key, "mine")
    side.store.put(key, "a person's word")
    assert side.store.get(key).session == lease.session
    lease.release()


def test_a_lease_whose_session_was_ended_is_lost_and_its_lock_free_a_little_later(side: ConsulSide, key: str) -> None:
    lease = side.leases.acquire(key, "mine")
    side.end_session(lease.session)
    assert not side.store.transact([CheckSession(key, lease.session)])
    deadline = side.now() + 15
    with pytest.raises(LeaseLost):
        while side.now() < deadline:
            lease.ensure()
            side.pass_time()
    assert lease.sure() == 0
    lease.say("late")
    assert side.store.get(key).value != "late"
    lease.release()
    while (again := side.leases.acquire(key, "theirs")) is None:
        assert side.now() < deadline
        side.pass_time()
    again.release()


def test_the_lock_delay_keeps_others_out_for_a_moment(side: ConsulSide, key: str) -> None:
    """So that what the holder has sent already comes before anything of the next one."""
    lease = side.leases.acquire(key, "mine")
    side.end_session(lease.session)
    assert side.leases.acquire(key, "theirs") is None
    lease.release()
