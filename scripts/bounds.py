"""Runs the pure tests, and those of the client, with the oldest and with the newest versions of what planton needs."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.metadata import distributions
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
UV = Path(sys.executable).parent / "uv"
PURE = ("-n", "2", "-m", "not cluster and not house", "tests")
# What the Kubernetes client does differently from version to version shows against a real API server only.
REAL = ("tests/cluster/test_apply.py", "tests/cluster/test_conflict.py", "tests/cluster/test_connection.py")
SHOWN = ("protobuf", "protovalidate", "pyyaml", "kubernetes", "cronsim", "obstore", "cramjam")


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
        for arguments in (PURE, REAL):
            command = [str(python), "-m", "pytest", "-q", *arguments]
            worst = max(worst, subprocess.run(command, cwd=ROOT, env=environment).returncode)
    return worst


if __name__ == "__main__":
    sys.exit(main())
