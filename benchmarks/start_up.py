"""How long the command takes from nothing to its end, beside what people compare it with.

Every command is a process of its own, started one after the other in turn with its partner, so that a machine that
becomes slower meanwhile becomes so for both; the ratio is the median of those of the pairs. Byte code is compiled
before, as every installation does it (an editable one excepted), into a folder of this run. Run it by `make bench`, or
with other numbers:

    python -m benchmarks.start_up --times 40
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from benchmarks.report import Table
from sandbox import build

ROOT = Path(__file__).resolve().parent.parent
_EXAMPLES = ROOT / "examples"
# The script that pip and uv write for the command.
_SCRIPT = "import sys; from planton.cli import main; sys.exit(main())"


@dataclass(frozen=True)
class Pair:
    """A command of ours and what it is compared with.

    Attributes:
        name: What it is called in the table.
        command: Its arguments.
        partner_name: Likewise.
        partner: Its arguments.
        bound: How many times as long as its partner it may take; None where none was set.
    """

    name: str
    command: Sequence[str]
    partner_name: str
    partner: Sequence[str]
    bound: float | None = None


def pairs(chart: Path) -> list[Pair]:
    """Gives what is measured.

    Args:
        chart: Folder of the operator's own chart.

    Returns:
        The pairs, in the order of the table.
    """
    clients = build.ensure_clients()
    python, planton = [sys.executable], [sys.executable, "-c", _SCRIPT]
    helm = ("helm template of the operator's chart", [str(clients.helm), "template", "postgres-operator", str(chart)])
    bare = ("python -c pass", [*python, "-c", "pass"])

    def render(name: str) -> list[str]:
        return [*planton, "render", "-f", str(_EXAMPLES / name / "manifest.yaml")]

    return [
        Pair("planton --help", [*planton, "--help"], *bare, bound=3),
        Pair("planton render, an operator", render("operator-basic"), *helm, bound=2.5),
        Pair("planton render, a database", render("database-overrides"), *helm, bound=2.5),
        Pair("planton render, a database with an Ingress", render("database-ingress"), *helm, bound=2.5),
        Pair("planton plan --help", [*planton, "plan", "--help"], *bare),
        Pair("planton --version", [*planton, "--version"], "kubectl version --client", _kubectl(clients.kubectl)),
    ]


def _kubectl(path: Path) -> list[str]:
    return [str(path), "version", "--client"]


def seconds(command: Sequence[str], environment: Mapping[str, str]) -> float:
    """Runs a command to its end.

    Args:
        command: The program and its arguments.
        environment: Environment variables.

    Returns:
        Wall time, in seconds.

    Raises:
        RuntimeError: It failed.
    """
    begin = time.perf_counter()
    done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=environment, check=False)
    took = time.perf_counter() - begin
    if done.returncode:
        raise RuntimeError(f"{command[0]} ended with {done.returncode}: {done.stderr.decode(errors='replace')}")
    return took


def measured(pair: Pair, times: int, environment: Mapping[str, str]) -> list[str]:
    """Measures a pair.

    Args:
        pair: The pair.
        times: How often each is started.
        environment: Environment variables.

    Returns:
        A row of the table.
    """
    # Once each before, for the byte code and for what the system keeps of files.
    for command in (pair.command, pair.partner):
        seconds(command, environment)
    both = [(seconds(pair.command, environment), seconds(pair.partner, environment)) for _ in range(times)]
    own, other = (statistics.median(column) * 1000 for column in zip(*both, strict=True))
    ratios = sorted(one / partner for one, partner in both)
    quarter = len(ratios) // 4
    return [
        pair.name,
        f"{own:.0f} ms",
        pair.partner_name,
        f"{other:.0f} ms",
        f"{statistics.median(ratios):.2f}",
        f"{ratios[quarter]:.2f} to {ratios[-quarter - 1]:.2f}",
        f"{pair.bound:g}" if pair.bound is not None else "",
    ]


def main() -> None:
    """Measures and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=20, help="how often each command is started (default: 20)")
    parser.add_argument("--chart", type=Path, help="folder of the operator's chart (default: that of the module)")
    parser.add_argument("--write", action="store_true", help="put the table into docs/performance.md")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
        environment = {**kept, "PYTHONPYCACHEPREFIX": folder}
        if not (Path(sys.prefix) / "pyvenv.cfg").exists():
            environment["PYTHONPATH"] = os.pathsep.join([str(ROOT), str(ROOT / "gen")])
        chart = arguments.chart or build.operator_chart()
        rows = [measured(pair, arguments.times, environment) for pair in pairs(chart)]
    libraries = [f"{name} {version(name)}" for name in ("protobuf", "protovalidate", "pyyaml")]
    head = ["command", "median", "beside", "median", "ratio", "middle half", "at most"]
    facts = [*libraries, f"{arguments.times} starts of each"]
    Table("start_up", head, rows, facts).show(write=arguments.write)


if __name__ == "__main__":
    main()
