"""A visitor who keeps asking, and what was seen: the measured downtime of a move."""

from __future__ import annotations

import http.client
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise


@dataclass
class Seen:
    """All answers: (when asked, seconds until answered, status or 0, first line of the text)."""

    answers: list[tuple[float, float, int, str]] = field(default_factory=list)

    @property
    def failed(self) -> list[tuple[float, float, int, str]]:
        """Everything that a visitor would have noticed as an error."""
        return [answer for answer in self.answers if not 200 <= answer[2] < 400]

    @property
    def longest(self) -> float:
        """The longest time without a new answer, in seconds: the downtime as a visitor sees it."""
        done = sorted(when + took for when, took, status, _ in self.answers if 200 <= status < 400)
        return max((b - a for a, b in pairwise(done)), default=0.0)


@contextmanager
def asking(
    address: str, host: str, path: str = "/", every: float = 0.01, at_once: int = 8, port: int = 80, *, tls: bool = False
) -> Iterator[Seen]:
    """Ask ``address`` for ``host`` in the background, about every ``every`` seconds, until the block ends.

    Each question is a new connection; with ``tls``, to port 443, with the name in the handshake.
    """
    seen, stop, tick = Seen(), threading.Event(), threading.Lock()

    def ask() -> None:
        while not stop.is_set():
            with tick:
                stop.wait(every)
            began = time.monotonic()
            status, text = _once(address, port, host, path, tls=tls)
            seen.answers.append((began, time.monotonic() - began, status, text))

    threads = [threading.Thread(target=ask, daemon=True) for _ in range(at_once)]
    for thread in threads:
        thread.start()
    try:
        yield seen
    finally:
        stop.set()
        for thread in threads:
            thread.join(60)


class _TlsConnection(http.client.HTTPConnection):
    """TLS for a name that no DNS knows, with whatever certificate the other side has."""

    def connect(self) -> None:
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        plain = socket.create_connection((self.address, 443), self.timeout)
        self.sock = context.wrap_socket(plain, server_hostname=self.host)

    address = ""


def _once(address: str, port: int, host: str, path: str, *, tls: bool) -> tuple[int, str]:
    connection = _TlsConnection(host, timeout=45) if tls else http.client.HTTPConnection(address, port, timeout=45)
    connection.address = address  # type: ignore[attr-defined]
    try:
        connection.request("GET", path, headers={"Host": host})
        answer = connection.getresponse()
        text = answer.read(200).decode(errors="replace")
    except (OSError, http.client.HTTPException) as error:
        return 0, repr(error)
    else:
        return answer.status, text.partition("\n")[0]
    finally:
        connection.close()
