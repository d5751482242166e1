"""What an app owns by name: taken in transactions that Consul allows, and, of volumes, left alone where another app has it."""

import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace

import pytest
from builders import APP, operation, rollback
from memory import ports
from memory_buttervolume import Volumes
from memory_consul import Store
from world import Snapshot, World

from handler import claims, errors
from handler.actions import after, prepare, start, switch
from handler.context import Context
from handler.core import entries, kv, names
from handler.core import steps as s
from handler.core.model import AppSpec, Operation
from handler.node import resume_app
from handler.ports import Entry
from handler.residence import ABORTED, Operations

OTHER = "shop_staging.12345"
MINE, THEIRS = "shop_db", "shop_files"
PRESENT = "2026-01-01T00:00:00.000000"


class Two:
    """Seen from node a, where the volume of another app lives as well, under a name that this one had in the operation before."""

    def __init__(self, op: Operation, volumes: tuple[str, ...] = (MINE,), more: tuple[str, ...] = ()) -> None:
        self.world = World(1, ("a", "b", "c"))
        self.node = self.world.nodes["a"]
        self.ctx = Context(replace(op, volumes=(MINE, THEIRS)), ports(self.world, self.node), ("btrfs",))
        claims = tuple(f"volume/{volume}" for volume in volumes) + more
        self.ctx._specs[op.deploy_id] = AppSpec((), volumes=volumes, claims=claims)
        for volume in (MINE, THEIRS):
            self.node.volumes[volume] = ["w0"]
            self.node.snapshots[f"{volume}@{PRESENT}"] = Snapshot(("w0",))
            self.node.schedules[volume] = {"snapshot": 60}
        self.own(THEIRS, OTHER)

    def own(self, volume: str, app: str) -> None:
        self.world.write(names.claim_key(f"volume/{volume}"), json.dumps({"app": app}))

    def owner(self, claim: str) -> str | None:
        found = self.world.kv.get(names.claim_key(claim))
        return json.loads(found.value)["app"] if found else None

    def lives(self, master: str, *volumes: str) -> None:
        self.world.write(names.record_key(APP), json.dumps({"master": master, "deploy_id": "20260101000000-aaaa", "volumes": volumes}))


def test_more_names_than_a_transaction_has_room_for_are_claimed(monkeypatch: pytest.MonkeyPatch) -> None:
    two, sizes, transact = Two(operation(), more=tuple(f"domain/d{number}.example.com" for number in range(300))), [], Store.transact

    def counted(store: Store, ops: Sequence[kv.Op]) -> bool:
        sizes.append(len(ops))
        return transact(store, ops)

    monkeypatch.setattr(Store, "transact", counted)
    prepare.claim_names(two.ctx, s.ClaimNames())
    assert max(sizes) <= kv.MOST_OPERATIONS
    assert {entry.key for entry in two.world.tree("claim/domain/")} == {f"claim/domain/d{number}.example.com" for number in range(300)}
    assert two.owner("domain/d299.example.com") == two.owner(f"volume/{MINE}") == APP


def test_a_rollback_needs_the_names_of_all_volumes_that_it_restores() -> None:
    """Also of those that only the deploy after it had, and which this app gave up since."""
    op = replace(rollback(("a", "b"), code=True), restore=((MINE, f"{MINE}@{PRESENT}"), (THEIRS, f"{THEIRS}@{PRESENT}")))
    two = Two(op)
    with pytest.raises(errors.BadInput, match=f"volume/{THEIRS} belongs to {OTHER}"):
        prepare.claim_names(two.ctx, s.ClaimNames())


def test_a_volume_that_is_another_app_s_meanwhile_is_not_removed_here() -> None:
    """This node was down when its app gave up the name, or was destroyed."""
    two = Two(operation(("a", "b"), ("b", "c")))
    after.remove_volumes(two.ctx, s.RemoveVolumes((MINE, THEIRS)))
    assert two.node.volumes == {THEIRS: ["w0"]}
    after.unschedule(two.ctx, s.Unschedule((MINE, THEIRS)))
    assert two.node.schedules == {MINE: {}, THEIRS: {"snapshot": 60}}


