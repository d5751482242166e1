"""``Volumes``: what is on a node, in which order it came, whole or not, and who else has it: what "newest" and "needed" are decided by.

In memory; tests/lab/test_ports.py runs the same on real nodes.
"""

import uuid

import pytest
from sides import StorageSide, copies, go_on, snapshot_of
from test_contract_volumes import NOWHERE

from handler.core.copies import Held
from handler.errors import CommandFailed, Overtaken
from handler.ports import Volumes


@pytest.fixture
def volume() -> str:
    return f"contract{uuid.uuid4().hex[:8]}_data"


def _stock(volumes: Volumes, volume: str) -> list[Held]:
    return list(volumes.stock().get(volume, ()))


def _listed(volumes: Volumes, volume: str) -> set[str]:
    return {name for name in volumes.listed() if name.startswith(f"{volume}@")}


def test_what_was_taken_here_is_in_stock_in_its_order(storage: StorageSide, volume: str) -> None:
    assert _stock(storage.volumes, volume) == []
    storage.volumes.create(volume, {})
    assert _stock(storage.volumes, volume) == [], "a live volume is no snapshot"
    first, second = snapshot_of(storage.volumes, volume), snapshot_of(storage.volumes, volume)
    assert _stock(storage.volumes, volume) == [Held(first), Held(second)]
    assert _listed(storage.volumes, volume) == {first, second}
    storage.volumes.drop(first)
    assert _stock(storage.volumes, volume) == [Held(second)]
    assert _listed(storage.volumes, volume) == {second}


def test_what_is_put_aside_is_no_copy(storage: StorageSide, volume: str) -> None:
    """Before it exists, or later."""
    storage.volumes.create(volume, {})
    first = snapshot_of(storage.volumes, volume)
    storage.volumes.put_aside([first])
    (second,) = storage.volumes.snapshot([volume], aside=True).values()
    third = snapshot_of(storage.volumes, volume)
    assert _stock(storage.volumes, volume) == [Held(first, aside=True), Held(second, aside=True), Held(third)]


def test_what_was_sent_is_received_there_and_the_last_one_is_marked_here(storage: StorageSide, volume: str) -> None:
    """The marker is the parent of the next send; sending once more changes nothing."""
    here, there = storage.volumes, storage.peer
    here.create(volume, {})
    first, second = snapshot_of(here, volume), snapshot_of(here, volume)
    here.send(first, storage.peer_host, go_on)
    assert _stock(here, volume) == [Held(first, hosts=(storage.peer_host,)), Held(second)]
    assert _listed(here, volume) == {first, second, f"{first}@{storage.peer_host}"}
    for _ in range(2):
        here.send(second, storage.peer_host, go_on)
        assert _stock(here, volume) == [Held(first), Held(second, hosts=(storage.peer_host,))]
        assert _listed(here, volume) == {first, second, f"{second}@{storage.peer_host}"}
        assert _stock(there, volume) == [Held(first, received=True), Held(second, received=True)]
    assert _listed(there, volume) == {first, second}
    assert copies(here, volume) == copies(there, volume) == (first, second)


def test_stock_is_in_the_order_of_arrival_whatever_the_names_say(storage: StorageSide, volume: str) -> None:
    """Nodes' clocks differ: what came last is the newest."""
    storage.volumes.create(volume, {})
    storage.peer.create(volume, {})
    older = snapshot_of(storage.volumes, volume)
    newer = snapshot_of(storage.peer, volume)
    storage.volumes.send(older, storage.peer_host, go_on)
    assert _stock(storage.peer, volume) == [Held(newer), Held(older, received=True)]
    assert copies(storage.peer, volume) == (older, newer)


def test_what_is_sent_arrives_in_the_order_in_which_it_was_taken(storage: StorageSide, volume: str) -> None:
    """What comes last is the newest copy there. A send that failed may have arrived."""
    here, there = storage.volumes, storage.peer
    here.create(volume, {})
    first, second, third = (snapshot_of(here, volume) for _ in range(3))
    here.send(second, storage.peer_host, go_on)
    with pytest.raises(Overtaken):
        here.send(first, storage.peer_host, go_on)
    here.send(second, storage.peer_host, go_on)
    assert _stock(there, volume) == [Held(second, received=True)]
    here.send(third, storage.peer_host, go_on)
    with pytest.raises(CommandFailed):
        here.send(third, NOWHERE, go_on)
    with pytest.raises(Overtaken):
        here.send(second, NOWHERE, go_on)
    assert _stock(there, volume) == [Held(second, received=True), Held(third, received=True)]
    here.send(first, storage.peer_host, go_on, in_order=False)
    assert _stock(there, volume) == [Held(second, received=True), Held(third, received=True), Held(first, received=True)]


