"""``Volumes``: in memory; tests/lab/test_ports.py runs the same on real nodes."""

import uuid

import pytest
from sides import StorageSide, copies, go_on, snapshot_of

from handler.errors import CommandFailed, Permanent

NOWHERE = "10.211.55.250"
"""An address at which nobody answers."""
PURGE = "purge:1h:1d"


@pytest.fixture
def volume() -> str:
    return f"contract{uuid.uuid4().hex[:8]}_data"


def test_a_volume_comes_and_goes(storage: StorageSide, volume: str) -> None:
    assert not storage.volumes.exists(volume)
    storage.volumes.create(volume, {"some": "label"})
    storage.write("here", volume, "word")
    storage.volumes.create(volume, {"some": "label"})
    assert storage.volumes.exists(volume)
    assert storage.read("here", volume) == ["word"]
    storage.volumes.remove(volume)
    storage.volumes.remove(volume)
    assert not storage.volumes.exists(volume)


def test_a_volume_of_its_own_is_fit_for_an_app(storage: StorageSide, volume: str) -> None:
    assert storage.volumes.unfit(volume) == ""
    storage.volumes.create(volume, {})
    assert storage.volumes.unfit(volume) == ""
    storage.volumes.remove(volume)
    assert storage.volumes.unfit(volume) == ""


def test_snapshots_are_listed_by_age_and_are_complete(storage: StorageSide, volume: str) -> None:
    assert copies(storage.volumes, volume) == ()
    storage.volumes.create(volume, {})
    first, second = snapshot_of(storage.volumes, volume), snapshot_of(storage.volumes, volume)
    assert first.startswith(f"{volume}@")
    assert copies(storage.volumes, volume) == (first, second)
    assert storage.volumes.complete(first)
    assert not storage.volumes.complete(f"{volume}@2020-01-01T00:00:00.000000")
    storage.volumes.remove(volume)
    assert copies(storage.volumes, volume) == (first, second)


def test_a_volume_is_unchanged_until_something_is_written(storage: StorageSide, volume: str) -> None:
    storage.volumes.create(volume, {})
    storage.write("here", volume, "one")
    first = snapshot_of(storage.volumes, volume)
    assert storage.volumes.unchanged(volume, first)
    storage.write("here", volume, "two")
    assert not storage.volumes.unchanged(volume, first)
    assert storage.volumes.unchanged(volume, snapshot_of(storage.volumes, volume))
    assert not storage.volumes.unchanged(volume, f"{volume}@2020-01-01T00:00:00.000000")


def test_a_snapshot_is_dropped(storage: StorageSide, volume: str) -> None:
    storage.volumes.create(volume, {})
    first, second = snapshot_of(storage.volumes, volume), snapshot_of(storage.volumes, volume)
    storage.volumes.drop(first)
    storage.volumes.drop(first)
    assert copies(storage.volumes, volume) == (second,)
    assert not storage.volumes.complete(first)


def test_there_is_no_snapshot_of_what_is_not_there(storage: StorageSide, volume: str) -> None:
    with pytest.raises(Permanent):
        snapshot_of(storage.volumes, volume)


def test_a_restore_brings_exactly_the_named_state_instead_of_what_was_live(storage: StorageSide, volume: str) -> None:
    storage.volumes.create(volume, {})
    storage.write("here", volume, "one")
    named = snapshot_of(storage.volumes, volume)
    storage.write("here", volume, "two")
    later = snapshot_of(storage.volumes, volume)
    storage.write("here", volume, "three")
    storage.volumes.restore(named, volume)
    assert storage.read("here", volume) == ["one"]
    storage.write("here", volume, "it can be written")
    storage.volumes.restore(later, volume)
    assert storage.read("here", volume) == ["one", "two"]
    assert set(copies(storage.volumes, volume)) == {named, later}


def test_snapshots_of_one_point_have_one_time_and_live_volumes_are_known_by_their_project(storage: StorageSide, volume: str) -> None:
    project = volume.partition("_")[0]
    other = f"{project}_other"
    for name in (volume, other):
        storage.volumes.create(name, {})
    assert storage.volumes.live(project) == (volume, other)
    taken = storage.volumes.snapshot([volume, other])
    assert len({name.partition("@")[2] for name in taken.values()}) == 1
    for name in (volume, other):
        storage.volumes.remove(name)
    assert storage.volumes.live(project) == ()


