"""Runs the pure tests with the oldest and with the newest versions of what planton runs with."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.metadata import distributions
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
UV = Path(sys.executable).parent / "uv"
SHOWN = ("protobuf", "protovalidate", "pyyaml", "kubernetes", "cronsim")


def main() -> int:
    """Runs the command.

    Returns:
        The exit code: 0 when the tests pass with both.
    """
    worst = 0
    for end in ("lowest", "newest"):
        venv = ROOT / f".venv-{end}"
        python = venv / "bin" / "python"
        lock = ROOT / "requirements" / f"{end}.txt"
        environment = {**os.environ, "VIRTUAL_ENV": str(venv)}
        if not python.exists():
            subprocess.run([UV, "venv", "--quiet", "--python", sys.executable, venv], check=True)
        subprocess.run([UV, "pip", "sync", "--quiet", "--require-hashes", lock], check=True, env=environment)
        installed = {
            one.name.lower(): one.version for one in distributions(path=[str(next(venv.glob("lib/*/site-packages")))])
        }
        print(f"bounds: {end}: " + ", ".join(f"{name} {installed[name]}" for name in SHOWN), flush=True)
        environment["PYTHONPATH"] = os.pathsep.join((str(ROOT), str(ROOT / "gen")))
        command = [str(python), "-m", "pytest", "-q", "-n", "2", "-m", "not cluster and not house", "tests"]
        worst = max(worst, subprocess.run(command, cwd=ROOT, env=environment).returncode)
    return worst


if __name__ == "__main__":
    sys.exit(main())