def test_what_was_received_is_marked_when_it_is_adopted_and_the_marker_goes_with_it(storage: StorageSide, volume: str) -> None:
    storage.volumes.create(volume, {})
    sent = snapshot_of(storage.volumes, volume)
    storage.volumes.send(sent, storage.peer_host, go_on)
    storage.peer.adopt(sent, "")
    assert _stock(storage.peer, volume) == [Held(sent, received=True)]
    for _ in range(2):
        storage.peer.adopt(sent, storage.host)
        assert _stock(storage.peer, volume) == [Held(sent, received=True, hosts=(storage.host,))]
        assert _listed(storage.peer, volume) == {sent, f"{sent}@{storage.host}"}
    storage.peer.drop(sent)
    assert _stock(storage.peer, volume) == []
    assert _listed(storage.peer, volume) == set()


def test_a_snapshot_is_marked_for_every_host_that_has_it(storage: StorageSide, volume: str) -> None:
    storage.volumes.create(volume, {})
    sent = snapshot_of(storage.volumes, volume)
    storage.volumes.send(sent, storage.peer_host, go_on)
    storage.volumes.adopt(sent, NOWHERE)
    assert _stock(storage.volumes, volume) == [Held(sent, hosts=tuple(sorted((storage.peer_host, NOWHERE))))]


def test_what_is_marked_is_not_sent_again_even_if_it_is_gone_there(storage: StorageSide, volume: str) -> None:
    """Whoever needs to know that it is there asks the other node."""
    storage.volumes.create(volume, {})
    sent = snapshot_of(storage.volumes, volume)
    storage.volumes.send(sent, storage.peer_host, go_on)
    storage.peer.drop(sent)
    storage.volumes.send(sent, storage.peer_host, go_on)
    assert _stock(storage.peer, volume) == []


def test_a_send_to_nobody_leaves_no_marker(storage: StorageSide, volume: str) -> None:
    storage.volumes.create(volume, {})
    taken = snapshot_of(storage.volumes, volume)
    with pytest.raises(CommandFailed):
        storage.volumes.send(taken, NOWHERE, go_on)
    assert _stock(storage.volumes, volume) == [Held(taken)]


def test_a_send_broken_off_leaves_a_part_that_is_neither_complete_nor_received(storage: StorageSide, volume: str) -> None:
    """It is listed, so that whoever waits sees it arrive. The next send replaces it, and is then what came last."""
    here, there = storage.volumes, storage.peer
    for volumes in (here, there):
        volumes.create(volume, {})
    sent = snapshot_of(there, volume)
    storage.break_off(sent)
    assert _stock(here, volume) == [Held(sent, complete=False)]
    assert _listed(here, volume) == {sent}
    later = snapshot_of(here, volume)
    assert _stock(here, volume) == [Held(sent, complete=False), Held(later)]
    there.send(sent, storage.host, go_on)
    assert _stock(here, volume) == [Held(later), Held(sent, received=True)]
    assert here.complete(sent)


def test_a_part_can_be_dropped(storage: StorageSide, volume: str) -> None:
    part = f"{volume}@2020-01-01T00:00:00.000000"
    storage.break_off(part)
    storage.volumes.drop(part)
    assert _stock(storage.volumes, volume) == []
    assert _listed(storage.volumes, volume) == set()


def test_a_snapshot_has_a_size_of_its_own_and_what_is_not_here_has_none(storage: StorageSide, volume: str) -> None:
    """What is written later does not change it. Left out is that to add up takes time: in memory it does not."""
    storage.volumes.create(volume, {})
    storage.write("here", volume, "one")
    small = snapshot_of(storage.volumes, volume)
    before = storage.volumes.size(small, 30.0)
    storage.write("here", volume, "x" * 100_000)
    large = snapshot_of(storage.volumes, volume)
    after = storage.volumes.size(large, 30.0)
    assert isinstance(before, int)
    assert isinstance(after, int)
    assert after - before >= 90_000
    assert storage.volumes.size(small, 30.0) == before
    assert storage.volumes.size(f"{volume}@2020-01-01T00:00:00.000000", 30.0) is None
