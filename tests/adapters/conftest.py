"""Real programs for component tests: one Consul server on loopback, a git daemon, the programs in the cache."""

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from clusterlab.run import CACHE, wait_until

os.environ["PATH"] += os.pathsep + str(CACHE / "bin") + os.pathsep + "/usr/sbin"


def need(program: str) -> str:
    """The path of a program, or a skip that says what is missing."""
    found = shutil.which(program)
    if not found:
        pytest.skip(f"{program} is not on this machine; `make prepare` installs or builds it")
    return found


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


@pytest.fixture(scope="session")
def consul(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a Consul server of this test run's own."""
    program = need("consul")
    ports = {name: free_port() for name in ("http", "server", "serf-lan", "serf-wan", "dns", "grpc")}
    folder = tmp_path_factory.mktemp("consul")
    flags = [f"-{name}-port={port}" for name, port in ports.items()]
    with (folder / "log").open("w") as log:
        server = subprocess.Popen(
            [program, "agent", "-server", "-bootstrap-expect=1", "-bind=127.0.0.1", f"-data-dir={folder}", "-node=here",
             "-hcl=performance{raft_multiplier=1}", *flags],
            stdout=log, stderr=log,
        )  # fmt: skip
    try:
        address = f"http://127.0.0.1:{ports['http']}"
        wait_until("consul elects itself", lambda: _leader(address), 40)
        yield address
    finally:
        server.terminate()
        server.wait(20)


def _leader(address: str) -> bool:
    import urllib.request  # noqa: PLC0415

    try:
        with urllib.request.urlopen(f"{address}/v1/kv/?keys&consistent", timeout=2):
            return True
    except OSError as error:
        return getattr(error, "code", 0) == 404


@pytest.fixture
def repository(tmp_path: Path) -> Iterator[str]:
    """Url of a repository with one commit on branch main, behind a real git daemon."""
    need("git")
    bare, work = tmp_path / "served" / "some.git", tmp_path / "work"
    git = ["git", "-c", "user.name=x", "-c", "user.email=x@example.com"]
    subprocess.run([*git, "init", "-q", "--bare", "--initial-branch=main", bare], check=True)
    subprocess.run([*git, "init", "-q", "--initial-branch=main", work], check=True)
    (work / "file").write_text("text")
    subprocess.run([*git, "-C", work, "add", "-A"], check=True)
    subprocess.run([*git, "-C", work, "commit", "-q", "-m", "one"], check=True)
    subprocess.run([*git, "-C", work, "push", "-q", bare, "main"], check=True)
    port = free_port()
    daemon = subprocess.Popen(
        ["git", "-c", "safe.directory=*", "daemon", "--export-all", "--listen=127.0.0.1", f"--port={port}", f"--base-path={bare.parent}"]
    )
    try:
        wait_until("git daemon", lambda: _listens(port), 10)
        yield f"git://127.0.0.1:{port}/some.git"
    finally:
        daemon.terminate()
        daemon.wait(10)


def _listens(port: int) -> bool:
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", port)) == 0