def test_the_schedule_of_a_volume_that_is_another_app_s_meanwhile_stays() -> None:
    two = Two(operation(("a", "b"), ("a", "b")))
    after.schedule_copies(two.ctx, s.ScheduleCopies("nobody", ""))
    after.schedule_purge(two.ctx, s.SchedulePurge((THEIRS,)))
    assert two.node.schedules == {MINE: {"snapshot": 60, **after.PURGE}, THEIRS: {"snapshot": 60}}


def test_copies_of_a_volume_that_is_another_app_s_meanwhile_are_not_forgotten() -> None:
    two = Two(operation(("a", ""), ("b", "")))
    two.ctx.say("snapshots", {volume: f"{volume}@{PRESENT}" for volume in (MINE, THEIRS)})
    with suppress(errors.Permanent):
        after.forget_copies(two.ctx, s.ForgetCopies((MINE, THEIRS), "a"))
    assert set(two.node.snapshots) == {f"{THEIRS}@{PRESENT}"}


def test_a_failed_trial_takes_no_volume_away_that_is_another_app_s_meanwhile() -> None:
    """A removal that had to be tried again comes after the claims were given up."""
    two = Two(operation(("a", "b"), ("a", "b")))
    for volume in (MINE, THEIRS):
        two.ctx.ports.journal.mark(APP, two.ctx.op.event.id, entries.absent(volume))
    start.drop_trial_volumes(two.ctx, s.DropTrialVolumes())
    assert two.node.volumes == {THEIRS: ["w0"]}


def test_a_node_that_cleans_up_an_app_leaves_the_volumes_of_another_one_alone() -> None:
    two = Two(operation(("a", "b"), ("b", "c")))
    two.lives("b", MINE, THEIRS)
    resume_app(two.ctx.ports, APP, anew=False)
    assert two.node.volumes == {THEIRS: ["w0"]}


def test_a_master_that_starts_takes_the_names_of_volumes_that_have_no_owner() -> None:
    """Its app was deployed before volumes had owners. What is another app's, or broken by a person, is left as it is."""
    two = Two(operation(("a", "b"), ("b", "c")))
    two.lives("a", MINE, THEIRS)
    resume_app(two.ctx.ports, APP, anew=True)
    assert (two.owner(f"volume/{MINE}"), two.owner(f"volume/{THEIRS}")) == (APP, OTHER)


def test_a_master_that_starts_takes_the_names_of_haproxy_s_backends_that_have_no_owner() -> None:
    """Else a newcomer has them, and this app could neither be moved nor taken over any more."""
    two = Two(operation(("a", "b"), ("b", "c")))
    rules = {"http-in": {"backends": [{"name": "web", "port": 80, "use_backend_option": "if { hdr(host) -i a.example.com }"}]}}
    known = {"master": "a", "deploy_id": "20260101000000-aaaa", "volumes": [MINE]}
    for broken in ([], {"http-in": []}, {"http-in": {"backends": [3]}}, "x"):
        two.world.write(names.record_key(APP), json.dumps({**known, "haproxy": broken}))
        claims.take_unowned(two.ctx.ports.store, APP)
    assert two.owner(f"volume/{MINE}") == APP
    two.world.write(names.record_key(APP), json.dumps({**known, "haproxy": rules}))
    claims.take_unowned(two.ctx.ports.store, APP)
    assert two.owner("backend/web") == APP
    after.release_claims(two.ctx, s.ReleaseClaims())
    assert two.owner("backend/web") == APP, "after a deploy that was aborted"


