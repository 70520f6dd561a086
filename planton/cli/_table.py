"""Tables that fit the terminal: cells are wrapped, never cut, and commands, times and names of WAL stay whole."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

from planton.cli._output import Console, printable

_GAP = "  "
_COPIED = "kubectl "
"""Begins what people copy into a shell: it stays whole, in however narrow a terminal."""
_WHOLE = re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+Z|(?:base_)?[0-9A-F]{24}(?:_D_[0-9A-F]{24})?", re.ASCII)
"""What people copy into the next command: times, base backups and WAL segments. It stays whole, too."""
_NARROWEST = 12
"""Columns are not made narrower than this; a terminal with less room gets long lines."""


def show_table(
    console: Console,
    headings: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    styles: Sequence[Sequence[str]] = (),
    indent: str = "",
    heading: bool = True,
) -> None:
    """Prints a table on stdout. Columns that are empty in every row are left out.

    Args:
        console: Where to print.
        headings: One for each column.
        rows: Cells, as many as headings in each.
        styles: Colours of each row's first cell, out of the names of Console.paint.
        indent: Stands before each line.
        heading: Whether the headings are printed.

    Raises:
        OutputError: It could not be written.
    """
    used = [index for index in range(len(headings)) if any(row[index] for row in rows)]
    cells = [[printable(headings[index]) for index in used]]
    cells += [[printable(row[index]) for index in used] for row in rows]
    widths = _fit(
        [max(max(map(_width, row[column].split("\n"))) for row in cells) for column in range(len(used))],
        [max(max(map(_least, row[column].split("\n"))) for row in cells) for column in range(len(used))],
        None if console.width is None else console.width - len(indent),
    )
    for number, row in enumerate(cells):
        if number == 0 and not heading:
            continue
        wrapped = [_wrap(cell, width) for cell, width in zip(row, widths, strict=True)]
        for line in range(max((len(cell) for cell in wrapped), default=0)):
            parts = []
            for column, (cell, width) in enumerate(zip(wrapped, widths, strict=True)):
                text = cell[line] if line < len(cell) else ""
                padding = "" if column == len(widths) - 1 else " " * (width - _width(text))
                if number == 0 and text:
                    text = console.paint(text, "bold")
                elif column == 0 and styles and text:
                    text = console.paint(text, *styles[number - 1])
                parts.append(text + padding)
            console.out((indent + _GAP.join(parts)).rstrip())


def _fit(natural: list[int], least: list[int], room: int | None) -> list[int]:
    """Takes from the widest column until the table fits; from the first one, which names the row, never."""
    widths = list(natural)
    if room is None:
        return widths
    while sum(widths) + len(_GAP) * (len(widths) - 1) > room:
        wide = [index for index in range(1, len(widths)) if widths[index] > max(least[index], _NARROWEST)]
        if not wide:
            break
        widest = max(wide, key=lambda index: widths[index])
        widths[widest] -= 1
    return widths


def _least(text: str) -> int:
    return max((len(found.group()) for found in _WHOLE.finditer(text)), default=0)


def _wrap(cell: str, width: int) -> list[str]:
    if cell.startswith(_COPIED):
        return [cell]
    lines: list[str] = []
    for text in cell.split("\n"):
        rest = text
        while _width(rest) > width:
            cut = _cut(rest, width)
            lines.append(rest[:cut].rstrip())
            rest = rest[cut:].lstrip()
        lines.append(rest)
    return lines


def _cut(text: str, width: int) -> int:
    """Finds where to break: after the last blank, slash or comma that fits, else at the edge."""
    fits = 0
    columns = 0
    for index, one in enumerate(text):
        columns += _width(one)
        if columns > width:
            break
        fits = index + 1
    best = max(text.rfind(mark, 0, fits) for mark in " /,")
    cut = best + 1 if best >= fits // 2 else max(fits, 1)
    for found in _WHOLE.finditer(text):
        if 0 < found.start() < cut < found.end():
            return found.start()
    return cut


def _width(text: str) -> int:
    """Counts columns: wide characters take two, combining ones none."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(one) else 2 if unicodedata.east_asian_width(one) in "WF" else 1 for one in text
    )
