"""Manifests: text <-> messages, with defaults, validation and positions for errors.

    manifests = load("manifests/")           # or a file, "-", an open stream, several paths
    text = dumps(manifests, redact=True)

`prepare` and `violations` fill and check messages made in Python.
"""

from __future__ import annotations

from planton.manifest._dump import dump, dumps
from planton.manifest._load import load, loads, prepare, violations
from planton.manifest._manifests import Manifests

__all__ = [
    "Manifests",
    "dump",
    "dumps",
    "load",
    "loads",
    "prepare",
    "violations",
]
