"""What was found out about stores and archives, as a table and as data."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from planton.cli._changes import show_head
from planton.cli._output import Console, printable
from planton.cli._table import show_table
from planton.words import counted

if TYPE_CHECKING:
    from planton.catalogue.probe import Finding
    from planton.cluster import ClusterIdentity
    from planton.cluster.checking.checks import Checked

_HEADINGS = {
    "store": "Store",
    "archive": "Archive",
    "from the cluster": "From within the cluster",
    "settings": "Database",
}
_STYLES = {"ok": ("green",), "warning": ("yellow",), "failed": ("red",), "not tried": ("dim",)}


def show(checked: Sequence[Checked], identity: ClusterIdentity | None, console: Console) -> None:
    """Prints what was found: each store with what was tried, and each archive.

    Args:
        checked: What was found.
        identity: The cluster; None when none was asked.
        console: Where to print.

    Raises:
        OutputError: It could not be written.
    """
    if identity is not None:
        show_head((("Server", identity.server), ("Context", f"{identity.context} of {identity.kubeconfig}")), console)
        console.out("")
    if not checked:
        console.out("There is nothing to check: no database has backups.")
        return
    for one in checked:
        if one.kind == "archive":
            continue
        console.out(console.paint(printable(f"{_HEADINGS[one.kind]} {one.where}"), "bold"))
        if one.kind != "settings":
            console.out(printable(f"  used by {', '.join(one.used_by)}"))
        findings = list(_worth_showing(one.findings))
        rows = [(found.outcome, found.check, _words(found)) for found in findings]
        show_table(
            console, ("", "", ""), rows, styles=[_STYLES[one.outcome] for one in findings], indent="  ", heading=False
        )
        for key in one.left_behind:
            console.out(console.paint(printable(f"  left behind: {key}"), "red"))
        console.out("")
    archives = [(one, found) for one in checked if one.kind == "archive" for found in one.findings]
    if archives:
        lines = [(found.outcome, ", ".join(one.used_by), one.where, _words(found)) for one, found in archives]
        styles = [_STYLES[found.outcome] for _, found in archives]
        show_table(console, ("", "DATABASE", "ARCHIVE", "WHOSE"), lines, styles=styles)
        console.out("")
    console.out(_summary(checked))


def _worth_showing(findings: Sequence[Finding]) -> Iterator[Finding]:
    """All of them, but for what could not be tried since something before it failed: that is one line."""
    untried = [one.check for one in findings if one.outcome == "not tried" and not one.text]
    for one in findings:
        if one.check not in untried:
            yield one
        elif one.check == untried[0]:
            yield replace(one, check="the rest", text=", ".join(untried))


def _words(finding: Finding) -> str:
    if finding.outcome == "ok" or not finding.remedy:
        return finding.text
    return f"{finding.text}. {finding.remedy}" if finding.text else finding.remedy


def _summary(checked: Sequence[Checked]) -> str:
    failures = sum(len(one.failures) for one in checked)
    warnings = sum(found.outcome == "warning" for one in checked for found in one.findings)
    stores = sum(one.kind == "store" for one in checked)
    archives = sum(one.kind == "archive" for one in checked)
    head = f"{counted(stores, 'store')} and {counted(archives, 'archive')} looked at"
    if failures:
        return f"{head}: {counted(failures, 'thing')} wrong."
    if not stores + archives:
        return f"{head}: nothing was tried."
    with_warnings = f", with {counted(warnings, 'warning')}" if warnings else ""
    return f"{head}: all is well{with_warnings}."


def as_data(checked: Sequence[Checked]) -> dict[str, Any]:
    """Gives what was found for programs.

    Args:
        checked: What was found.

    Returns:
        Dicts, lists and scalars.
    """
    return {
        "ok": all(one.is_ok for one in checked),
        "checks": [
            {
                "kind": one.kind,
                "where": one.where,
                "usedBy": list(one.used_by),
                "ok": one.is_ok,
                "findings": [
                    {
                        "check": found.check,
                        "outcome": found.outcome,
                        "text": found.text,
                        "remedy": found.remedy,
                        "problem": found.problem,
                    }
                    for found in one.findings
                ],
                "leftBehind": list(one.left_behind),
            }
            for one in checked
        ],
    }
