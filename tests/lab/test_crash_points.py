"""The handler of a node is killed with SIGKILL before and after every step of every kind of operation; the list is in ``crash_points``.

Some apps have one operation each under way at the same time. When all of them stand at their point on the victim, or have ended, the
victim's worker is killed: so that one kill is exactly at a point of each app, and no kill is anywhere else.
"""

import logging
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import Lab
from crash_points import VICTIM, jobs
from needs import Giver
from tracks import ENDED, REACHED, SETTLED, Track
from waves import Waves, Work

from clusterlab import crash

pytestmark = [pytest.mark.lab, pytest.mark.faults]

log = logging.getLogger(__name__)

TRACKS = 12


@pytest.fixture(scope="module")
def stoppable(lab: Lab) -> Iterator[None]:
    crash.install(lab.nodes)
    yield
    crash.remove(lab.nodes)


def test_a_kill_before_and_after_every_step_leaves_all_as_without_it_or_as_before(lab: Lab, stoppable: None, tmp_path: Path) -> None:
    work = Work(jobs())
    waves = Waves(lambda: crash.kill(lab.node(VICTIM)), TRACKS, 2 * (REACHED + ENDED + SETTLED))
    givers = {node: Giver.on(lab, node) for node in sorted({job.setup.origin for job in jobs()} - {""})}
    tracks = [Track(lab, work, waves, tmp_path, number, givers) for number in range(TRACKS)]
    threads = [threading.Thread(target=track.run, name=f"track {track.number}", daemon=True) for track in tracks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(1800)
    failures = [failure for track in tracks for failure in track.failures]
    assert not failures, "\n\n".join(failures)
    assert work.next_number() == work.points + 1, "some kills were not made"
    for giver in givers.values():  # it gave its data away all the time, and was frozen for that again and again
        assert giver.writer.write(), "it does not serve any more"
        assert giver.writer.complaint() == ""
    log.info("%d points in %d kills of the worker", work.points, waves.count)
