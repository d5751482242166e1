"""The list of crash points of the lab: complete without being kept by hand."""

from crash_points import SETUPS, VICTIM, jobs, likeness, phases

from handler.actions import ACTIONS
from handler.core.model import Kind
from handler.core.plan import plan


def test_every_kind_of_event_is_set_up() -> None:
    assert set(SETUPS) == set(Kind)


def test_every_step_that_has_an_action_is_killed_before_and_after() -> None:
    points = {(type(point.step), point.moment) for job in jobs() for point in job.points}
    assert points >= {(step, moment) for step in ACTIONS for moment in ("begun", "done")}


def test_every_point_of_every_kind_of_event_is_done_in_a_setup_where_it_is_alike() -> None:
    done = set()
    for job in jobs():
        part = plan(job.setup.operation(), VICTIM)
        for name, points in phases(part).items():
            done |= {likeness(job.setup, part, name, number) for number, point in enumerate(points) if point in job.points}
    for setups in SETUPS.values():
        for setup in setups():
            part = plan(setup.operation(), VICTIM)
            for name, points in phases(part).items():
                missing = [point.entry() for number, point in enumerate(points) if likeness(setup, part, name, number) not in done]
                assert not missing, str(setup)
