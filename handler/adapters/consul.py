"""Consul's KV, members and agent, over py-consul. Every call has a deadline; what is no answer is ``StoreUnavailable``."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

import consul.exceptions
import requests
from consul.std import Consul as StandardConsul

from handler.core import kv
from handler.core.model import Node
from handler.errors import Permanent, StoreUnavailable
from handler.ports import Entry

READ = 10.0
"""Seconds for an answer; a node that is cut off from the others would hang otherwise. py-consul adds ``wait`` of blocking queries."""

_TOO_LARGE = 413
_ALIVE = 1
"""Serf's status of a member: https://github.com/hashicorp/serf."""


class Consul:
    """One agent. A client is not documented to be safe for threads, so each call makes its own (cheap: it only holds settings)."""

    def __init__(self, address: str, token: str | None = None) -> None:
        parts = urlsplit(address if "://" in address else f"http://{address}")
        self._where = {"host": parts.hostname or "127.0.0.1", "port": parts.port or 8500, "scheme": parts.scheme}
        self._token = token
        self.headers = {"X-Consul-Token": token} if token else {}

    def ask(self, call: Callable[[Any], Any], patience: float = READ) -> Any:
        """``call`` with a client; an answer that refuses is ``Permanent``, everything that is no answer ``StoreUnavailable``."""
        client = StandardConsul(**self._where, token=self._token, connections_timeout=patience)
        try:
            return call(client)
        except consul.exceptions.ClientError as error:
            raise Permanent(f"Consul refuses: {error}") from error
        except (consul.exceptions.ConsulException, ValueError) as error:
            raise StoreUnavailable(f"Consul has no answer: {str(error)[:200]}") from error
        except requests.RequestException as error:
            raise StoreUnavailable(f"Consul does not answer: {type(error).__name__}") from error
        finally:
            client.http.session.close()

    def put(
        self, path: str, value: Any, read: Callable[[Any], Any], patience: float = READ, params: Mapping[str, str] | None = None
    ) -> Any:
        """A PUT that py-consul has no method for, or whose method leaves out what we need (the token of a transaction)."""
        body = json.dumps(value)
        return self.ask(lambda c: c.http.put(read, path, params=list((params or {}).items()), data=body, headers=self.headers), patience)


class ConsulStore:
    """Implements ``Store``."""

    def __init__(self, agent: Consul, sure: Callable[[], float] = lambda: READ) -> None:
        self._agent, self._sure = agent, sure

    def within(self, sure: Callable[[], float]) -> ConsulStore:
        return ConsulStore(self._agent, sure)

    def _ask(self, call: Callable[[Any], Any]) -> Any:
        return self._agent.ask(call, self._patience())

    def _patience(self) -> float:
        return min(READ, self._sure() or READ)

    def get(self, key: str) -> Entry | None:
        _, item = self._ask(lambda c: c.kv.get(key, consistency="consistent"))
        return _entry(item) if item else None

    def tree(self, prefix: str) -> tuple[Entry, ...]:
        _, items = self._ask(lambda c: c.kv.get(prefix, recurse=True, consistency="consistent"))
        return tuple(sorted((_entry(item) for item in items or ()), key=lambda entry: entry.key))

    def wait(self, prefix: str, index: int, seconds: float) -> int:
        if index < 1:  # Consul answers at once without an index
            found, _ = self._ask(lambda c: c.kv.get(prefix, keys=True))
            return max(1, int(found))
        wait = f"{max(1, round(seconds * 1000))}ms"
        found, _ = self._ask(lambda c: c.kv.get(prefix, keys=True, index=index, wait=wait))
        return int(found) if int(found) >= index else 0  # an index that goes back means a restored state: begin again

    def put(self, key: str, value: str) -> None:
        self.transact([kv.Set(key, value)])

    def transact(self, ops: Sequence[kv.Op]) -> bool:
        if len(ops) > kv.MOST_OPERATIONS:
            raise Permanent(f"a transaction has {len(ops)} operations; Consul takes {kv.MOST_OPERATIONS}")
        asked = [{"KV": _VERBS[type(op)](op)} for op in ops]
        return bool(self._agent.put("/v1/txn", asked, lambda answer: _txn_answer(ops, answer), self._patience()))