def test_a_restore_makes_a_volume_that_is_not_there(storage: StorageSide, volume: str) -> None:
    storage.volumes.create(volume, {})
    storage.write("here", volume, "one")
    named = snapshot_of(storage.volumes, volume)
    storage.volumes.remove(volume)
    storage.volumes.restore(named, volume)
    assert storage.read("here", volume) == ["one"]


@pytest.mark.parametrize("broken", [True, False], ids=["broken off", "unknown"])
def test_nothing_is_restored_from_what_is_not_complete(storage: StorageSide, volume: str, *, broken: bool) -> None:
    storage.volumes.create(volume, {})
    storage.write("here", volume, "live")
    name = f"{volume}@2020-01-01T00:00:00.000000"
    if broken:
        storage.break_off(name)
        assert name in copies(storage.volumes, volume)
    assert not storage.volumes.complete(name)
    with pytest.raises(Permanent):
        storage.volumes.restore(name, volume)
    assert storage.read("here", volume) == ["live"]


def test_what_was_sent_is_complete_at_the_peer_and_comes_back(storage: StorageSide, volume: str) -> None:
    storage.volumes.create(volume, {})
    storage.write("here", volume, "one")
    for _ in range(2):
        sent = snapshot_of(storage.volumes, volume)
        storage.volumes.send(sent, storage.peer_host, go_on)
        storage.volumes.send(sent, storage.peer_host, go_on)
        assert storage.peer.complete(sent)
    assert len(copies(storage.peer, volume)) == 2
    storage.peer.adopt(sent, storage.host)
    storage.peer.restore(sent, volume)
    assert storage.read("there", volume) == ["one"]
    storage.write("there", volume, "two")
    back = snapshot_of(storage.peer, volume)
    storage.peer.send(back, storage.host, go_on)
    storage.volumes.restore(back, volume)
    assert storage.read("here", volume) == ["one", "two"]


def test_a_send_to_nobody_fails(storage: StorageSide, volume: str) -> None:
    storage.volumes.create(volume, {})
    with pytest.raises(CommandFailed):
        storage.volumes.send(snapshot_of(storage.volumes, volume), NOWHERE, go_on)


def test_schedules_are_what_was_said_last(storage: StorageSide, volume: str) -> None:
    storage.volumes.create(volume, {})
    assert storage.volumes.schedules().get(volume, {}) == {}
    storage.volumes.schedule(volume, {"snapshot": 60, "purge:1h:1d": 1440})
    storage.volumes.schedule(volume, {"snapshot": 30})
    assert storage.volumes.schedules()[volume] == {"snapshot": 30}
    storage.volumes.schedule(volume, {})
    storage.volumes.schedule(volume, {})
    assert storage.volumes.schedules().get(volume, {}) == {}


def test_what_buttervolume_would_do_by_itself_is_paused_for_the_named_volumes_only(storage: StorageSide, volume: str) -> None:
    """The lines stay, and say the same."""
    other = f"{volume}2"
    for name in (volume, other):
        storage.schedule_by_hand(name, PURGE, 1440)
        assert storage.unpaused(name) == {PURGE}
    for _ in range(2):
        storage.volumes.pause_schedules([volume, "contract-unknown"])
        assert storage.unpaused(volume) == set()
    assert storage.unpaused(other) == {PURGE}
    assert storage.volumes.schedules()[volume] == storage.volumes.schedules()[other] == {PURGE: 1440}
    for name in (volume, other):
        storage.volumes.schedule(name, {})


def test_what_the_handler_schedules_is_paused_also_what_a_person_wrote_before(storage: StorageSide, volume: str) -> None:
    storage.schedule_by_hand(volume, PURGE, 1440)
    for minutes in (1440, 60):
        storage.volumes.schedule(volume, {PURGE: minutes})
        assert storage.unpaused(volume) == set()
    storage.volumes.schedule(volume, {})
