"""Runs the pure tests, and those of the client, with the oldest and with the newest versions of what planton needs.

Both at the same time, each in one process: that is two cores' worth of work, and no test is collected twice. The main
tests have run with the releases of this environment: here the question is only whether others do the same. So
properties are tried with a part of the examples, and what is about one package is left out where that is of the same
release.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from importlib.metadata import distributions
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
UV = Path(sys.executable).parent / "uv"
ENDS = ("lowest", "newest")
# What the Kubernetes client does differently from version to version shows against a real API server only.
CHOSEN = "not house and (not cluster or client)"
EXAMPLES = "25"
"""Of a hundred, as tests/thorough.py has them."""
ABOUT = (
    (("obstore", "cramjam", "pynacl", "pysequoia"), ("tests/catalogue", "tests/restore", "tests/store")),
    (
        ("kubernetes", "urllib3", "certifi", "websocket-client", "python-dateutil"),
        tuple(
            f"tests/cluster/test_{name}.py"
            for name in ("apply", "conflict", "connection", "exchange", "genuine", "kubeconfig", "retry_after")
        ),
    ),
)
"""Packages, and tests that are about them: they show nothing new where all of the packages are of the same release."""
SHOWN = ("protobuf", "protovalidate", "pyyaml", "kubernetes", "cronsim", "obstore", "cramjam")


def _releases(*folders: Path) -> dict[str, str]:
    """Gives what is installed: in some folders, or here."""
    found = distributions(path=[str(one) for one in folders]) if folders else distributions()
    return {one.name.lower(): one.version for one in found}


def _install(end: str) -> tuple[list[str], dict[str, str]]:
    """Makes an environment of one end's lock; gives the command of its tests and the variables to run it with."""
    venv = ROOT / f".venv-{end}"
    python = venv / "bin" / "python"
    environment = {**os.environ, "VIRTUAL_ENV": str(venv)}
    if not python.exists():
        subprocess.run([UV, "venv", "--quiet", "--python", sys.executable, venv], check=True)
    lock = ROOT / "requirements" / f"{end}.txt"
    command = [str(UV), "pip", "sync", "--quiet", "--require-hashes", "--compile-bytecode", str(lock)]
    subprocess.run(command, check=True, env=environment)
    installed, here = _releases(next(venv.glob("lib/*/site-packages"))), _releases()
    print(f"bounds: {end}: " + ", ".join(f"{name} {installed[name]}" for name in SHOWN), flush=True)
    environment["PYTHONPATH"] = os.pathsep.join((str(ROOT), str(ROOT / "gen")))
    environment["PLANTON_EXAMPLES"] = EXAMPLES
    # What failed last is remembered by the main tests alone: two that write it at once would break it.
    command = [str(python), "-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", CHOSEN, "--ignore=tests/house"]
    for packages, tests in ABOUT:
        if all(installed.get(name) == here.get(name) for name in packages):
            print(f"bounds: {end}: {', '.join(packages)} as here: without {', '.join(tests)}", flush=True)
            command += [f"--ignore={one}" for one in tests]
    return [*command, "tests"], environment


def main() -> int:
    """Runs the command.

    Returns:
        The exit code: 0 when the tests pass with both.
    """
    start, worst = time.monotonic(), 0
    running = []
    for end in ENDS:
        command, environment = _install(end)
        output = tempfile.TemporaryFile()  # noqa: SIM115  it lives as long as what writes into it
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=output, stderr=subprocess.STDOUT)
        running.append((end, process, output))
    try:
        for end, process, output in running:
            code = process.wait()
            with output:
                output.seek(0)
                print(f"bounds: {end}:\n{output.read().decode(errors='replace')}", flush=True)
            worst = max(worst, abs(code))
    finally:
        for _, process, _ in running:
            process.kill()
            process.wait()
    print(f"bounds: {time.monotonic() - start:.0f} s", flush=True)
    return worst


if __name__ == "__main__":
    sys.exit(main())
