"""A real git daemon for tests."""

import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from programs import free_port, need

from clusterlab.run import wait_until


@contextmanager
def git_repository(folder: Path) -> Iterator[str]:
    """Url of a repository with one commit, a file ``docker-compose.yml``, on branch main."""
    need("git")
    bare, work = folder / "served" / "some.git", folder / "work"
    git = ["git", "-c", "user.name=x", "-c", "user.email=x@example.com"]
    subprocess.run([*git, "init", "-q", "--bare", "--initial-branch=main", bare], check=True)
    subprocess.run([*git, "init", "-q", "--initial-branch=main", work], check=True)
    (work / "docker-compose.yml").write_text("services")
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
