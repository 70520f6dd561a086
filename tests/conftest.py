"""What holds for all tests."""

from __future__ import annotations

import contextlib
import os
import signal

from hypothesis import settings

# CI tries the same examples each time, so that what fails there fails for its change; by hand new ones are found.
settings.register_profile("ci", derandomize=True)
if os.environ.get("CI"):
    settings.load_profile("ci")

# A shell that starts a job in the background makes it ignore Ctrl-C, and what it starts inherits that: the tests of
# Ctrl-C would wait for ever for programs that have been told to ignore it. A worker may import this in a thread.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    with contextlib.suppress(ValueError):
        signal.signal(signal.SIGINT, signal.default_int_handler)
