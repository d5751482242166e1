"""For tests only: Python reads a clock that is wrong by the number of seconds in ``cluster_clock.seconds``; a ``.pth`` file imports it.

The kernel's clock is the same for all containers of a machine, and programs in Go do not ask the C library, so that this is as far as a
wrong clock can be had here: what Python programs read as the time of day. Monotonic clocks are right, as on a real host.
"""

import datetime as dt
import time
from pathlib import Path

SECONDS = float(Path(__file__).with_suffix(".seconds").read_text())
_time, _time_ns = time.time, time.time_ns
_gmtime, _localtime, _strftime = time.gmtime, time.localtime, time.strftime


class Wrong(dt.datetime):
    """A datetime whose present is wrong."""

    @classmethod
    def now(cls, tz: dt.tzinfo | None = None) -> "Wrong":
        """As the clock shows it."""
        return super().now(tz) + dt.timedelta(seconds=SECONDS)

    @classmethod
    def utcnow(cls) -> "Wrong":
        """As the clock shows it."""
        return super().utcnow() + dt.timedelta(seconds=SECONDS)

    @classmethod
    def today(cls) -> "Wrong":
        """As the clock shows it."""
        return cls.now()


dt.datetime = Wrong  # type: ignore[misc]
time.time = lambda: _time() + SECONDS
time.time_ns = lambda: _time_ns() + int(SECONDS * 1e9)
# staticmethod: else logging.Formatter, which has one of them as an attribute of its class, would call it as a method
time.gmtime = staticmethod(lambda seconds=None: _gmtime(time.time() if seconds is None else seconds))
time.localtime = staticmethod(lambda seconds=None: _localtime(time.time() if seconds is None else seconds))
time.strftime = lambda form, moment=None: _strftime(form, time.localtime() if moment is None else moment)
