"""Where rendered files, live files and sockets are, and the small file helpers that the three parts share."""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_CHECK = 60.0


@dataclass(frozen=True)
class Paths:
    """All below two folders: one that stays (``state``), one that does not (``run``). ``node`` is this node's name."""

    state: Path
    run: Path
    node: str

    @staticmethod
    def from_environment(environment: Mapping[str, str]) -> Paths:
        """The node's own folders, or those of a test."""
        return Paths(
            Path(environment.get("CLUSTER_STATE_DIR") or "/var/lib/cluster") / "proxy",
            Path(environment.get("CLUSTER_RUN_DIR") or "/run/cluster"),
            environment.get("CLUSTER_NODE") or socket.gethostname(),
        )

    @property
    def staging(self) -> Path:
        """What consul-template wrote last."""
        return self.state / "staging"

    @property
    def begin(self) -> tuple[Path, ...]:
        """What the proxies' entrypoints wait for; gone with the power."""
        return tuple(self.run / proxy / "docker-is-done" for proxy in ("haproxy", "caddy"))

    def missed(self, proxy: str) -> Path:
        """There while a proxy did not answer when its file was written last."""
        return self.run / f"{proxy}-missed"

    def miss(self, proxy: str) -> None:
        """Note that it did not answer: what was written has to be loaded when it does."""
        self.run.mkdir(parents=True, exist_ok=True)
        self.missed(proxy).touch()

    @property
    def overrides(self) -> Path:
        """Parts of apps under way; volatile, since an operation does not survive a power loss."""
        return self.run / "caddy-overrides"

    @property
    def haproxy(self) -> Path:
        """What HAProxy runs with."""
        return self.state / "haproxy"

    @property
    def caddy(self) -> Path:
        """What Caddy runs with."""
        return self.state / "caddy"

    @property
    def away(self) -> Path:
        """One file for each app whose requests Caddy leads away."""
        return self.run / "caddy" / "away"

    @property
    def applied(self) -> Path:
        """Which apps this node's HAProxy holds right now; read by the worker before it stops containers."""
        return self.run / "proxies-applied.json"

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """One at a time."""
        self.run.mkdir(parents=True, exist_ok=True)
        with (self.run / "proxies.lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield


def read(path: Path) -> str:
    """The text of a file; empty when there is none."""
    with contextlib.suppress(FileNotFoundError):
        return path.read_bytes().decode(errors="replace")
    return ""


def write(path: Path, text: str) -> None:
    """Replace a file at once."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.new")
    with temporary.open("wb") as file:
        file.write(text.encode())
        file.flush()
        os.fsync(file.fileno())
    temporary.rename(path)


def check(argv: Sequence[str]) -> str:
    """Run a proxy's own check; returns its words when it refuses, and an empty string when it is content."""
    try:
        done = subprocess.run(argv, check=False, capture_output=True, text=True, timeout=_CHECK)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"{argv[0]} cannot be asked: {error}"
    return "" if done.returncode == 0 else ((done.stderr or done.stdout).strip() or f"{argv[0]} ended with {done.returncode}")


def talk(path: Path, line: str, seconds: float = 10.0) -> str:
    """Say one line to a HAProxy socket and return its answer; OSError when nobody listens."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.settimeout(seconds)
        sock.connect(str(path))
        sock.sendall(line.encode() + b"\n")
        answer = b""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            data = sock.recv(65536)
            if not data:
                break
            answer += data
    return answer.decode(errors="replace").strip()
