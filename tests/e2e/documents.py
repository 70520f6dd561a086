"""Follows a page of the documents as a reader would: writes its manifests, types its commands, and compares the output.

On a page, a manifest whose file is named in the line before (`orders.yaml`:) is written to that file; a block `sh` is
typed line by line; a block `text` after it is what the commands print, in which `…` stands for anything, and a line
that is nothing else for any lines. A command that ends otherwise than with 0 says so behind it: `# exit code 1`.

A page speaks of one moment, which is `NOW`, and of stores by names that nobody has. So its times are moved to the
present, and its names replaced, before anything is typed, and both back in what is printed.
"""

from __future__ import annotations

import os
import re
import stat
import subprocess
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

DOCS = Path(__file__).resolve().parents[2] / "docs"
NOW = datetime(2026, 11, 22, 12, 4, tzinfo=UTC)
"""The moment at which pages are read."""

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_FILE = re.compile(r"`([\w./-]+\.yaml)`[^`\n]*:\n\n$")
_TIME = re.compile(r"\b(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)((?:\.\d+)?)(Z|\+00:00)")
_AGE = re.compile(r"\b\d+ (?:d \d+ h|h \d+ min|min|s)\b")
_CODE = re.compile(r"#[^#]*\bexit code (\d+)\s*$")


@dataclass(frozen=True)
class Block:
    """One block of a page.

    Attributes:
        kind: What it is.
        text: What stands in it.
        file: The file that a manifest is written to.
    """

    kind: Literal["manifest", "commands", "output"]
    text: str
    file: str = ""


def blocks(page: Path) -> Iterator[Block]:
    """Gives the blocks of a page that are followed."""
    text = page.read_text()
    before, end = "", 0
    for found in _FENCE.finditer(text):
        language, content = found[1], found[2]
        named = _FILE.search(text[end : found.start()])
        is_next = not text[end : found.start()].strip() or before == "sh"
        if language == "yaml" and named:
            yield Block("manifest", content, named[1])
        elif language == "sh":
            yield Block("commands", content)
        elif language == "text" and is_next:
            yield Block("output", content)
        before, end = language, found.end()


def commands(text: str) -> list[tuple[str, int]]:
    """Gives the commands of a block, each with the exit code that it should have."""
    found = []
    for line in re.sub(r"\\\n\s*", "", text).splitlines():
        if line.strip() and not line.startswith("#"):
            code = _CODE.search(line)
            found.append((line, int(code[1]) if code else 0))
    return found


@dataclass
class Reader:
    """Follows pages.

    Attributes:
        folder: Where it types.
        names: Names on the page -> what they are here.
        environment: Variables for the commands.
        before: Parts of commands -> what has to happen in the cluster before such a one is typed.
        typed: What was typed so far.
    """

    folder: Path
    names: Mapping[str, str]
    environment: Mapping[str, str]
    before: Mapping[str, Callable[[], None]] = field(default_factory=dict)
    typed: list[str] = field(default_factory=list)
    delta: timedelta = field(default_factory=lambda: datetime.now(UTC).replace(microsecond=0) - NOW)

    def follow(self, page: Path) -> None:
        """Does what the page says, and compares what comes of it with what it shows."""
        printed = ""
        for block in blocks(page):
            if block.kind == "manifest":
                path = self.folder / block.file
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(self.here(block.text))
            elif block.kind == "commands":
                printed = "".join(self.type(line, code) for line, code in commands(block.text))
            else:
                compare(block.text, printed)

    def type(self, line: str, code: int = 0) -> str:
        """Types a command; gives what it prints, as a page would show it."""
        for part, happens in self.before.items():
            if part in line:
                happens()
        self.typed.append(line)
        done = subprocess.run(
            ["bash", "-c", self.here(line)],
            cwd=self.folder,
            env={**os.environ, **self.environment, "PATH": f"{self.folder}/bin:{os.environ['PATH']}"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
            timeout=330,
        )
        printed = self.page(done.stdout)
        assert done.returncode == code, f"{line}\nended with {done.returncode}:\n{printed}"
        return printed

    def program(self, name: str, text: str) -> None:
        """Puts a program where commands are looked for."""
        path = self.folder / "bin" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        path.chmod(path.stat().st_mode | stat.S_IXUSR)

    def here(self, text: str) -> str:
        """Moves what a page says to here and now."""
        for there, here in self.names.items():
            text = text.replace(there, here)
        return _moved(text, self.delta)

    def page(self, text: str) -> str:
        """Moves what is printed here to the page."""
        text = _moved(text, -self.delta)
        for there, here in self.names.items():
            text = text.replace(here, there)
        return text

    def at(self, text: str) -> datetime:
        """Gives the moment here that a page calls by this time."""
        return datetime.fromisoformat(text) + self.delta


def _moved(text: str, delta: timedelta) -> str:
    def moved(found: re.Match[str]) -> str:
        moment = datetime.fromisoformat(found[1]) + delta
        return moment.isoformat() + found[2] + found[3]

    return _TIME.sub(moved, text)


def compare(shown: str, printed: str) -> None:
    """Looks whether what is shown was printed: each line, in order."""
    lines = [_plain(line) for line in printed.splitlines()]
    place, exact = 0, True
    for line in shown.splitlines():
        if line.strip() == "…":
            exact = False
            continue
        if not line.strip():
            continue
        pattern = re.compile(".*".join(re.escape(part) for part in _plain(line).split("…")))
        found = next((at for at in range(place, len(lines)) if pattern.fullmatch(lines[at])), None)
        assert found is not None, f"{line}\nis not in, or not at this place of\n{printed}"
        between = [one for one in lines[place:found] if one]
        assert not (exact and between), f"{between}\nis not shown before\n{line}\nof\n{printed}"
        place, exact = found + 1, True
    rest = [one for one in lines[place:] if one]
    assert not (exact and rest), f"{rest}\nis not shown at the end of\n{printed}"


def _plain(line: str) -> str:
    return _AGE.sub("<age>", " ".join(line.split()))
