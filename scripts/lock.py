"""Resolves the dependencies anew: every package by its hashes, without a download address.

dev.txt holds everything for work on planton, lowest.txt and newest.txt the two ends of what planton runs with
(and pytest), runtime.txt what `pip install 'planton[encryption]'` brings and nothing else (the bill of materials is
made of it), bootstrap.txt the installer alone. bench.txt holds what `make bench` needs besides, supply.txt what
`make sbom` and `make audit` need; no other command installs them.
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
    command += ["--python-version", "3.11", "--output-file", str(target), *arguments]
    subprocess.run(command, check=True, cwd=ROOT, stdout=subprocess.DEVNULL)
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
    planton = ["pyproject.toml", "--extra", "encryption", *upgrade]
    text = _compile("dev.txt", *planton, "--group", "dev")
    found = re.search(r"^uv==(?:[^\n]*\\\n)+[^\n]*\n", text, re.MULTILINE)
    if found is None:
        raise SystemExit("dev.txt does not hold uv")
    (LOCKS / "bootstrap.txt").write_text(found[0])
    _compile("newest.txt", *planton, "--group", "bounds")
    _compile("lowest.txt", *planton, "--group", "bounds", "--resolution", "lowest-direct")
    # With the releases that newest.txt was tested with.
    _compile("runtime.txt", *planton, "--constraint", "requirements/newest.txt")
    # Beside what is in .venv already: of the same releases.
    _compile("bench.txt", "--group", "bench", "--constraint", "requirements/dev.txt", *upgrade)
    _compile("supply.txt", "--group", "supply", *upgrade)
    return 0


if __name__ == "__main__":
    sys.exit(main())
