"""A visitor who writes, and remembers what was acknowledged: none of it may be missing or be there twice, whatever happens.

It writes to examples/hello, which answers a POST to ``/data`` when the line is on disk.
"""

from __future__ import annotations

import http.client
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass
class Writer:
    """Writes numbered lines for ``host`` through the proxies of the node at ``address``. A line is tried once: a retry is a new line."""

    address: str
    host: str
    name: str = "w"
    seconds: float = 10.0
    tried: list[str] = field(default_factory=list)
    acknowledged: dict[str, str] = field(default_factory=dict)
    """Line -> which container said so, and when."""
    gone: set[str] = field(default_factory=set)

    def ask(self, path: str = "/", line: str | None = None) -> tuple[int, str]:
        """(status or 0, text or the error)."""
        connection = http.client.HTTPConnection(self.address, timeout=self.seconds)
        try:
            connection.request("GET" if line is None else "POST", path, line, {"Host": self.host})
            answer = connection.getresponse()
            return answer.status, answer.read().decode(errors="replace")
        except (OSError, http.client.HTTPException) as error:
            return 0, repr(error)
        finally:
            connection.close()

    def write(self) -> bool:
        """One new line; whether it was acknowledged."""
        line = f"{self.name}-{len(self.tried)}"
        self.tried.append(line)
        status, text = self.ask("/data", line)
        done = status == 200  # noqa: PLR2004
        if done:
            self.acknowledged[line] = f"{text.strip()} at {time.strftime('%X')}"
        return done

    def replaced_by(self, other: Writer) -> None:
        """The app has the data that ``other`` wrote, and none of what was written before."""
        self.tried += other.tried
        self.acknowledged = dict(other.acknowledged)

    def back_to(self, lines: Mapping[str, str]) -> None:
        """The app has the data of an earlier moment, when ``lines`` were acknowledged, and none of what was written since."""
        self.gone |= self.acknowledged.keys() - lines.keys()
        self.acknowledged = dict(lines)

    def complaint(self, read: Callable[[], tuple[int, str]] | None = None) -> str:
        """What is wrong with the data that the app has now; empty when nothing is. ``read`` asks another way than through ``address``."""
        return complaint([self], read or (lambda: self.ask("/data")))


def complaint(writers: Sequence[Writer], read: Callable[[], tuple[int, str]]) -> str:
    """What is wrong with the data that ``read`` brings, when these are all who wrote. They may go on meanwhile: what is acknowledged after
    the question may not be in the answer.
    """
    acknowledged = {line: by for one in writers for line, by in list(one.acknowledged.items())}
    status, text = read()
    if status != 200:  # noqa: PLR2004
        return f"the data cannot be read: {status} {text}"
    found, tried = Counter(text.split("\n")[:-1]), {line for one in writers for line in one.tried}
    gone = {line for one in writers for line in one.gone}
    complaints = {
        "lost": [f"{line} ({by})" for line, by in acknowledged.items() if not found[line]],
        "twice": [line for line, count in found.items() if count > 1],
        "there again": [line for line in found if line in gone],
        "never written": [line for line in found if line not in tried],
    }
    return "; ".join(f"{what}: {', '.join(some[:5])} ({len(some)})" for what, some in complaints.items() if some)


@contextmanager
def writing(writer: Writer, every: float = 0.05) -> Iterator[Writer]:
    """Write in the background until the block ends."""
    stop = threading.Event()

    def go() -> None:
        while not stop.wait(every):
            writer.write()

    thread = threading.Thread(target=go, daemon=True)
    thread.start()
    try:
        yield writer
    finally:
        stop.set()
        thread.join(writer.seconds + 5)
