"""Properties of every plan: all placements of an app on three nodes, before and after."""

import itertools

import pytest
from builders import operation

from handler.actions import ACTIONS
from handler.core import steps as s
from handler.core.model import Kind, Role
from handler.core.plan import plan
from handler.core.transitions import MATRIX, Recipe, table

NODES = "abc"
PLACES = [("", ""), *((m, sl) for m in NODES for sl in ("", *NODES) if m != sl)]
DEPLOYS = [operation(before, after) for before, after in itertools.product(PLACES, PLACES) if after[0]]
DESTROYS = [operation(before, ("", ""), Kind.DESTROY) for before in PLACES if before[0]]


def kinds(steps) -> list[type]:
    return [type(step) for step in steps]


def all_steps(made) -> list[s.Step]:
    undone = [step for undo in (*made.undo, *made.aborted) for step in undo.steps]
    return [*made.before, *made.committed, *made.again, *undone]


def test_the_matrix_has_every_cell() -> None:
    assert set(MATRIX) == set(itertools.product(Role, Role))
    assert MATRIX[Role.NOTHING, Role.NOTHING] is Recipe.NOTHING


def test_the_readme_shows_the_matrix_as_it_is(request: pytest.FixtureRequest) -> None:
    assert table() in (request.config.rootpath / "README.rst").read_text()


@pytest.mark.parametrize("op", [*DEPLOYS, *DESTROYS], ids=str)
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
                assert undone[s.StopApp] == [*first, s.TakeOwnership, s.StartApp, s.AwaitHealthy]
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
