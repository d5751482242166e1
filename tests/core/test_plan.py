"""Properties of every plan: all placements of an app on three nodes, before and after."""

import itertools

import pytest
from builders import migrate, operation, rollback, takeover

from handler.actions import ACTIONS
from handler.core import steps as s
from handler.core.model import Kind, Role
from handler.core.plan import plan
from handler.core.transitions import MATRIX, Recipe, table

NODES = "abc"
PLACES = [("", ""), *((m, sl) for m in NODES for sl in ("", *NODES) if m != sl)]
DEPLOYS = [operation(before, after) for before, after in itertools.product(PLACES, PLACES) if after[0]]
DESTROYS = [operation(before, ("", ""), Kind.DESTROY) for before in PLACES if before[0]]
LIVES = [place for place in PLACES if place[0]]
ROLLBACKS = [rollback(place, code=code) for place in LIVES for code in (True, False)]
TAKEOVERS = [takeover(place, node) for place in LIVES for node in NODES if node != place[0]]
MIGRATES = [migrate(place, origin, keeps=keeps) for place in LIVES for origin in NODES for keeps in (True, False)]
ALL = [*DEPLOYS, *DESTROYS, *ROLLBACKS, *TAKEOVERS, *MIGRATES]


def kinds(steps) -> list[type]:
    return [type(step) for step in steps]


def all_steps(made) -> list[s.Step]:
    undone = [step for undo in (*made.undo, *made.rewind, *made.aborted) for step in undo.steps]
    return [*made.before, *made.committed, *made.again, *undone]


def test_the_matrix_has_every_cell() -> None:
    assert set(MATRIX) == set(itertools.product(Role, Role))
    assert MATRIX[Role.NOTHING, Role.NOTHING] is Recipe.NOTHING


def test_the_readme_shows_the_matrix_as_it_is(request: pytest.FixtureRequest) -> None:
    assert table() in (request.config.rootpath / "README.rst").read_text()


def test_every_kind_of_event_is_looked_at() -> None:
    assert {op.event.kind for op in ALL} == set(Kind)


@pytest.mark.parametrize("op", ALL, ids=str)
class TestEveryOperation:
    def test_exactly_one_node_leads(self, op) -> None:
        assert [node for node in NODES if plan(op, node).leads] == [op.target]

    def test_every_step_has_an_action(self, op) -> None:
        assert all(type(step) in ACTIONS for node in NODES for step in all_steps(plan(op, node)))

    def test_a_step_s_text_is_unique_in_its_phase(self, op) -> None:
        for node in NODES:
            made = plan(op, node)
            for phase in (made.before, made.committed, made.again):
                assert len({str(step) for step in phase}) == len(phase)

    def test_nothing_is_stopped_before_everything_is_prepared(self, op) -> None:
        for node in NODES:
            before = kinds(plan(op, node).before)
            if s.StopApp in before and op.event.kind is Kind.DEPLOY:
                ready = s.AwaitPrepared if op.moves else s.BuildImages
                assert before.index(ready) < before.index(s.HoldRequests) < before.index(s.StopApp) < before.index(s.SnapshotVolumes)

    def test_what_is_stopped_or_held_comes_back_after_an_abort(self, op) -> None:
        for node in NODES:
            made = plan(op, node)
            undone = {type(undo.after): kinds(undo.steps) for undo in reversed(made.aborted)}
            if s.StopApp in kinds(made.before):
                first = [s.AwaitTrialGone] if op.moves else []
                assert undone[s.StopApp][: len(first) + 3] == [*first, s.TakeOwnership, s.StartApp, s.AwaitHealthy]
            if s.HoldRequests in kinds(made.before):
                assert undone[s.HoldRequests][0] is s.LiftHold

    def test_only_the_leader_commits_and_it_commits_last(self, op) -> None:
        for node in NODES:
            before = kinds(plan(op, node).before)
            commits = {s.Commit, s.CommitDestroy} & set(before)
            assert bool(commits) == plan(op, node).leads
            assert not commits or before[-1] in commits

    def test_a_trial_copy_is_stopped_before_the_abort_is_declared(self, op) -> None:
        made = plan(op, op.target)
        if s.StartApp in kinds(made.before):
            assert [kinds(undo.steps)[0] for undo in made.undo] == [s.StopTrial]


