"""The list of crash points of the lab: complete without being kept by hand."""

from crash_points import SETUPS, VICTIM, jobs, phases

from handler.actions import ACTIONS
from handler.core.model import Kind
from handler.core.plan import plan


def test_every_kind_of_event_is_set_up() -> None:
    assert set(SETUPS) == set(Kind)


def test_every_step_that_has_an_action_is_killed_before_and_after() -> None:
    points = {(type(point.step), point.moment) for job in jobs() for point in job.points}
    assert points >= {(step, moment) for step in ACTIONS for moment in ("begun", "done")}


def test_every_point_of_every_plan_is_in_a_job_of_a_setup_with_the_same_steps() -> None:
    covered = {(job.setup.kind, point.phase, point.moment, type(point.step)) for job in jobs() for point in job.points}
    for kind, setups in SETUPS.items():
        for setup in setups():
            for points in phases(plan(setup.operation(), VICTIM)).values():
                missing = {(kind, point.phase, point.moment, type(point.step)) for point in points} - covered
                assert not missing, (str(setup), missing)
