"""Real programs for component tests: where they are, and a Consul server on loopback."""

import os
import shutil
import socket
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
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


@contextmanager
def consul_server(folder: Path) -> Iterator[str]:
    """Address of a Consul server of this test run's own."""
    program = need("consul")
    ports = {name: free_port() for name in ("http", "server", "serf-lan", "serf-wan", "dns", "grpc", "grpc-tls")}
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
    try:
        with urllib.request.urlopen(f"{address}/v1/kv/?keys&consistent", timeout=2):
            return True
    except OSError as error:
        return getattr(error, "code", 0) == 404
