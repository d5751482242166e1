"""Shared by all tiers: the checkout's own package is what is tested."""

import sys
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
for path in (PROJECT, PROJECT / "lab"):
    if str(path) not in sys.path:
        sys.path.insert(0, str(path))
