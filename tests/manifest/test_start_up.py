"""What is imported when: nothing heavy before it is needed."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.manifest.support import DATABASE

HEAVY = ["yaml", "protovalidate", "cronsim", "google.protobuf", "project_planton", "difflib", "kubernetes"]


def imported(code: str) -> list[str]:
    program = f"import json, sys\n{code}\nprint(json.dumps([name for name in {HEAVY!r} if name in sys.modules]))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    found: list[str] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("import planton.manifest", []),
        (
            "from planton.manifest import dumps; from planton.types import PostgresKubernetes as K; dumps(K(kind='a'))",
            ["google.protobuf", "project_planton"],
        ),
        (
            f"from planton.manifest import loads; loads({DATABASE!r})",
            ["yaml", "google.protobuf", "project_planton"],
        ),
        (
            "from planton.manifest import loads\nfrom planton.errors import ManifestError\n"
            f"try: loads({DATABASE.replace('orders', 'ORDERS')!r})\nexcept ManifestError: pass",
            ["yaml", "protovalidate", "google.protobuf", "project_planton"],
        ),
    ],
)
def test_imports(code: str, expected: list[str]) -> None:
    assert imported(code) == expected