def test_a_master_that_starts_takes_no_name_for_an_app_that_is_destroyed_in_that_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    two = Two(operation(("a", "b"), ("b", "c")))
    two.lives("a", MINE)
    get = Store.get

    def destroyed(store: Store, key: str) -> Entry | None:
        found = get(store, key)
        if key == names.claim_key(f"volume/{MINE}"):
            two.world.write(names.record_key(APP), None)
        return found

    monkeypatch.setattr(Store, "get", destroyed)
    claims.take_unowned(two.ctx.ports.store, APP)
    assert two.owner(f"volume/{MINE}") is None


def test_a_name_that_an_operation_has_just_claimed_again_is_not_given_back_by_one_before_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tail of an aborted operation stalls between looking and giving back, while another node deploys the same version."""
    two = Two(operation(("a", "b"), ("b", "c")))
    two.lives("b")
    two.own(MINE, APP)
    del two.node.volumes[MINE]
    tree = Store.tree

    def stalls(store: Store, prefix: str) -> tuple[Entry, ...]:
        found = tree(store, prefix)
        if prefix == names.claim_key(""):
            claims.take(store, APP, [f"volume/{MINE}"])
        return found

    monkeypatch.setattr(Store, "tree", stalls)
    after.release_claims(two.ctx, s.ReleaseClaims())
    assert two.owner(f"volume/{MINE}") == APP


def test_a_name_that_an_operation_claims_while_another_looks_what_is_unused_is_not_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    two = Two(operation(("a", "b"), ("b", "c")))
    two.lives("b")
    before = after.operations

    def stalls(store: Store, app: str) -> Operations:
        found = before(store, app)
        claims.take(store, APP, ["domain/new.example.com", "volume/new"])
        return found

    monkeypatch.setattr(after, "operations", stalls)
    after.release_claims(two.ctx, s.ReleaseClaims())
    assert (two.owner("domain/new.example.com"), two.owner("volume/new")) == (APP, APP)


def test_a_version_does_not_begin_with_a_volume_that_a_failed_one_left() -> None:
    """Something uses it, so that it could not be removed; its name is the app's still."""
    new = "shop_new"
    two = Two(operation(("a", "b"), ("a", "b")), volumes=(MINE, new))
    failed = two.ctx.op.event.id
    two.ctx.ports.journal.mark(APP, failed, entries.absent(new))
    two.ctx.ports.journal.mark(APP, failed, entries.begun(ABORTED, s.DropTrialVolumes()))
    two.node.volumes[new] = ["written by the failed version"]
    two.ctx.op = replace(two.ctx.op, event=replace(two.ctx.op.event, id="next"), volumes=(MINE, new))
    with pytest.raises(errors.BadInput, match=f"there is a volume {new} on a already"):
        prepare.claim_names(two.ctx, s.ClaimNames())
    two.ctx.ports.journal.mark(APP, failed, entries.CONCLUDED)
    prepare.claim_names(two.ctx, s.ClaimNames())


def test_a_volume_that_a_failed_version_left_does_not_go_where_the_app_goes() -> None:
    two = Two(operation(("a", "b"), ("b", "a")))
    journal, event = two.ctx.ports.journal, two.ctx.op.event.id
    journal.mark(APP, "failed", entries.absent(THEIRS))
    journal.mark(APP, "failed", entries.begun(ABORTED, s.DropTrialVolumes()))
    switch.snapshot_volumes(two.ctx, s.SnapshotVolumes((MINE, THEIRS)))
    assert set(json.loads(two.world.kv[names.op_key(APP, event, "snapshots")].value)) == {MINE}


def test_what_was_live_is_not_taken_away_by_an_abort_when_it_could_not_be_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    two = Two(operation(("b", ""), ("a", "")))
    two.world.write(names.op_key(APP, two.ctx.op.event.id, "snapshots"), json.dumps({MINE: f"{MINE}@{PRESENT}"}))

    def full(*_: object, **__: object) -> None:
        raise errors.CommandFailed("no space left")

    monkeypatch.setattr(Volumes, "snapshot", full)
    with pytest.raises(errors.CommandFailed):
        start.restore_volumes(two.ctx, s.RestoreVolumes())
    start.drop_trial_volumes(two.ctx, s.DropTrialVolumes())
    assert MINE in two.node.volumes


