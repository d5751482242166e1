"""Ports of apps' own frontends, led from the node into the HAProxy container.

A published port of a container is fixed when it is created, and to create HAProxy anew would cut every connection of the node. So
the worker keeps two chains of iptables, in the place that Docker leaves for others (https://docs.docker.com/engine/network/packet-filtering-firewalls/).
The client's address stays what it is.
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
        if not ports and not self._applied and self._applied is not None:
            return
        text = rules(self._address(), ports) if ports else ""
        if text == self._applied and all(_jumps(*place) for place in _JUMPS):
            return
        if ports or _exists():
            _restore(text or rules("", ()))
            for place in _JUMPS:
                if not _jumps(*place):
                    _iptables(*place, "-I")
            log.info("ports of HAPROXY frontends that are open on this node: %s", _words(ports))
        self._applied = text


def rules(address: str, ports: Sequence[int]) -> str:
    """Input of ``iptables-restore --noflush``, which replaces both chains at once."""
    local = "! -d 127.0.0.0/8 -m addrtype --dst-type LOCAL"
    lead = [f"-A {_CHAIN} -p tcp {local} --dport {port} -j DNAT --to-destination {address}" for port in ports]
    allow = [f"-A {_CHAIN} -p tcp -d {address} --dport {port} -j ACCEPT" for port in ports]
    lines = ["*nat", f":{_CHAIN} - [0:0]", *lead, "COMMIT", "*filter", f":{_CHAIN} - [0:0]", *allow, "COMMIT"]
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


def _exists() -> bool:
    try:
        run(["iptables", "-w", "5", "-t", "nat", "-S", _CHAIN], seconds=_SECONDS)
    except CommandFailed:
        return False
    return True
