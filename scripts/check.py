"""Everything that is checked without running planton: format, lint, types, generated code, messages, advisories."""

from __future__ import annotations

import filecmp
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent


def _run(*command: str | Path) -> bool:
    return subprocess.run([str(part) for part in command], cwd=ROOT).returncode == 0


def _different(left: Path, right: Path) -> list[str]:
    def files(root: Path) -> set[str]:
        return {
            path.relative_to(root).as_posix()
            for path in root.rglob("*")
            if path.is_file() and "__pycache__" not in path.parts
        }

    names = files(left) | files(right)
    _, mismatch, errors = filecmp.cmpfiles(left, right, sorted(names), shallow=False)
    return sorted({*mismatch, *errors})


def _messages() -> bool:
    """Regenerates into a temporary folder, and lints and compares the image with the last release's."""
    with tempfile.TemporaryDirectory() as folder:
        image, out = Path(folder) / "image.binpb", Path(folder) / "gen"
        if not _run(sys.executable, "scripts/generate.py", "--out", out, "--image", image):
            return False
        different = _different(ROOT / "gen", out)
        for name in different:
            print(f"gen/{name} differs from what proto/ makes: run `make gen` and commit it")
        buf = BIN / "buf"
        arguments = ("--config", "buf.yaml", "--path", "project_planton")
        good = _run(buf, "lint", image, *arguments)
        good &= _run(buf, "format", "--diff", "--exit-code", "proto")
        good &= _run(buf, "breaking", image, "--against", ROOT / "proto.baseline.binpb", *arguments)
        return good and not different


def main() -> int:
    """Runs every check, also after one has failed.

    Returns:
        0 when all passed, else 1.
    """
    checks: dict[str, Callable[[], bool]] = {
        "format": lambda: _run(BIN / "ruff", "format", "--check", "--quiet", "."),
        "lint": lambda: _run(BIN / "ruff", "check", "--quiet", "."),
        "types": lambda: _run(BIN / "mypy"),
        "messages": _messages,
        "advisories": lambda: _run(sys.executable, "-m", "scripts.audit"),
    }
    failed = []
    for name, check in checks.items():
        start = time.monotonic()
        good = check()
        print(f"check: {name}: {'ok' if good else 'FAILED'} ({time.monotonic() - start:.1f} s)", flush=True)
        if not good:
            failed.append(name)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
