"""Tests ask no store of the internet anything, whether there is an internet or not."""

from __future__ import annotations

import subprocess
import sys

from planton.catalogue._s3 import S3Bucket

_LOOK = "from planton.catalogue._s3 import S3Bucket; print(S3Bucket._make_store.__module__)"


def test_in_this_process() -> None:
    assert S3Bucket._make_store.__module__ == "tests.offline.sitecustomize"


def test_in_commands_that_tests_start() -> None:
    done = subprocess.run([sys.executable, "-c", _LOOK], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "sitecustomize"
