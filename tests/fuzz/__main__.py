"""Fuzzes, and says what was tried: `python -m tests.fuzz [TARGET ...]`, or `make fuzz`."""

from __future__ import annotations

import argparse
import os
import random
import sys
from pathlib import Path

from tests.fuzz.run import Ran, fuzz
from tests.fuzz.targets import NAMES

ROOT = Path(__file__).resolve().parents[2]


def main() -> int:
    """Runs the command.

    Returns:
        The exit code: 1 with a finding.
    """
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description="Fuzzes planton, guided by coverage.")
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"of {', '.join(NAMES)}; all by default")
    seconds = float(os.environ.get("FUZZ_SECONDS") or 600)
    parser.add_argument(
        "--seconds", type=float, default=seconds, help="for all targets together (default: %(default)g)"
    )
    parser.add_argument("--runs", type=int, default=0, help="inputs for each target, in the place of --seconds")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1, 1 << 31))
    parser.add_argument("--corpus", type=Path, default=ROOT / ".fuzz", help="where inputs are kept (default: .fuzz)")
    chosen = parser.parse_args()
    names = chosen.targets or list(NAMES)
    if unknown := set(names) - {*NAMES}:
        parser.error(f"no such target: {', '.join(sorted(unknown))}")
    print(f"seed {chosen.seed}", flush=True)
    ran: list[Ran] = []
    for name in names:
        each = 0.0 if chosen.runs else chosen.seconds / len(names)
        one = fuzz(name, chosen.corpus / name, seed=chosen.seed, runs=chosen.runs, seconds=each)
        print(one, flush=True)
        ran.append(one)
    print(f"{sum(one.inputs for one in ran):,} inputs in all")
    return int(any(one.finding for one in ran))


if __name__ == "__main__":
    sys.exit(main())