def _txn_answer(ops: Sequence[kv.Op], response: Any) -> bool:
    if response.code == _TOO_LARGE:
        size, key = max((len(getattr(op, "value", "").encode()), getattr(op, "key", "")) for op in ops)
        raise Permanent(
            f"Consul refuses a transaction as too large, in which {key} has {size // 1024} KiB, make it smaller: {response.body[:200]}"
        )
    if response.code in (200, 409):
        errors = (json.loads(response.body) or {}).get("Errors") or []
        if response.code == 200 or errors:  # noqa: PLR2004
            return bool(response.code == 200)  # noqa: PLR2004
    raise StoreUnavailable(f"Consul has no answer to a transaction: {response.code} {response.body[:200]}")


def _encoded(value: str) -> str:
    return base64.b64encode(value.encode()).decode()


_VERBS: dict[type, Callable[[Any], dict[str, Any]]] = {
    kv.Set: lambda op: {"Verb": "set", "Key": op.key, "Value": _encoded(op.value)},
    kv.Create: lambda op: {"Verb": "cas", "Key": op.key, "Value": _encoded(op.value), "Index": 0},
    kv.Swap: lambda op: {"Verb": "cas", "Key": op.key, "Value": _encoded(op.value), "Index": op.index},
    kv.Delete: lambda op: {"Verb": "delete", "Key": op.key},
    kv.DeleteTree: lambda op: {"Verb": "delete-tree", "Key": op.prefix},
    kv.CheckSession: lambda op: {"Verb": "check-session", "Key": op.key, "Session": op.session},
    kv.CheckAbsent: lambda op: {"Verb": "check-not-exists", "Key": op.key},
    kv.CheckIndex: lambda op: {"Verb": "check-index", "Key": op.key, "Index": op.index},
}


def _entry(item: Mapping[str, Any]) -> Entry:
    value = item["Value"]
    text = value.decode(errors="replace") if isinstance(value, bytes) else (value or "")
    return Entry(item["Key"], text, int(item["ModifyIndex"]), item.get("Session") or "")


class ConsulMembers:
    """Implements ``Members`` by what this node's agent knows from gossip: works without a leader."""

    def __init__(self, agent: Consul, me: str) -> None:
        self._agent, self._me = agent, me

    def me(self) -> str:
        return self._me

    def nodes(self) -> Mapping[str, Node]:
        members = self._agent.ask(lambda c: c.agent.members())
        return {m["Name"]: Node(m["Name"], m["Addr"], m["Status"] == _ALIVE) for m in members}


class ConsulServices:
    """Implements ``Services``."""

    def __init__(self, agent: Consul) -> None:
        self._agent = agent

    def register(self, app: str, address: str, checks: Sequence[Mapping[str, Any]]) -> None:
        service = {
            "ID": app,
            "Name": app.replace("_", "-").replace(".", "-"),
            "Address": address,
            "Tags": ["cluster"],
            "Meta": {"app": app},
            "Checks": list(checks),
        }
        self._agent.put("/v1/agent/service/register", service, _ok, params={"replace-existing-checks": "true"})

    def deregister(self, app: str) -> None:
        services = self._agent.ask(lambda c: c.agent.services())
        if app in services:
            self._agent.ask(lambda c: c.agent.service.deregister(app))

    def report(self, app: str, check: Mapping[str, Any], problem: str) -> None:
        status = {"Status": "critical" if problem else "passing", "Output": problem or "fine"}
        path = f"/v1/agent/check/update/{check['CheckID']}"
        if not self._agent.put(path, status, _known):
            own = {**check, "ID": check["CheckID"], "ServiceID": app}  # the two paths name it differently
            del own["CheckID"]
            self._agent.put("/v1/agent/check/register", own, _ok)
            self._agent.put(path, status, _ok)

    def reports(self, suffix: str) -> Mapping[str, tuple[bool, str]]:
        path = "/v1/health/state/any"
        params = [("filter", f'CheckID matches "{re.escape(suffix)}$"')]
        found = self._agent.ask(lambda c: c.http.get(_json, path, params=params, headers=self._agent.headers))
        return {one["CheckID"].removesuffix(suffix): (one["Status"] == "passing", one["Output"]) for one in found}


def _known(response: Any) -> bool:
    if response.code == 404:  # noqa: PLR2004
        return False
    _ok(response)
    return True


def _json(response: Any) -> Any:
    _ok(response)
    return json.loads(response.body)


def _ok(response: Any) -> None:
    if 400 <= response.code < 500:  # noqa: PLR2004
        raise Permanent(f"Consul refuses the service: {response.body[:300]}")
    if response.code != 200:  # noqa: PLR2004
        raise StoreUnavailable(f"Consul has no answer: {response.code} {response.body[:200]}")
