"""What the shell needs from the outside world, each port as narrow as its users need.

The adapters implement these for real; the tests have in-memory ones that pass the same contract tests. Everything that waits
takes a number of seconds; everything that cannot be reached raises :class:`handler.errors.Temporary`; everything that is refused
raises :class:`handler.errors.Permanent`.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from handler.ports.local import Clock, Code, Compose, Deploys, Guard, Journal, Probe, Proxies, Volumes
from handler.ports.shared import Entry, Lease, Leases, Members, Services, Store

__all__ = [
    "Clock",
    "Code",
    "Compose",
    "Deploys",
    "Entry",
    "Guard",
    "Journal",
    "Lease",
    "Leases",
    "Members",
    "Ports",
    "Probe",
    "Proxies",
    "Services",
    "Store",
    "Volumes",
]


@dataclass(frozen=True)
class Ports:
    """Everything that a story may touch."""

    store: Store
    leases: Leases
    members: Members
    services: Services
    code: Code
    compose: Compose
    volumes: Volumes
    deploys: Deploys
    proxies: Proxies
    probe: Probe
    journal: Journal
    clock: Clock
    freezing: set[str] = field(default_factory=set)
    """Apps of which this process takes a snapshot now; see :mod:`handler.snapshot`."""