@pytest.mark.parametrize("op", DEPLOYS, ids=str)
def test_copies_are_forgotten_only_when_another_node_has_one(op) -> None:
    for node in NODES:
        for step in plan(op, node).committed:
            if isinstance(step, s.ForgetCopies):
                assert step.slave in (op.after.slave, op.source)
                assert step.slave not in ("", node)


@pytest.mark.parametrize("op", DEPLOYS, ids=str)
def test_somebody_keeps_a_second_copy(op) -> None:
    """Either the new slave gets one, or not all of those that had one forget it."""
    if op.after.slave or not op.source or not (op.moves or op.before.slave):
        return
    holders = {op.source, op.before.slave} - {"", op.target}
    forgetting = {node for node in holders if s.ForgetCopies in kinds(plan(op, node).committed)}
    assert holders - forgetting


@pytest.mark.parametrize("op", [*ROLLBACKS, *MIGRATES], ids=str)
def test_other_data_is_loaded_only_when_the_present_is_safe_and_is_taken_back_when_anything_fails(op) -> None:
    made = plan(op, op.target)
    before = kinds(made.before)
    assert before.index(s.StopApp) < before.index(s.SnapshotVolumes) < before.index(s.LoadData) < before.index(s.TakeOwnership)
    assert [(type(undo.after), kinds(undo.steps)) for undo in made.undo] == [(s.LoadData, [s.StopTrial])]
    assert [(type(undo.after), kinds(undo.steps)) for undo in made.rewind][-1] == (s.LoadData, [s.RestoreVolumes])


@pytest.mark.parametrize("op", [op for op in (*DEPLOYS, *ROLLBACKS) if op.source and not op.moves and op.new_code], ids=str)
def test_volumes_that_only_a_failed_new_version_has_go_away_when_the_old_one_serves(op) -> None:
    made = plan(op, op.target)
    undos = [kinds(undo.steps) for undo in made.aborted]
    (drop,) = (undo for undo in made.aborted if s.DropTrialVolumes in kinds(undo.steps))
    assert kinds(made.before).index(type(drop.after)) <= kinds(made.before).index(s.TakeOwnership)
    assert [s.LiftHold] in undos[: undos.index([s.DropTrialVolumes])]


@pytest.mark.parametrize("op", MIGRATES, ids=str)
def test_the_app_that_gives_its_data_is_neither_held_nor_stopped(op) -> None:
    givers = [node for node in NODES if {s.SnapshotOrigin} & set(kinds(plan(op, node).before))]
    assert givers == [op.origin.master]
    for node in NODES:
        if node != op.target:
            assert not {s.HoldRequests, s.StopApp} & set(kinds(plan(op, node).before))
    assert kinds(plan(op, op.target).before).index(s.VerifyCopies) < kinds(plan(op, op.target).before).index(s.HoldRequests)


@pytest.mark.parametrize("op", TAKEOVERS, ids=str)
def test_the_replaced_master_stops_first_whenever_it_learns_of_it_and_keeps_what_it_has(op) -> None:
    made = plan(op, op.source)
    assert kinds(made.before) == [s.StopApp, s.SayStopped, s.AwaitOutcome]
    assert {s.RemoveContainers, s.GiveUpOwnership, s.RemoveVolumes} <= set(kinds(made.committed))
    before = kinds(plan(op, op.target).before)
    assert before.index(s.AwaitStopped) < before.index(s.LoadData) < before.index(s.TakeOwnership)


@pytest.mark.parametrize("op", ALL, ids=str)
def test_before_the_abort_is_declared_no_data_is_touched_since_it_may_be_a_commit(op) -> None:
    for node in NODES:
        undone = {type(step) for undo in plan(op, node).undo for step in undo.steps}
        assert undone <= {s.StopTrial, s.GiveUpOwnership}


@pytest.mark.parametrize("op", ALL, ids=str)
def test_some_node_waits_for_the_outcome_so_that_an_operation_whose_leader_is_gone_ends(op) -> None:
    for node in NODES:
        made = plan(op, node)
        assert made.leads or made.before[-1] == s.AwaitOutcome()
