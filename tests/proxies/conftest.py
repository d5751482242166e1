"""What all tests of the proxies share."""

import pytest

from handler.proxies.paths import Paths


@pytest.fixture
def paths(tmp_path, monkeypatch) -> Paths:
    made = Paths(tmp_path / "proxy", tmp_path / "run", "node1")
    made.staging.mkdir(parents=True)
    monkeypatch.setenv("CONSUL_HTTP_ADDR", "http://127.0.0.1:1")  # nobody there: quarantine must not need Consul
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    return made
