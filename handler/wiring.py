"""Where the adapters are put together to the ports of a node. Used by the programs that work on it."""

from __future__ import annotations

import logging
import os
import sys

from handler import errors, settings
from handler.adapters.buttervolume import Buttervolume
from handler.adapters.clock import SystemClock
from handler.adapters.compose import DockerCompose
from handler.adapters.consul import Consul, ConsulMembers, ConsulServices, ConsulStore
from handler.adapters.docker import Docker
from handler.adapters.files import DeployDirectories, FileJournal, write_durable
from handler.adapters.git import Git
from handler.adapters.lease import ConsulLeases
from handler.adapters.probe import TcpProbe
from handler.adapters.proxies import NodeProxies
from handler.adapters.published import PublishedPorts
from handler.ports import Ports
from handler.proxies.paths import Paths
from handler.settings import Settings

log = logging.getLogger(__name__)

PROJECT = "cluster"
"""The compose project of the node's own services."""


def start() -> Settings:
    """Begin to log, and read the settings."""
    logging.basicConfig(
        level=os.environ.get("LOG_LEVEL", "INFO"), stream=sys.stdout, format="%(asctime)s %(levelname)-7s %(message)s", force=True
    )
    logging.getLogger("urllib3").setLevel(logging.WARNING)
    return settings.read()


def keep_name(here: Settings) -> None:
    """Raise ``BadInput`` when this node is called otherwise than at its first start: it would take itself for a replaced master, and put
    away what is live here.
    """
    known = here.name_file.read_text(errors="replace").strip() if here.name_file.exists() else ""
    if known not in ("", here.node):
        raise errors.BadInput(
            f"this node was {known} and is called {here.node} now, where no app lives: call it {known} again. "
            f"If it shall have another name, move its apps away first, and remove {here.name_file}"
        )
    if not known:
        try:
            here.name_file.parent.mkdir(parents=True, exist_ok=True)
            write_durable(here.name_file, here.node + "\n")
        except OSError as error:
            log.warning("the name of this node cannot be noted: %s; tried again at the next start", error)


def wire(here: Settings) -> Ports:
    """The real ports of this node."""
    agent = Consul(here.consul, os.environ.get("CONSUL_HTTP_TOKEN") or None)
    docker = Docker(here.docker)
    published = PublishedPorts(lambda: docker.service_address(PROJECT, "haproxy"))
    return Ports(
        store=ConsulStore(agent),
        leases=ConsulLeases(agent, here.node),
        members=ConsulMembers(agent, here.node),
        services=ConsulServices(agent),
        code=Git(),
        compose=DockerCompose(docker),
        volumes=Buttervolume(docker, here.drivers, here.volumes_dir, here.state_dir / "locks", lambda: docker.plugin_socket(here.driver)),
        deploys=DeployDirectories(here.deploy_dir, here.run_dir / "own"),
        proxies=NodeProxies(Paths(here.state_dir / "proxy", here.run_dir, here.node), published.sync),
        probe=TcpProbe(),
        journal=FileJournal(here.journal),
        clock=SystemClock(),
    )
