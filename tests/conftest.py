"""What holds for all tests."""

from __future__ import annotations

import os

from hypothesis import settings

# CI tries the same examples each time, so that what fails there fails for its change; by hand new ones are found.
settings.register_profile("ci", derandomize=True)
if os.environ.get("CI"):
    settings.load_profile("ci")
