"""``claim/<kind>/<name>``: which app has a name: of a domain, frontend, backend, port, project, volume. Used by actions, observe, node."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import suppress

from handler import errors
from handler.core import certificates, haproxy, names, record
from handler.core.kv import MOST_OPERATIONS, CheckIndex, Create, Delete, Op, Swap
from handler.ports import Entry, Store
from handler.residence import Residence, residence

_ALL = names.claim_key("")
_VOLUMES = names.claim_key(names.volume_claim(""))
_TRIES = 3


def check(store: Store, app: str, claims: Iterable[str]) -> dict[str, Entry | None]:
    """What Consul has of each claim, by key. ``claims`` are as in a record, ``domain/example.com`` say.

    Raises ``BadInput`` when another app has one of them.
    """
    found = {key: store.get(key) for key in map(names.claim_key, claims)}
    for key, entry in found.items():
        owner = _said(entry.value) if entry else ""
        if owner not in ("", app):
            raise errors.BadInput(f"{key.removeprefix(_ALL)} belongs to {owner}: choose another, or destroy that app")
    return found


def take(store: Store, app: str, claims: Iterable[str]) -> None:
    """Make names the app's own, by create-only keys: of two apps that claim one at the same moment, one is refused.

    What is the app's already is written again, so that nobody who is late gives it back. Raises ``BadInput`` as :func:`check` does.
    """
    text, wanted = record.dumps({"app": app}), tuple(claims)
    for _ in range(_TRIES):
        found = check(store, app, wanted)
        writes: list[Op] = [Swap(key, text, entry.index) if entry else Create(key, text) for key, entry in found.items()]
        if all(store.transact(writes[first : first + MOST_OPERATIONS]) for first in range(0, len(writes), MOST_OPERATIONS)):
            return
    raise errors.Temporary("names are being claimed by others at this moment")


def _said(value: str) -> str:
    """The owner; empty when a person broke the claim."""
    return str(record.loads(value).get("app") or "")


def take_unowned(store: Store, app: str) -> None:
    """Take an app's names that nobody has: of one that was deployed before volumes and HAProxy's backends had owners."""
    known = store.get(names.record_key(app))  # before its volumes, since every commit writes it
    lives = residence(store, app)
    for claim in had(lives) if known and lives else ():
        key = names.claim_key(claim)
        if known and store.get(key) is None:
            store.transact([CheckIndex(known.key, known.index), Create(key, record.dumps({"app": app}))])


def had(lives: Residence) -> Iterator[str]:
    """Claims of what an app that is deployed has, whether it claimed it then or not."""
    yield from map(names.volume_claim, lives.volumes)
    with suppress(ValueError, TypeError, AttributeError):  # people edit records
        yield from map(names.backend_claim, haproxy.backends(haproxy.check(lives.record.get("haproxy") or {})))


def volumes_of(store: Store, app: str) -> list[str]:
    """All volumes that are the app's: of those that it gave up, the ones that are on a node still."""
    return [volume for volume, owner in owners(store).items() if owner == app]


def without_others(store: Store, app: str, volumes: Iterable[str]) -> list[str]:
    """Those of ``volumes`` that no other app has. ``app`` had them once; a node that was down when it gave up their names, or was
    destroyed, must not touch what another app has made under these names since.
    """
    found = owners(store)
    return [volume for volume in volumes if (found.get(volume) or app) == app]


def owners(store: Store) -> dict[str, str]:
    """Volume -> the app that has its name; an empty one when a person broke the claim."""
    return {entry.key.removeprefix(_VOLUMES): _said(entry.value) for entry in store.tree(_VOLUMES)}


def entries(store: Store, app: str) -> list[Entry]:
    """All that the app has claimed, for :func:`release`."""
    return [entry for entry in store.tree(_ALL) if _said(entry.value) == app]


def release(store: Store, found: Iterable[Entry], kept: Collection[str], is_here: Callable[[str], bool]) -> list[str]:
    """Give back those of an app's names that are not ``kept``, as in a record, and were not claimed again since they were ``found``; with
    a domain goes its certificate.

    Not so the name of a volume of which this node still has what must be no other app's. Returns these.
    """
    left = []
    for entry in found:
        claim = entry.key.removeprefix(_ALL)
        if claim in kept:
            continue
        volume = entry.key.removeprefix(_VOLUMES)
        if volume != entry.key and is_here(volume):
            left.append(claim)
            continue
        certificate = certificates.key(claim.removeprefix("domain/"))
        store.transact([CheckIndex(entry.key, entry.index), Delete(entry.key), Delete(certificate)])
    return left
