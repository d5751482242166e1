"""What a step's action may know: the operation, this node's ports, and how to talk with the other nodes through Consul.

Made by :mod:`handler.execute`, one for each operation on each node.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from handler import claims, errors
from handler.core import composefile, limits, names, record
from handler.core.caddyfile import CaddyfileError, hashed
from handler.core.haproxy import HaproxyError
from handler.core.model import AppSpec, Operation
from handler.ports import Lease, Ports
from handler.residence import ABORTED, outcome

log = logging.getLogger(__name__)

BAD_APP = (composefile.ComposeError, CaddyfileError, HaproxyError)
SERVICE_FILE, PAGE_FILE = "service.json", "maintenance.html"


@dataclass
class Context:
    """One operation on one node.

    ``tail`` keeps the last lines of failed containers for the history. ``failed`` when this node's part of it did, so that what it did is
    taken back: with or without the lease, which is not asked any more, and without keeping what the trial wrote.
    """

    op: Operation
    ports: Ports
    drivers: tuple[str, ...]
    lease: Lease | None = None
    tail: str = ""
    failed: bool = False
    timings: list[dict[str, Any]] = field(default_factory=list)
    _specs: dict[str, AppSpec] = field(default_factory=dict)

    @property
    def app(self) -> str:
        """Name of the app."""
        return self.op.app

    @property
    def project(self) -> str:
        """Its compose project."""
        return names.project_name(self.op.app)

    @property
    def me(self) -> str:
        """Name of this node."""
        return self.ports.members.me()

    def without_others(self, volumes: Iterable[str]) -> list[str]:
        """See :func:`handler.claims.without_others`: before volumes are removed, scheduled or forgotten."""
        return claims.without_others(self.ports.store, self.app, volumes)

    def guard(self) -> None:
        """Raise ``LeaseLost`` when this node leads and its lease is not sure any more."""
        if self.lease and not self.failed:
            self.lease.ensure()

    def lease_over(self) -> None:
        """The outcome is known: the next operation of the app may begin, while this one's tail is done."""
        if self.lease:
            self.lease.release()
            self.lease = None

    def directory(self, deploy_id: str) -> str:
        """Path of a deploy."""
        return self.ports.deploys.path(self.app, deploy_id)

    def spec(self, deploy_id: str) -> AppSpec:
        """The spec of a deploy whose code is here; ``BadInput`` with file and reason."""
        if deploy_id not in self._specs:
            config = self.ports.compose.config(self.directory(deploy_id))
            own, page = (self.ports.deploys.read(self.app, deploy_id, name) for name in (SERVICE_FILE, PAGE_FILE))
            try:
                spec = composefile.read(config, self.app, self.drivers, own, page or "")
            except BAD_APP as error:
                raise errors.BadInput(str(error)) from error
            self._specs[deploy_id] = replace(spec, caddyfile=hashed(spec.caddyfile, self.ports.proxies.hash_password))
        return self._specs[deploy_id]

    # --- the hand-over in Consul -----------------------------------------------------------------------------------

    def say(self, part: str, value: dict[str, Any]) -> None:
        """Write one hand-over key; retried, since a hiccup of Consul must not end a switch."""
        key = names.op_key(self.app, self.op.event.id, part)
        self.persist(lambda: self.ports.store.put(key, record.dumps(value)))

    def hear(self, part: str) -> dict[str, Any] | None:
        """One hand-over key's value, or None when it is not there."""
        entry = self.ports.store.get(names.op_key(self.app, self.op.event.id, part))
        return record.loads(entry.value) if entry else None

    def outcome(self) -> str | None:
        """``committed``, ``aborted`` or None while it is open."""
        found = self.hear("outcome")
        return found["outcome"] if found else None

    def outcome_or_none(self) -> str | None:
        """The outcome as far as Consul can be asked now."""
        try:
            return self.outcome()
        except errors.Temporary:
            return None

    def stop_if_aborted(self) -> None:
        """Raise ``Aborted`` when the operation was, as far as Consul can be asked now; asked during work that takes long."""
        if self.outcome_or_none() == ABORTED:
            raise errors.Aborted(f"the operation was aborted while {self.me} was busy with it")

    def abort(self, why: str) -> bool:
        """Declare the abort, unless the operation has an outcome; False when it has."""
        value = outcome(ABORTED, self.me, why=why, tail=self.tail[-4000:])
        return self.ports.store.transact([names.create_outcome(self.app, self.op.event.id, value)])

    def persist(self, call: Callable[[], Any], seconds: float = limits.TAIL) -> Any:
        """Repeat ``call`` while it raises ``Temporary``, for ``seconds`` at most, or until the lease is lost."""
        clock = self.ports.clock
        deadline = clock.monotonic() + seconds
        pause = 0.1
        while True:
            self.guard()
            try:
                return call()
            except errors.Temporary as error:
                if clock.monotonic() + pause > deadline:
                    raise
                log.warning("%s: %s; trying again", self.app, error)
                clock.sleep(pause)
                pause = min(pause * 2, 5.0)

    def wait_for(self, part: str, peer: str, seconds: float, *, tail: bool = False) -> dict[str, Any]:
        """Wait until ``peer`` has said ``part``; returns its value.

        Raises ``Aborted`` when the operation was aborted meanwhile, and ``Permanent`` when the peer vanished or the time is over; in the
        ``tail`` also when another event of the app wants to be pursued: the peer may be busy with that one already.
        """
        clock, store = self.ports.clock, self.ports.store
        deadline = clock.monotonic() + seconds
        gone_since: float | None = None
        index = 0
        prefix = names.op_prefix(self.app, self.op.event.id)
        while True:
            self.guard()
            try:
                found = {entry.key.removeprefix(prefix): entry.value for entry in store.tree(prefix)}
                if part in found:
                    return record.loads(found[part])
                if "outcome" in found and record.loads(found["outcome"])["outcome"] == ABORTED:
                    raise errors.Aborted(record.loads(found["outcome"]).get("why", "aborted"))
                if tail and self.overtaken():
                    raise errors.Permanent(f"{part} of {peer} is waited for no more: another operation of {self.app} comes next")
                gone_since = self._gone_since(peer, gone_since)
                index = store.wait(prefix, index, limits.LOOK_AGAIN)
            except errors.Temporary as error:
                log.warning("%s: waiting for %s of %s: %s", self.app, part, peer, error)
                clock.sleep(1.0)
            if gone_since is not None and clock.monotonic() - gone_since > limits.PEER_GONE:
                raise errors.Permanent(f"{peer} has left the cluster while it was asked for {part}")
            if clock.monotonic() > deadline:
                raise errors.Permanent(f"{peer} did not say {part} within {seconds:.0f} s")

    def overtaken(self) -> bool:
        """Another operation has begun since, or the intent is one that has neither begun nor ended."""
        prefix = names.op_prefix(self.app)
        said = {entry.key.removeprefix(prefix): entry.index for entry in self.ports.store.tree(prefix)}
        plans = {key: index for key, index in said.items() if key.endswith("/plan")}
        entry = self.ports.store.get(names.intent_key(self.app))
        intent, _ = record.read_intent(entry.value if entry else None)
        begun = plans and max(plans, key=lambda key: plans[key]) != f"{self.op.event.id}/plan"
        return bool(begun or (intent and not {f"{intent.id}/plan", f"{intent.id}/outcome"} & said.keys()))

    def _gone_since(self, peer: str, before: float | None) -> float | None:
        node = self.ports.members.nodes().get(peer)
        if node and node.alive:
            return None
        return self.ports.clock.monotonic() if before is None else before
