"""Changes of a plan, of an apply and of a delete, as text and as data."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from planton.cli._output import Console, printable
from planton.translate.archive_record import RECORD_CONFIGMAP, LeftArchive, read_record

if TYPE_CHECKING:
    from planton.cluster.changes import Change, FieldChange

ACTIONS = ("created", "configured", "unchanged", "deleted", "skipped", "refused")
"""What can happen to an object, in the order of the summary."""
_STYLES = {
    "created": ("green",),
    "configured": ("yellow",),
    "unchanged": ("dim",),
    "deleted": ("red",),
    "skipped": ("cyan",),
    "refused": ("bold", "red"),
}
_WORD = max(map(len, ACTIONS))
_NAMESPACES = 3
"""How many Namespaces that are left alone for one reason are listed, where they are many."""
_LONGEST_VALUE = 120
"""Characters of a value in a diff line; `-o json` has all of it."""
_CONTEXT = 20
"""Characters before the first difference of two long values."""


def show_changes(changes: Iterable[Change], console: Console, *, unchanged: bool) -> None:
    """Prints changes with what differs.

    Args:
        changes: The changes; credentials in their diffs are hidden already.
        console: Where to print.
        unchanged: Whether objects that do not change are listed too, and each Namespace that is left alone.

    Raises:
        OutputError: It could not be written.
    """
    changes = list(changes)
    # Where others make the Namespaces, each is left alone every time, and what does change would stand between them.
    alone = Counter() if unchanged else Counter(change.reason for change in changes if _is_left_alone(change))
    listed: Counter[str] = Counter()
    for change in changes:
        if change.action == "unchanged" and not unchanged:
            continue
        word = console.paint(change.action.ljust(_WORD), *_STYLES.get(change.action, ()))
        reason = f"  ({printable(change.reason)})" if change.reason else ""
        # A single one more is not worth a line about it.
        if _is_left_alone(change) and alone[change.reason] > _NAMESPACES + 1:
            listed[change.reason] += 1
            if listed[change.reason] == _NAMESPACES + 1:
                console.out(f"{word}  {alone[change.reason] - _NAMESPACES:,} more Namespaces{reason}; --all lists them")
            if listed[change.reason] > _NAMESPACES:
                continue
        console.out(f"{word}  {printable(change.subject)}{reason}")
        is_record = change.kind == "ConfigMap" and change.name == RECORD_CONFIGMAP
        for field in change.diff:
            line = (_record_line(field) if is_record else "") or _diff_line(field)
            console.out(f"{'':{_WORD}}    {line}")
        for effect in change.effects:
            console.out(f"{'':{_WORD}}    {console.paint('!', 'bold', 'yellow')} {printable(effect)}")


def _is_left_alone(change: Change) -> bool:
    return change.kind == "Namespace" and change.action == "skipped"


def _record_line(field: FieldChange) -> str:
    """Says in words what changes in the record of archives, whose entries are JSON; empty for anything else."""
    before, after = _entry(field.before), _entry(field.after)
    entry = after or before
    if entry is None:
        return ""
    sign = "+" if field.before is None else "-" if field.after is None else "~"
    archive = " at ".join(part for part in (entry.prefix, entry.store) if part)
    same = ", with other facts about it" if before is not None and str(before) == str(after) else ""
    return f"{sign} {printable(f'archive {archive}: {entry}{same}')}"


def _entry(text: str | None) -> LeftArchive | None:
    """Reads an entry of the record out of a value of a diff, which is JSON text."""
    import json

    try:
        value = json.loads(text or "null")
    except ValueError:
        return None  # Shortened, or partly hidden.
    found = read_record({"entry": value}) if isinstance(value, str) else ()
    return found[0] if len(found) == 1 else None


def _diff_line(field: FieldChange) -> str:
    path, before, after = printable(field.path), field.before, field.after
    if before is None:
        return f"+ {path}: {_shown(after or '')}"
    if after is None:
        return f"- {path}: {_shown(before)}"
    # Of two long values that begin alike, what they begin with says nothing.
    is_long = max(len(before), len(after)) > _LONGEST_VALUE
    pairs = enumerate(zip(before, after, strict=False))
    alike = next((index for index, (one, other) in pairs if one != other), 0) if is_long else 0
    return f"~ {path}: {_shown(before, alike)} -> {_shown(after, alike)}"


def _shown(value: str, alike: int = 0) -> str:
    start = max(alike - _CONTEXT, 0) if alike > 2 * _CONTEXT else 0
    text = value[start : start + _LONGEST_VALUE]
    head, tail = "..." if start else "", "..." if start + len(text) < len(value) else ""
    return f"{head}{printable(text).replace(chr(10), chr(92) + 'n')}{tail}"


def counts(changes: Iterable[Change]) -> dict[str, int]:
    """Counts changes.

    Args:
        changes: Changes.

    Returns:
        How many of each action, all six of them.
    """
    numbers = dict.fromkeys(ACTIONS, 0)
    for change in changes:
        numbers[change.action] += 1
    return numbers


def summary_line(changes: Iterable[Change]) -> str:
    """Counts changes in one line.

    Args:
        changes: Changes.

    Returns:
        `N created, N configured, N unchanged, N deleted, N skipped`, and what was refused where something was.
    """
    numbers = counts(changes)
    return ", ".join(f"{number} {action}" for action, number in numbers.items() if number or action != "refused")


def changes_data(changes: Iterable[Change]) -> list[dict[str, Any]]:
    """Gives changes for programs.

    Args:
        changes: Changes; credentials in their diffs are hidden already.

    Returns:
        A list for JSON or YAML; values in diffs are JSON text.
    """
    return [
        {
            "action": change.action,
            "apiVersion": change.api_version,
            "kind": change.kind,
            "namespace": change.namespace,
            "name": change.name,
            "reason": change.reason,
            "diff": [{"path": one.path, "before": one.before, "after": one.after} for one in change.diff],
            "effects": list(change.effects),
        }
        for change in changes
    ]


def show_old_credentials(lines: Sequence[str], console: Console) -> None:
    """Prints which databases still run on old credentials.

    Args:
        lines: One for each.
        console: Where to print.

    Raises:
        OutputError: It could not be written.
    """
    if not lines:
        return
    console.out("These still run on the old credentials; the operator restarts them one after the other:")
    for line in lines:
        console.out(f"  {printable(line)}")
    console.out("Keep the old keys valid until `planton status` with the operator's manifest no longer names them.")
    console.out("")


def show_head(facts: Sequence[tuple[str, str]], console: Console) -> None:
    """Prints facts under each other, such as which cluster is meant.

    Args:
        facts: Names and values; empty values are left out.
        console: Where to print.

    Raises:
        OutputError: It could not be written.
    """
    shown = [(name, value) for name, value in facts if value]
    width = max((len(name) for name, _ in shown), default=0) + 2
    for name, value in shown:
        console.out(f"{console.paint(f'{name}:'.ljust(width), 'bold')}{printable(value)}")
