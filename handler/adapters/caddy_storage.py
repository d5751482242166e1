"""The certificates in Caddy's storage on this node."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from handler.core.certificates import KINDS, Certificate, domain_of, folder, shared


class CaddyStorage:
    """``root`` is Caddy's data directory; it need not be there yet."""

    def __init__(self, root: Path) -> None:
        self._root = root / "certificates"

    def known(self) -> dict[str, float]:
        """Domain -> when its newest certificate was written; those that are not complete yet are left out."""
        found: dict[str, float] = {}
        for path in self._root.glob("*/*"):
            if shared(path.parent.name) and all((path / f"{path.name}.{kind}").exists() for kind in KINDS):
                domain, at = domain_of(path.name), (path / f"{path.name}.crt").stat().st_mtime
                found[domain] = max(at, found.get(domain, 0.0))
        return found

    def read(self, domain: str) -> Certificate:
        """The newest one of a domain; raises OSError when it is gone."""
        name = folder(domain)
        paths = [path for path in self._root.glob(f"*/{name}") if shared(path.parent.name)]
        path = max(paths, key=lambda one: (one / f"{name}.crt").stat().st_mtime, default=self._root / "none" / name)
        files = {kind: (path / f"{name}.{kind}").read_text() for kind in KINDS}
        return Certificate(domain, path.parent.name, (path / f"{name}.crt").stat().st_mtime, files)

    def write(self, found: Certificate) -> None:
        """Put a certificate of another node where Caddy looks for it."""
        name = folder(found.domain)
        path = self._root / found.issuer / name
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
        for kind in KINDS:
            self._replace(path / f"{name}.{kind}", found.files, kind, found.at)

    @staticmethod
    def _replace(path: Path, files: Mapping[str, str], kind: str, at: float) -> None:
        temporary = path.with_name(f".{path.name}.new")
        with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(files[kind])
            file.flush()
            os.fsync(file.fileno())
        os.utime(temporary, (at, at))
        temporary.rename(path)
