"""A git daemon for component tests."""

import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from programs import free_port, need

from clusterlab.run import wait_until


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
