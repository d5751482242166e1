"""What the tracks of ``test_crash_points`` share: the kills, and the jobs that are left."""

import threading
from collections.abc import Callable

from crash_points import Job

from handler.core.model import Kind, Placement


class Waves:
    """Kills the victim when no track is on its way any more. A track that moves holds the kill up, so that every wait has a deadline.

    ``seconds`` is how long one that stands waits for the others.
    """

    def __init__(self, kill: Callable[[], None], tracks: int, seconds: float) -> None:
        self._seconds = seconds
        self._kill, self._moving, self._standing, self.count = kill, tracks, 0, 0
        self._changed = threading.Condition()

    def stand(self) -> None:
        """This track stands at its point; returns after the kill."""
        with self._changed:
            self._standing += 1
            wave = self.count
            self._one_less()
            if not self._changed.wait_for(lambda: self.count != wave, self._seconds):
                raise TimeoutError("the other tracks neither stand nor end")

    def leave(self) -> None:
        """This track is at its end."""
        with self._changed:
            self._one_less()

    def _one_less(self) -> None:
        self._moving -= 1
        if not self._moving and self._standing:
            self._kill()
            self._moving, self._standing, self.count = self._standing, 0, self.count + 1
            self._changed.notify_all()


class Work:
    """The jobs that are left. Whoever takes one gets one that begins where its app is, when there is any."""

    def __init__(self, todo: list[Job]) -> None:
        self._left, self._mutex, self.points = list(todo), threading.Lock(), sum(len(job.points) for job in todo)
        self._number = 0

    def take(self, place: Placement, kind: Kind | None) -> Job | None:
        with self._mutex:
            if not self._left:
                return None
            waiting = {before: [job for job in self._left if job.setup.before == before] for before in (j.setup.before for j in self._left)}
            before = place if place in waiting else max(waiting, key=lambda b: sum(len(job.points) for job in waiting[b]))
            job = max(waiting[before], key=lambda job: (job.setup.kind is kind, len(job.points)))
            self._left.remove(job)
            return job

    def next_number(self) -> int:
        with self._mutex:
            self._number += 1
            return self._number
