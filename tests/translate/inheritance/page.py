"""Reads the tables of docs/inheritance.md, which are written by hand, and makes the manifests that they speak of."""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from tests.manifests import database, operator

PAGE = Path(__file__).resolve().parents[3] / "docs" / "inheritance.md"
OWN_SECRET = "db-orders-backup-credentials"
OPERATOR_SECRET = "r2-postgres-backup-credentials"

Entry = tuple[str, str] | str
"""What an entry of an environment has: a value, or name and key of a Secret."""


def block(language: str, containing: str = "") -> str:
    """Gives the one block of code of a language that contains a text."""
    found = re.findall(rf"```{language}\n(.*?)```", PAGE.read_text(), re.DOTALL)
    (text,) = [one for one in found if containing in one]
    return str(text)


def tables() -> list[list[list[str]]]:
    """Gives every table of the page, row by row and cell by cell; the second row is the line below the headings."""
    return [
        [[cell.strip() for cell in line.strip()[1:-1].split("|")] for line in text.strip().splitlines()]
        for text in re.findall(r"(?:^\|.*\n?)+", PAGE.read_text(), re.MULTILINE)
    ]


def table(*headings: str) -> list[list[str]]:
    """Gives the rows of the one table whose headings begin like that."""
    (found,) = [rows for rows in tables() if tuple(rows[0][: len(headings)]) == headings]
    assert all(len(row) == len(found[0]) for row in found)
    return found[2:]


def unquoted(cell: str) -> str:
    """Takes the backticks off, and reads `""` as nothing."""
    text = cell.replace("`", "")
    return "" if text == '""' else text


@cache
def words() -> dict[str, dict[str, Entry]]:
    """Gives what each word of the column env stands for, R and C apart."""
    meaning: dict[str, dict[str, Entry]] = {}
    word = ""
    for first, text in table("in *env*"):
        word = unquoted(first) or word
        entries = meaning.setdefault(word, {})
        if word in ("R", "C"):
            continue
        if match := re.fullmatch(r"`(\w+)` = `(.*)`", text):
            entries[match[1]] = "" if match[2] == '""' else match[2]
        else:
            match = re.fullmatch(r"`(\w+)` from `([^/]+)/([^/]+)`", text)
            assert match, text
            entries[match[1]] = (match[2], match[3])
    return meaning


SETTINGS = {"prefix": ("s3_prefix",), "schedule": ("backup_schedule",), "store": ("storage", "credentials")}
SWITCHES = {"backup": "enable_backup", "restore": "enable_restore", "clone": "enable_clone"}
POSITIONS: dict[str, bool | None] = {"-": None, "on": True, "off": False}
ARCHIVES = {
    "": "",
    "-": "",
    "own": "s3://own-bucket/orders/$(PGVERSION)",
    "template": "s3://own-bucket/backups/$(SCOPE)/$(PGVERSION)",
    "operator's": "s3://postgres-backups/backups/$(SCOPE)/$(PGVERSION)",
}


@dataclass(frozen=True, slots=True)
class Combination:
    """One of the 648.

    Attributes:
        operator: `none`, `off` or `on`.
        switches: backup, restore and clone: `-`, `on` or `off`.
        given: Which of prefix, schedule and store are given.
    """

    operator: str
    switches: tuple[str, str, str]
    given: frozenset[str]

    @property
    def cells(self) -> list[str]:
        """As the table writes it."""
        return [self.operator, *self.switches, *("yes" if name in self.given else "-" for name in SETTINGS)]

    def config(self) -> dict[str, Any]:
        """The backup_config of the database: that of the page, with fields left out."""
        whole = yaml.safe_load(block("yaml"))["spec"]["backup_config"]
        config = {name: whole[name] for chosen in self.given for name in SETTINGS[chosen]}
        for field, position in zip(SWITCHES.values(), self.switches, strict=True):
            if POSITIONS[position] is not None:
                config[field] = POSITIONS[position]
        return config

    def database(self, name: str = "orders", metadata: str = "") -> str:
        """Its manifest; with another name also another prefix."""
        config = self.config()
        backup = yaml.safe_dump(config).replace("orders", name) if config else None
        return database(name, backup=backup, metadata=metadata)

    def expected(self, row: list[str], name: str = "orders") -> dict[str, Entry]:
        """What spec.env has, by a row of the table."""
        entries: dict[str, Entry] = {}
        for word in row[7].split():
            if word not in ("R", "C"):
                new = words()[word]
            else:
                variable, place = {"R": ("USE_WALG_RESTORE", 1), "C": ("CLONE_USE_WALG_RESTORE", 2)}[word]
                position = POSITIONS[self.switches[place]]
                new = {} if position is None else {variable: "true" if position else "false"}
            assert not entries.keys() & new.keys()
            entries.update(new)
        return {variable: renamed(entry, name) for variable, entry in entries.items()}


def renamed(entry: Entry, name: str) -> Entry:
    """Gives an entry of the database `orders` as one of another name has it."""
    if isinstance(entry, tuple):
        return (entry[0].replace("orders", name), entry[1])
    return entry.replace("orders", name)


def combinations() -> list[Combination]:
    """Enumerates all of them."""
    return [
        Combination(kind, (backup, restore, clone), frozenset(given))
        for kind in ("none", "off", "on")
        for backup, restore, clone in itertools.product(POSITIONS, repeat=3)
        for count in range(4)
        for given in itertools.combinations(SETTINGS, count)
    ]


@cache
def rows() -> list[list[str]]:
    """Gives the rows of the table of combinations."""
    return table("operator", "backup", "restore", "clone", "prefix")


@cache
def refused_by_newer() -> list[list[str]]:
    """Gives the rows of what is an error besides under operator 2.0.1."""
    (found,) = [rows for rows in tables() if rows[0] == ["operator", "backup", "restore"]]
    return found[2:]


def row_of(combination: Combination) -> list[str]:
    """Gives the one row of a combination."""
    (row,) = [row for row in rows() if matches(row, combination.cells)]
    return row


def matches(row: list[str], cells: list[str]) -> bool:
    """Tells whether the first cells of a row are those of a combination."""
    return all(have in ("*", want) for have, want in zip(row, cells, strict=False))


def operator_manifest(kind: str, version: str = "1.15.1", spec: str = "") -> str:
    """Writes the operator of the page."""
    backup = {"none": None, "off": "enable_wal_g_backup: false", "on": ""}[kind]
    return operator(backup=backup, version=version, spec=spec)
