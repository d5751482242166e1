"""Time. Implements ``Clock``."""

from __future__ import annotations

import time


class SystemClock:
    """The machine's clock; ``monotonic`` goes on while the machine is suspended."""

    def now(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.clock_gettime(time.CLOCK_BOOTTIME)

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)
