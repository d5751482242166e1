"""Caddy's storage on disk."""

import stat
from pathlib import Path

from handler.adapters.caddy_storage import CaddyStorage
from handler.core.certificates import Certificate

FOUND = Certificate("*.example.com", "acme-directory", 1000.0, {"crt": "c", "key": "k", "json": "{}"})


def test_what_was_written_is_read_again_and_the_key_is_nobody_else_s(tmp_path: Path) -> None:
    storage = CaddyStorage(tmp_path)
    storage.write(FOUND)
    assert storage.known() == {"*.example.com": 1000.0}
    assert storage.read("*.example.com") == FOUND
    key = tmp_path / "certificates" / "acme-directory" / "wildcard_.example.com" / "wildcard_.example.com.key"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600


def test_one_s_own_authority_and_what_is_not_complete_are_left_alone(tmp_path: Path) -> None:
    storage = CaddyStorage(tmp_path)
    storage.write(FOUND)
    (tmp_path / "certificates" / "acme-directory").rename(tmp_path / "certificates" / "local")
    assert storage.known() == {}
    storage.write(FOUND)
    (tmp_path / "certificates" / "acme-directory" / "wildcard_.example.com" / "wildcard_.example.com.json").unlink()
    assert storage.known() == {}
    assert CaddyStorage(tmp_path / "nothing").known() == {}


def test_of_two_issuers_the_newer_one_counts(tmp_path: Path) -> None:
    storage = CaddyStorage(tmp_path)
    storage.write(FOUND)
    storage.write(Certificate("*.example.com", "other", 2000.0, FOUND.files))
    assert storage.read("*.example.com").issuer == "other"
