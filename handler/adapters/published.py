"""Ports of apps' own frontends, led from the node into the HAProxy container; and the nodes' own ports, kept from apps' containers.

A published port of a container is fixed when it is created, and to create HAProxy anew would cut every connection of the node. So
the worker keeps two chains of iptables, in the place that Docker leaves for others (https://docs.docker.com/engine/network/packet-filtering-firewalls/).
The client's address stays what it is.

What an app's container sends to another node has its own node's address there, which HAProxy's rules take for that of a peer.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable, Sequence

from handler.adapters.process import run
from handler.errors import ClusterError, CommandFailed

log = logging.getLogger(__name__)

_CHAIN = "CLUSTER-PORTS"
_JUMPS = (("nat", "PREROUTING"), ("nat", "OUTPUT"), ("filter", "DOCKER-USER"))
"""(table, chain) from which our chain of that table is entered."""
_BRIDGES = ("br-+", "docker0")
"""Where packets of containers come from."""
PEER_PORTS = (1080, 1081, 1443, 1444)
"""Where nodes forward to each other, see ``templates/haproxy.cfg.ctmpl``."""
_SECONDS = 20.0


class PublishedPorts:
    """The chains of this node; ``address`` asks for the IPv4 address of its HAProxy container, which changes when it is created anew."""

    def __init__(self, address: Callable[[], str]) -> None:
        self._address = address
        self._applied: str | None = None
        self._complaint = ""

    def sync(self, ports: Sequence[int]) -> None:
        """Lead exactly these TCP ports to HAProxy; called every few seconds, and does nothing while all is as it should be.

        What fails is said once in the log and tried again at the next call.
        """
        try:
            self._sync(ports)
        except ClusterError as error:
            if str(error) != self._complaint:
                log.warning("ports of HAPROXY frontends cannot be opened on this node, tried again: %s: %s", _words(ports), error)
            self._complaint = str(error)
        else:
            self._complaint = ""

    def _sync(self, ports: Sequence[int]) -> None:
        text = rules(self._address(), ports)
        missing = [place for place in _JUMPS if not _jumps(*place)]
        if text == self._applied and not missing:
            return
        _restore(text)
        for place in missing:
            _iptables(*place, "-I")
        log.info("ports of HAPROXY frontends that are open on this node: %s", _words(ports))
        self._applied = text


def rules(address: str, ports: Sequence[int]) -> str:
    """Input of ``iptables-restore --noflush``, which replaces both chains at once."""
    local = "! -d 127.0.0.0/8 -m addrtype --dst-type LOCAL"
    lead = [f"-A {_CHAIN} -p tcp {local} --dport {port} -j DNAT --to-destination {address}" for port in ports]
    peers = f"! -s {address} -p tcp -m multiport --dports {','.join(map(str, PEER_PORTS))} -j REJECT --reject-with tcp-reset"
    keep = [f"-A {_CHAIN} -i {bridge} {peers}" for bridge in _BRIDGES]
    allow = [f"-A {_CHAIN} -p tcp -d {address} --dport {port} -j ACCEPT" for port in ports]
    lines = ["*nat", f":{_CHAIN} - [0:0]", *lead, "COMMIT", "*filter", f":{_CHAIN} - [0:0]", *keep, *allow, "COMMIT"]
    return "\n".join(lines) + "\n"


def _words(ports: Sequence[int]) -> str:
    return ", ".join(map(str, ports)) or "none"


def _restore(text: str) -> None:
    with tempfile.NamedTemporaryFile("w", suffix=".rules") as file:
        file.write(text)
        file.flush()
        run(["iptables-restore", "-w", "5", "--noflush", file.name], seconds=_SECONDS)


def _iptables(table: str, chain: str, action: str) -> None:
    run(["iptables", "-w", "5", "-t", table, action, chain, "-j", _CHAIN], seconds=_SECONDS)


def _jumps(table: str, chain: str) -> bool:
    try:
        _iptables(table, chain, "-C")
    except CommandFailed:
        return False
    return True
