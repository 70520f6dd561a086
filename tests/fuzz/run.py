"""Starts one target in a process of its own, and reads what came of it."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from tests.fuzz.targets import target_of

ROOT = Path(__file__).resolve().parents[2]
LONGEST = 48 << 10
"""Bytes of an input at most."""
_MEGABYTES = 1000
_SECONDS_AN_INPUT = 20
_ERRORS = re.compile(
    r"^(?: === Uncaught Python exception|Traceback |==[0-9]+== ?ERROR|Fatal Python error)", re.MULTILINE
)


@dataclass(frozen=True, slots=True)
class Ran:
    """What came of one target.

    Attributes:
        name: The target.
        inputs: How many were tried, those to begin with included.
        edges: How many edges of the code they went over.
        kept: How many inputs went where none had gone before.
        seconds: How long it took.
        finding: What went wrong, with the input that did it; empty when nothing did.
    """

    name: str
    inputs: int
    edges: int
    kept: int
    seconds: float
    finding: str = ""

    def __str__(self) -> str:
        """Says it in one line, and the finding below it."""
        rate = self.inputs / self.seconds if self.seconds else 0.0
        line = f"{self.name}: {self.inputs:,} inputs, {self.edges:,} edges, {self.kept:,} kept, {rate:,.0f}/s"
        return f"{line}\n{self.finding}" if self.finding else line


def fuzz(name: str, corpus: Path, *, seed: int, runs: int = 0, seconds: float = 0.0) -> Ran:
    """Fuzzes one target.

    Args:
        name: The target.
        corpus: Folder of its inputs, to which those are added that go somewhere new.
        seed: What chance follows from: the same seed and corpus give the same inputs.
        runs: How many inputs; 0 for as many as there is time for.
        seconds: How long; 0 without an end.

    Returns:
        What came of it.
    """
    corpus.mkdir(parents=True, exist_ok=True)
    target = target_of(name)
    for content in target.seeds():
        (corpus / hashlib.sha1(content, usedforsecurity=False).hexdigest()).write_bytes(content)
    words = corpus.parent / f"{name}.dict"
    words.write_text("".join(f'"{_quoted(word)}"\n' for word in target.words))
    command = [sys.executable, "-m", "tests.fuzz.engine", name, str(corpus)]
    command += [f"-seed={seed}", f"-dict={words}", f"-artifact_prefix={corpus.parent}/{name}-", f"-max_len={LONGEST}"]
    command += [f"-rss_limit_mb={_MEGABYTES}", f"-timeout={_SECONDS_AN_INPUT}", "-mutate_depth=3"]
    command += [f"-runs={runs}"] if runs else [f"-max_total_time={int(seconds)}"]
    begin = time.monotonic()
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, env={**os.environ, "PYTHONHASHSEED": "0"}, check=False
    )
    return _read(name, done, time.monotonic() - begin)


def _quoted(word: str) -> str:
    return "".join(
        one
        if one.isascii() and one.isprintable() and one not in '"\\'
        else "".join(f"\\x{b:02x}" for b in one.encode())
        for one in word
    )


def _read(name: str, done: subprocess.CompletedProcess[bytes], seconds: float) -> Ran:
    said = (done.stderr + done.stdout).decode("utf-8", "replace")
    steps = re.findall(r"^#([0-9]+)\s+\w+\s+cov: ([0-9]+) ft: [0-9]+ corp: ([0-9]+)", said, re.MULTILINE)
    inputs, edges, kept = map(int, steps[-1]) if steps else (0, 0, 0)
    if done.returncode == 0 and steps:
        return Ran(name, inputs, edges, kept, seconds)
    error = _ERRORS.search(said)
    finding = said[error.start() if error else max(len(said) - 4000, 0) :][:8000]
    if unit := re.search(r"Test unit written to (\S+)", said):
        finding += f"\nAgain: python -m tests.fuzz.engine {name} {unit[1]}"
    return Ran(name, inputs, edges, kept, seconds, finding or f"it ended with {done.returncode}")
