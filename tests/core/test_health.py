import pytest

from handler.core import limits
from handler.core.health import judge, to_probe
from handler.core.model import AppSpec, Container, Service

WEB = Service("web")
PORT = AppSpec((WEB,), upstreams=(("p-web-1", 80),))
BLIND = AppSpec((WEB,))
JOB = AppSpec((WEB, Service("job")))
CHECKED = AppSpec((Service("web", has_healthcheck=True), Service("job")))


def container(state: str = "running", health: str = "", **more: int) -> Container:
    return Container("p-web-1", "web", state, health, **more)


@pytest.mark.parametrize(
    ("spec", "found", "answered", "seconds", "ready", "failed"),
    [
        (PORT, [], (), 1, False, False),
        (PORT, [container()], (), 1, False, False),
        (PORT, [container()], {("p-web-1", 80)}, 1, True, False),
        (PORT, [container(health="starting")], {("p-web-1", 80)}, 1, False, False),
        (PORT, [container(health="healthy")], (), 1, True, False),
        (PORT, [container(health="unhealthy")], (), 1, False, True),
        (PORT, [container("exited", exit_code=3)], (), 1, False, True),
        (PORT, [container("restarting", restarts=3)], (), 1, False, True),
        (BLIND, [container()], (), 1, False, False),
        (BLIND, [container()], (), limits.WATCH, True, False),
        (BLIND, [container("exited")], (), limits.WATCH, False, False),
        (JOB, [container(), Container("p-job-1", "job", "exited")], (), limits.WATCH, True, False),
        (CHECKED, [container("exited"), Container("p-job-1", "job", "running")], (), limits.WATCH, False, False),
    ],
)
def test_verdicts(spec, found, answered, seconds, ready, failed) -> None:
    verdict = judge(spec, found, answered, seconds)
    assert (verdict.ready, verdict.failed) == (ready, failed)
    assert verdict.ready or verdict.why


def test_a_container_with_a_health_check_is_not_probed() -> None:
    assert to_probe(PORT, [container(health="starting")]) == ()
    assert to_probe(PORT, [container()]) == (("p-web-1", 80),)
