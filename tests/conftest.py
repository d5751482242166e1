"""Shared by all tiers: the checkout's own package is what is tested."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

PROJECT = Path(__file__).resolve().parents[1]
for path in (PROJECT, PROJECT / "lab", PROJECT / "tests"):
    if str(path) not in sys.path:
        sys.path.insert(0, str(path))


settings.register_profile("cluster", deadline=None)  # a busy machine is no bug
settings.load_profile("cluster")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--seeds", type=int, default=2000, help="how many runs the simulation makes")
    parser.addoption("--faults", action="store_true", help="also what kills, cuts and crashes nodes at every phase, and what takes long")
    parser.addoption("--seed", type=int, default=None, help="make this one run of the simulation")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--faults"):
        return
    for item in items:
        if item.get_closest_marker("faults"):
            item.add_marker(pytest.mark.skip(reason="takes long: `make test-faults` runs it"))


@pytest.fixture(scope="session")
def consul(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a Consul server of this test run's own."""
    from programs import consul_server  # noqa: PLC0415 the core tier needs no programs

    with consul_server(tmp_path_factory.mktemp("consul")) as address:
        yield address
