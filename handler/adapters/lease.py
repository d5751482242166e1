"""Locks that expire: a Consul session with a TTL, renewed by a thread. Implements ``Leases``.

Numbers: TTL 15 s, renewed at a third of it. Consul frees the lock 15 to 30 s after the last renewal; the holder stops believing in it
10 s after, and waits for no answer of Consul longer than that, so that nobody else can hold it while this node still acts on it.
"""

from __future__ import annotations

import contextlib
import json
import logging
import threading
import time
from typing import Any

from handler.adapters.consul import READ, Consul
from handler.errors import ClusterError, LeaseLost, StoreUnavailable

log = logging.getLogger(__name__)

TTL = 15
RENEW = 5.0
BELIEVE = 10.0


def _now() -> float:
    """Seconds that also pass while the machine is suspended."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class ConsulLeases:
    """Implements ``Leases``."""

    def __init__(self, agent: Consul, node: str) -> None:
        self._agent, self._node = agent, node

    def acquire(self, key: str, value: str) -> ConsulLease | None:
        asked = _now()
        # no checks bound: a flapping serfHealth would free the lock before the holder's own deadline
        wanted = {
            "Name": f"{self._node} {key}",
            "TTL": f"{TTL}s",
            "LockDelay": "1s",
            "Behavior": "release",
            "NodeChecks": [],
            "ServiceChecks": [],
        }
        session = self._agent.put("/v1/session/create", wanted, _session_id)
        lease = ConsulLease(self._agent, key, session, asked)
        try:
            if lease.put(value):
                lease.keep()
                return lease
        except ClusterError:
            lease.release()
            raise
        lease.release()
        return None


def _session_id(response: Any) -> str:
    if response.code != 200:  # noqa: PLR2004
        raise StoreUnavailable(f"Consul gives no session: {response.code} {response.body[:200]}")
    return str(json.loads(response.body)["ID"])


class ConsulLease:
    """Implements ``Lease``."""

    def __init__(self, agent: Consul, key: str, session: str, renewed: float) -> None:
        self.session = session
        self._agent, self._key, self._renewed = agent, key, renewed
        self._over = threading.Event()
        self._lost = ""

    def put(self, value: str, patience: float = READ) -> bool:
        """Acquire the key, or renew what it says while we hold it; ``patience`` is in seconds."""
        return bool(self._agent.ask(lambda c: c.kv.put(self._key, value, acquire=self.session), patience))

    def keep(self) -> None:
        """Start to renew."""
        threading.Thread(target=self._renew, name=f"lease {self._key}", daemon=True).start()

    def _renew(self) -> None:
        while not self._over.wait(RENEW if not self._lost else 1.0):
            asked = _now()
            try:
                known = self._agent.put(f"/v1/session/renew/{self.session}", None, lambda r: r.code, RENEW)
            except ClusterError as error:
                log.warning("%s: the lease cannot be renewed: %s", self._key, error)
                continue
            if known == 404:  # noqa: PLR2004
                self._lost = "Consul has ended its session"
                return
            if known == 200:  # noqa: PLR2004
                self._renewed = asked

    def ensure(self) -> None:
        if not self.sure():
            why = self._lost or f"it was not renewed for {_now() - self._renewed:.0f} s"
            raise LeaseLost(f"the lease {self._key} is lost: {why}")

    def sure(self) -> float:
        return 0.0 if self._lost or self._over.is_set() else max(0.0, self._renewed + BELIEVE - _now())

    def say(self, value: str) -> None:
        patience = self.sure()
        if not patience:
            return
        with contextlib.suppress(StoreUnavailable):  # only for people; ensure() is what counts
            self.put(value, patience)

    def release(self) -> None:
        if self._over.is_set():
            return
        self._over.set()
        try:
            # the key first: an explicit release has no lock-delay, so that the next operation can begin at once
            self._agent.ask(lambda c: c.kv.put(self._key, "", release=self.session))
            self._agent.ask(lambda c: c.session.destroy(self.session))
        except ClusterError as error:
            log.warning("%s: the lease cannot be given back and ends by itself: %s", self._key, error)
