"""Resolves the dependencies anew: every package by its hashes, without a download address.

dev.txt holds everything for work on planton, lowest.txt and newest.txt the two ends of what planton runs with
(and pytest), bootstrap.txt the installer alone.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LOCKS = ROOT / "requirements"
UV = Path(sys.executable).parent / "uv"


def _compile(name: str, *arguments: str) -> str:
    target = LOCKS / name
    command = [str(UV), "pip", "compile", "--quiet", "--universal", "--generate-hashes", "--no-header", "--no-annotate"]
    command += ["--python-version", "3.11", "--output-file", str(target), "pyproject.toml"]
    command += ["--extra", "encryption", *arguments]
    subprocess.run(command, check=True, cwd=ROOT)
    text = target.read_text()
    if "://" in text:
        raise SystemExit(f"{name} holds a download address")
    return text


def main() -> int:
    """Runs the command.

    Returns:
        The exit code.
    """
    upgrade = ["--upgrade"] if "--upgrade" in sys.argv[1:] else []
    text = _compile("dev.txt", "--group", "dev", *upgrade)
    found = re.search(r"^uv==(?:[^\n]*\\\n)+[^\n]*\n", text, re.MULTILINE)
    if found is None:
        raise SystemExit("dev.txt does not hold uv")
    (LOCKS / "bootstrap.txt").write_text(found[0])
    _compile("newest.txt", "--group", "bounds", *upgrade)
    _compile("lowest.txt", "--group", "bounds", "--resolution", "lowest-direct", *upgrade)
    return 0


if __name__ == "__main__":
    sys.exit(main())
