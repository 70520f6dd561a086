"""How deleted databases are restored: as text, and as a file with manifests."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from planton.cli._exit import UsageError
from planton.cli._output import Console, printable
from planton.yaml_writer import document

if TYPE_CHECKING:
    from planton.cluster.deleting.remaining import Remaining

_THERE = (
    "Nothing was deleted. Name another file, since what is there may be the only way back to another database; or "
    "leave --write-restore out, when an earlier run of this command wrote it."
)
_WIDTH = 100


def check_file(path: str) -> None:
    """Looks whether a file can be written, before anything is asked of a cluster.

    Args:
        path: Its path.

    Raises:
        UsageError: Its directory is not there, or it is one.
    """
    if os.path.isdir(path):
        raise UsageError(f"{path} is a directory", "Name a file in it.")
    folder = os.path.dirname(path) or "."
    if not os.path.isdir(folder):
        raise UsageError(f"the directory of {path} is not there", "Make it, or name another file.")


def write_restore(path: str, remaining: Sequence[Remaining], console: Console) -> None:
    """Writes the manifests that restore databases. No credential is in them.

    Args:
        path: Path of the file; it must not be there, unless it says the same, or the beginning of it: a delete that was
            broken off goes on, also when it was in the middle of this.
        remaining: What remains of each database.
        console: Where to say what was written.

    Raises:
        UsageError: It cannot be written.
    """
    text = "---\n".join(_text(one) for one in remaining)
    try:
        try:
            _write(path, text, "x")
        except FileExistsError:
            there = _text_in(path, len(text.encode()))
            if there is None or not text.startswith(there):
                raise UsageError(f"{path} is there already", _THERE) from None
            if there != text:
                _write(path, text, "w")
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}", "Nothing was deleted.") from None
    console.plain(f"Wrote {path}: how to restore {', '.join(f'{one.namespace}/{one.name}' for one in remaining)}")


def _write(path: str, text: str, mode: Literal["x", "w"]) -> None:
    with open(path, mode, encoding="utf-8", newline="\n") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def _text_in(path: str, most: int) -> str | None:
    """Reads a file of at most so many bytes; None for another one, or for what is no text."""
    try:
        if not os.path.isfile(path) or os.path.getsize(path) > most:
            return None
        with open(path, encoding="utf-8", newline="") as file:
            return file.read()
    except (OSError, UnicodeDecodeError):
        return None


def _text(remaining: Remaining) -> str:
    lines = [f"# {remaining.namespace}/{remaining.name}, archive {remaining.archive or 'none'}"]
    if remaining.manifest is None:
        why = "it has none" if remaining.state == "none" else "how its store is reached is not known"
        return "\n".join([*lines, f"# Nothing can be written down to restore it: {why}.", ""])
    lines += [f"# {part}" for note in remaining.manifest.notes for part in _wrapped(note)]
    return "\n".join(lines) + "\n" + document(remaining.manifest.tree)


def _wrapped(note: str) -> list[str]:
    import textwrap

    return textwrap.wrap(note, _WIDTH, break_long_words=False, break_on_hyphens=False)


def show_remaining(remaining: Sequence[Remaining], console: Console) -> None:
    """Prints how deleted databases are restored.

    Args:
        remaining: What remains of each.
        console: Where to print.

    Raises:
        OutputError: It could not be written.
    """
    shown = [one for one in remaining if one.command]
    if not shown:
        return
    console.out("")
    console.out("To restore, under another name, all that is archived (or --to TIME, with its zone):")
    for one in shown:
        console.out(f"  {printable(one.command)}")
