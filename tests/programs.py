"""Real programs for component tests: where they are, and a Consul server on loopback."""

import json
import os
import shutil
import socket
import subprocess
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

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
    with _consul(folder, "here", "-server", "-bootstrap-expect=1", "-hcl=performance{raft_multiplier=1}") as (address, _):
        wait_until("consul elects itself", lambda: _leader(address), 40)
        yield address


@contextmanager
def consul_client(folder: Path, name: str, server: str = "") -> Iterator[tuple[str, Callable[[], None]]]:
    """Address of an agent without a server's data, on a node called ``name``, and what kills it. Without ``server`` it knows none."""
    joined = f"127.0.0.1:{_json(f'{server}/v1/agent/self')['Member']['Port']}" if server else ""
    with _consul(folder, name, "-hcl=leave_on_terminate=false", *([f"-retry-join={joined}"] if server else [])) as (address, kill):
        wait_until(f"the agent of {name} answers", lambda: _answers(address, joined=bool(server)), 40)
        yield address, kill


@contextmanager
def _consul(folder: Path, name: str, *more: str) -> Iterator[tuple[str, Callable[[], None]]]:
    program = need("consul")
    ports = {name: free_port() for name in ("http", "server", "serf-lan", "serf-wan", "dns", "grpc", "grpc-tls")}
    flags = [f"-{name}-port={port}" for name, port in ports.items()]
    with (folder / "log").open("w") as log:
        agent = subprocess.Popen(
            [program, "agent", "-bind=127.0.0.1", f"-data-dir={folder}", f"-node={name}", *more, *flags], stdout=log, stderr=log
        )
    try:
        yield f"http://127.0.0.1:{ports['http']}", agent.kill
    finally:
        agent.terminate()
        agent.wait(20)


def _answers(address: str, *, joined: bool) -> bool:
    try:
        return bool(_json(f"{address}/v1/status/leader") if joined else _json(f"{address}/v1/agent/self"))
    except OSError:
        return False


def _json(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=2) as answer:
        return json.load(answer)


def _leader(address: str) -> bool:
    try:
        with urllib.request.urlopen(f"{address}/v1/kv/?keys&consistent", timeout=2):
            return True
    except OSError as error:
        return getattr(error, "code", 0) == 404
