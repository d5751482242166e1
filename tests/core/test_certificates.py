import threading

import pytest

from handler import certificates
from handler.core import certificates as core
from handler.core import names, record
from handler.core.kv import CheckIndex, Create, Swap
from handler.ports import Entry

FILES = {"crt": "certificate", "key": "key", "json": "{}"}


def made(domain: str = "a.example.com", at: float = 100.0, issuer: str = "acme-directory") -> core.Certificate:
    return core.Certificate(domain, issuer, at, FILES)


def test_what_was_dumped_is_loaded_again() -> None:
    assert core.load("a.example.com", record.loads(record.dumps(core.dump(made())))) == made()


@pytest.mark.parametrize(
    "change",
    [
        {"issuer": "../../etc"},
        {"issuer": "local"},
        {"issuer": 3},
        {"at": "x"},
        {"files": {"crt": "x"}},
        {"files": {**FILES, "key": ""}},
        {"files": 1},
    ],
)
def test_what_no_node_would_have_written_is_not_taken(change: dict) -> None:
    assert core.load("a.example.com", {**core.dump(made()), **change}) is None


@pytest.mark.parametrize("domain", ["../x", "a..b/c", "/etc", "", "A b", ".hidden"])
def test_nor_is_a_key_that_is_no_domain(domain: str) -> None:
    assert core.load(domain, core.dump(made())) is None


def test_wildcards_have_caddy_s_names() -> None:
    assert core.folder("*.example.com") == "wildcard_.example.com"
    assert core.domain_of(core.folder("*.example.com")) == "*.example.com"


class Store:
    """As much of Consul as sharing needs."""

    def __init__(self, **values: str) -> None:
        self.values = dict(values)

    def tree(self, prefix: str) -> tuple[Entry, ...]:
        return tuple(Entry(key, value, 1) for key, value in self.values.items() if key.startswith(prefix))

    def get(self, key: str) -> Entry | None:
        return Entry(key, self.values[key], 1) if key in self.values else None

    def transact(self, ops: list) -> bool:
        self.values |= {op.key: op.value for op in ops if isinstance(op, Create | Swap)}
        return all(isinstance(op, CheckIndex | Create | Swap) for op in ops)


class Storage:
    def __init__(self, *found: core.Certificate) -> None:
        self.found = {one.domain: one for one in found}

    def known(self) -> dict[str, float]:
        return {domain: one.at for domain, one in self.found.items()}

    def read(self, domain: str) -> core.Certificate:
        return self.found[domain]

    def write(self, found: core.Certificate) -> None:
        self.found[found.domain] = found


def test_the_newer_one_comes_to_all_nodes_and_nothing_goes_back_and_forth() -> None:
    store = Store(**{names.claim_key("domain/a.example.com"): "{}"})
    first, second = Storage(made(at=100)), Storage(made(at=500))
    for storage in (first, second, first):
        certificates.share(store, storage)
    assert first.found == second.found
    assert first.known() == {"a.example.com": 500}
    before = dict(store.values)
    for storage in (first, second):
        certificates.share(store, storage)
    assert store.values == before


def test_a_domain_that_nobody_claims_is_not_shared() -> None:
    store = Store()
    certificates.share(store, Storage(made()))
    assert store.values == {}


def test_it_ends_when_it_is_told_to() -> None:
    stop = threading.Event()
    stop.set()
    certificates.keep(Store(), Storage(), stop)
