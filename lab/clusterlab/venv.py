"""A Python environment of the lab's own, in the cache: for tests, and to fetch packages for images."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from clusterlab.run import CACHE, run, step

HOME = CACHE / "venv"
SYSTEM_PYTHON = Path("/usr/bin/python3")
"""Debian and the like build theirs with profile-guided optimisation; what a version manager compiles is often a quarter slower."""
IS_FIT = "import ensurepip, sys; sys.exit(sys.version_info < (3, 11))"
"""Ends well in an interpreter that can make environments and is as new as ``setup.py`` asks for."""
IMAGE_PYTHON = "3.13"
"""Python of debian:trixie."""


def python() -> Path:
    """The interpreter; the environment is made when it is missing."""
    interpreter = HOME / "bin" / "python"
    if not interpreter.exists():
        with step("Python environment of the lab"):
            run([_base(), "-m", "venv", HOME])
    return interpreter


def _base() -> str | Path:
    """The distribution's interpreter where that is fit, else the one that runs the lab."""
    fit = SYSTEM_PYTHON.exists() and run([SYSTEM_PYTHON, "-c", IS_FIT], check=False).returncode == 0
    return SYSTEM_PYTHON if fit else sys.executable


def wheels(name: str, requirements: Sequence[str]) -> Path:
    """A folder of wheels, with those they need, for the images' Python."""
    folder = CACHE / "wheels" / name
    marker = folder.with_suffix(".txt")
    wanted = "\n".join(requirements)
    if marker.exists() and marker.read_text() == wanted and folder.exists():
        return folder
    with step(f"fetch packages for {name}"):
        shutil.rmtree(folder, ignore_errors=True)
        run([python(), "-m", "pip", "download", "-q", "-d", folder, "--only-binary=:all:", "--python-version", IMAGE_PYTHON, *requirements])
        marker.write_text(wanted)
    return folder
