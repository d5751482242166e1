"""Keep the certificates in this node's Caddy and those in Consul the same; a thread of the worker. See :mod:`handler.core.certificates`."""

from __future__ import annotations

import logging
import threading
from typing import Protocol

from handler import errors
from handler.core import certificates, names, record
from handler.core.certificates import Certificate
from handler.core.kv import CheckIndex, Create, Op, Swap
from handler.ports import Store

log = logging.getLogger(__name__)

_LOOK = 5.0
"""Seconds after which this node's storage is looked at again."""
_PREFIX = "certificates/"


class Storage(Protocol):
    """Caddy's storage on this node."""

    def known(self) -> dict[str, float]:
        """Domain -> when its certificate was written."""

    def read(self, domain: str) -> Certificate:
        """The newest certificate of a domain; OSError when it is gone."""

    def write(self, found: Certificate) -> None:
        """Add or replace a certificate."""


def keep(store: Store, storage: Storage, stop: threading.Event) -> None:
    """Run until ``stop``; what cannot be done now is done later."""
    index = 0
    while not stop.is_set():
        try:
            share(store, storage)
            index = store.wait(_PREFIX, index, _LOOK)
        except (errors.ClusterError, OSError) as error:
            log.warning("certificates cannot be shared now: %s", error)
            stop.wait(_LOOK)


def share(store: Store, storage: Storage) -> None:
    """Once, both ways."""
    entries = {entry.key.removeprefix(_PREFIX): entry for entry in store.tree(_PREFIX)}
    stored = {domain: found for domain, entry in entries.items() if (found := certificates.load(domain, record.loads(entry.value)))}
    here, there = storage.known(), {domain: found.at for domain, found in stored.items()}
    for domain in certificates.newer(here, there):
        claim = store.get(names.claim_key(f"domain/{domain}"))
        if not claim:
            continue  # of an app that is gone; Caddy removes it when it has expired
        key, value = certificates.key(domain), record.dumps(certificates.dump(storage.read(domain)))
        write: Op = Swap(key, value, entries[domain].index) if domain in entries else Create(key, value)
        if store.transact([CheckIndex(claim.key, claim.index), write]):
            log.info("certificate of %s: shared with the other nodes", domain)
    for domain in certificates.newer(there, here):
        storage.write(stored[domain])
        log.info("certificate of %s: taken from another node", domain)
