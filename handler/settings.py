"""Settings of a node, from the environment; wrong ones are refused at start. Read by the entry points only."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from handler import errors

DRIVERS = ("anybox/buttervolume:latest", "ccomb/buttervolume:latest", "btrfs")
"""Names under which users' compose files know Buttervolume."""


@dataclass(frozen=True)
class Settings:
    """``driver`` is the name of the Buttervolume plugin on this node; compose files may use any of ``drivers``."""

    node: str
    consul: str
    driver: str
    deploy_dir: Path
    state_dir: Path
    run_dir: Path
    volumes_dir: Path
    caddy_dir: Path
    docker: str

    @property
    def drivers(self) -> tuple[str, ...]:
        """All names that mean Buttervolume."""
        return tuple(dict.fromkeys((self.driver, *DRIVERS)))

    @property
    def spool(self) -> Path:
        """Where events wait for the worker."""
        return self.state_dir / "spool"

    @property
    def journal(self) -> Path:
        """What this node has done."""
        return self.state_dir / "journal"

    @property
    def name_file(self) -> Path:
        """What this node is called, since it first worked."""
        return self.state_dir / "name"

    @property
    def wake(self) -> Path:
        """The worker's socket."""
        return self.run_dir / "worker.sock"


def read(environment: Mapping[str, str] = os.environ) -> Settings:
    """The settings; ``BadInput`` names a variable that cannot be used."""
    return Settings(
        node=environment.get("CLUSTER_NODE") or socket.gethostname(),
        consul=environment.get("CONSUL_HTTP_ADDR") or "http://127.0.0.1:8500",
        driver=environment.get("BUTTERVOLUME_DRIVER") or DRIVERS[0],
        deploy_dir=_path(environment, "DEPLOY_DIR", "/deploy"),
        state_dir=_path(environment, "CLUSTER_STATE_DIR", "/var/lib/cluster"),
        run_dir=_path(environment, "CLUSTER_RUN_DIR", "/run/cluster"),
        volumes_dir=_path(environment, "BUTTERVOLUME_DIR", "/var/lib/buttervolume"),
        caddy_dir=_path(environment, "CADDY_DATA_DIR", "/caddy_data/caddy"),
        docker=environment.get("DOCKER_HOST") or "unix:///var/run/docker.sock",
    )


def _path(environment: Mapping[str, str], name: str, default: str) -> Path:
    path = Path(environment.get(name) or default)
    if not path.is_absolute():
        raise errors.BadInput(f"{name} is {path}: it must be an absolute path, the same on the node and in the container")
    return path
