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
    address: str,
    host: str,
    path: str = "/",
    every: float = 0.01,
    at_once: int = 8,
    port: int = 80,
    *,
    tls: bool = False,
    keep: bool = False,
) -> Iterator[Seen]:
    """Ask ``address`` for ``host`` in the background, about every ``every`` seconds, until the block ends.

    Each question is a new connection, unless ``keep``; with ``tls``, to port 443, with the name in the handshake.
    """
    seen, stop, tick = Seen(), threading.Event(), threading.Lock()

    def ask() -> None:
        client = _Client(address, port, host, tls=tls)
        while not stop.is_set():
            with tick:
                stop.wait(every)
            began = time.monotonic()
            status, text = client.ask(path)
            seen.answers.append((began, time.monotonic() - began, status, text))
            if not keep:
                client.close()
        client.close()

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


class _Client:
    """One visitor; asks again on a new connection when one that was kept is closed before an answer, as browsers do (RFC 9110, 9.2.2)."""

    def __init__(self, address: str, port: int, host: str, *, tls: bool) -> None:
        self._host = host
        self._connection = _TlsConnection(host, timeout=45) if tls else http.client.HTTPConnection(address, port, timeout=45)
        self._connection.address = address  # type: ignore[union-attr]

    def ask(self, path: str) -> tuple[int, str]:
        """(status or 0, first line of the text)."""
        kept = self._connection.sock is not None
        try:
            return self._once(path)
        except (ConnectionError, http.client.RemoteDisconnected) as error:
            self.close()
            return self.ask(path) if kept else (0, repr(error))
        except (OSError, http.client.HTTPException) as error:
            self.close()
            return 0, repr(error)

    def _once(self, path: str) -> tuple[int, str]:
        self._connection.request("GET", path, headers={"Host": self._host})
        answer = self._connection.getresponse()
        text = answer.read().decode(errors="replace")
        return answer.status, text.partition("\n")[0]

    def close(self) -> None:
        """The next question is a new connection."""
        self._connection.close()


class WebSocket:
    """A connection that stays; what is said comes back (``/socket`` of examples/hello)."""

    def __init__(self, address: str, host: str) -> None:
        self._sock = socket.create_connection((address, 80), 10)
        self._sock.sendall(
            f"GET /socket HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode()
        )
        head = b""
        while not head.endswith(b"\r\n\r\n") and (byte := self._sock.recv(1)):
            head += byte
        if b" 101 " not in head.partition(b"\r\n")[0]:
            raise ConnectionError(f"no WebSocket: {head!r}")

    def lives(self) -> bool:
        """Whether what is said comes back."""
        try:
            self._sock.sendall(b"still there?")
            return bool(self._sock.recv(100))
        except OSError:
            return False

    def close(self) -> None:
        """Hang up."""
        self._sock.close()