def test_an_app_does_not_begin_with_a_volume_that_is_not_its_own() -> None:
    """Its name is nobody's, be it by hand, or since the app that it was of was destroyed while this node was away."""
    two = Two(operation(("a", "b"), ("a", "b")), volumes=(MINE, "by_hand"))
    two.node.volumes["by_hand"] = ["w0"]
    with pytest.raises(errors.BadInput, match="there is a volume by_hand on a already"):
        prepare.claim_names(two.ctx, s.ClaimNames())
    assert two.owner("volume/by_hand") is None


@pytest.mark.parametrize("why", ["is of driver local", "has subvolumes of its own"])
def test_an_app_does_not_use_a_volume_that_is_not_fit_for_its_data(why: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As an earlier version left it on the node to which the app moves now: compose would take it instead of the data that comes."""
    two = Two(operation(("b", ""), ("a", "")))
    monkeypatch.setattr(Volumes, "unfit", lambda _self, volume: why if volume == MINE else "")
    with pytest.raises(errors.BadInput, match=f"volume {MINE} on a {why}"):
        prepare.claim_names(two.ctx, s.ClaimNames())


def test_a_volume_with_a_claim_that_cannot_be_read_is_its_app_s_own() -> None:
    two = Two(operation(("a", "b"), ("b", "c")))
    two.world.write(names.claim_key(f"volume/{MINE}"), "{")
    after.remove_volumes(two.ctx, s.RemoveVolumes((MINE,)))
    assert two.node.volumes == {THEIRS: ["w0"]}


def test_the_name_of_a_volume_that_is_live_is_not_given_back() -> None:
    """The master has a version without it now, but its data is there still, or a copy of it."""
    two = Two(operation(("a", "b"), ("a", "b")))
    for volume in (MINE, "copied", "elsewhere"):
        two.own(volume, APP)
    two.node.snapshots[f"copied@{PRESENT}"] = Snapshot(("w0",))
    two.lives("a")
    after.release_claims(two.ctx, s.ReleaseClaims())
    assert [two.owner(f"volume/{volume}") for volume in (MINE, "copied", "elsewhere")] == [APP, APP, None]


def test_the_name_of_a_volume_that_could_not_be_removed_yet_is_given_back_later() -> None:
    """Its app is destroyed."""
    two = Two(operation(("a", "b"), ("a", "b")))
    two.own(MINE, APP)
    with pytest.raises(errors.Temporary, match=f"volume/{MINE}"):
        after.release_claims(two.ctx, s.ReleaseClaims())
    assert two.owner(f"volume/{MINE}") == APP
    del two.node.volumes[MINE]
    after.release_claims(two.ctx, s.ReleaseClaims())
    assert two.owner(f"volume/{MINE}") is None


def test_a_volume_s_name_stays_with_an_app_whose_record_does_not_list_it_among_its_claims() -> None:
    """As after a migrate into an app that was deployed before volumes had owners."""
    two = Two(operation(("a", "b"), ("a", "b")))
    two.own(MINE, APP)
    del two.node.volumes[MINE]
    two.lives("b", MINE)
    after.release_claims(two.ctx, s.ReleaseClaims())
    assert two.owner(f"volume/{MINE}") == APP


def test_the_name_of_a_volume_of_a_first_trial_that_could_not_be_removed_yet_is_given_back_later() -> None:
    """Nothing of the app was ever committed."""
    two = Two(operation(("", ""), ("a", "b")))
    two.ctx.op = replace(two.ctx.op, volumes=())
    two.own(MINE, APP)
    with pytest.raises(errors.Temporary, match=f"volume/{MINE}"):
        after.release_claims(two.ctx, s.ReleaseClaims())
    del two.node.volumes[MINE]
    after.release_claims(two.ctx, s.ReleaseClaims())
    assert two.owner(f"volume/{MINE}") is None
