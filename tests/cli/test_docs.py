"""What the documents list is what there is."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from google.protobuf.descriptor import Descriptor

from planton.cli import _exit
from planton.cluster import DeleteOptions, PlanOptions
from planton.manifest import _limits
from planton.translate import generation
from planton.translate.backup import PATHS
from planton.translate.operator_configuration import OWNED_SETTINGS
from planton.translate.policy import ENCRYPTION_VARIABLES, POLICY_VARIABLES
from planton.translate.store import STORE_VARIABLES
from planton.types import PostgresKubernetesBackupConfig, PostgresOperatorKubernetesBackupConfig, SecretValue

ROOT = Path(__file__).resolve().parents[2]
REFERENCE = (ROOT / "docs" / "reference.md").read_text()


def section(title: str) -> str:
    (text,) = re.findall(rf"^## {title}\n(.*?)(?=^## |\Z)", REFERENCE, re.DOTALL | re.MULTILINE)
    return str(text)


def test_settings_that_are_refused() -> None:
    rows = [line.split("|")[1] for line in section("Operator settings").splitlines() if line.startswith("| `")]
    named = [name for row in rows for name in re.findall(r"`([a-z0-9_]+)`", row)]
    assert sorted(named) == sorted(OWNED_SETTINGS)


def fields(message: Descriptor, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for field in message.fields:
        yield (*path, field.name)
        below = field.message_type
        if below is not None and not below.GetOptions().map_entry and below.name != "SecretValue":
            yield from fields(below, (*path, field.name))


SETTINGS = ("storage", "credentials", "encryption", "retention", "tuning")
BACKUP_FIELDS = sorted(
    {
        path
        for kind in (PostgresKubernetesBackupConfig, PostgresOperatorKubernetesBackupConfig)
        for path in fields(kind.DESCRIPTOR)
    }
)


def named(text: str) -> set[str]:
    """Every word in backticks, and every part of a path in them."""
    return {word for quoted in re.findall(r"`([^`]+)`", text) for word in re.findall(r"\w+", quoted)}


@pytest.mark.parametrize("path", BACKUP_FIELDS, ids=".".join)
def test_fields_of_backup_config(path: tuple[str, ...]) -> None:
    text = REFERENCE
    if len(path) > 1 and path[0] in SETTINGS:
        # Below the heading of its own message; what is in one table stands for two of them.
        text = section("Storage, credentials, encryption, retention, tuning")
        title = "retention and tuning" if path[0] in ("retention", "tuning") else path[0]
        (text,) = re.findall(rf"^### {title}\n(.*?)(?=^### |\Z)", text, re.DOTALL | re.MULTILINE)
    assert set(path[1:]) <= named(text)
    assert path[0] in named(REFERENCE)


def test_forms_of_a_secret_value() -> None:
    (text,) = re.findall(r"^### A value that belongs in a Secret\n(.*?)^### ", REFERENCE, re.DOTALL | re.MULTILINE)
    assert {name for path in fields(SecretValue.DESCRIPTOR) for name in path} <= named(text)


def test_variables() -> None:
    """Every variable that planton can write into the pods of a database."""
    switches = ("WALG_S3_PREFIX", "BACKUP_SCHEDULE", "USE_WALG_BACKUP", "USE_WALG_RESTORE", "CLONE_USE_WALG_RESTORE")
    keys = [name for name in PATHS if name.isupper()]
    ours = [value for value in vars(generation).values() if isinstance(value, str) and value.startswith("PLANTON_")]
    assert len(ours) > 1
    assert {*STORE_VARIABLES, *POLICY_VARIABLES, *ENCRYPTION_VARIABLES, *keys, *switches, *ours} <= named(REFERENCE)


def test_exit_codes() -> None:
    codes = {value for name, value in vars(_exit).items() if name.isupper() and isinstance(value, int)}
    assert {
        int(number)
        for number in re.findall(r"\b\d+\b", "".join(re.findall(r"^\| [\d, ]+\|", section("Exit codes"), re.M)))
    } == codes


def test_limits() -> None:
    numbers = (_limits.MAX_BYTES // 2**20, _limits.MAX_TOTAL_BYTES // 2**20, _limits.MAX_DOCUMENT // 2**20)
    text = " ".join(section("Limits").split())
    assert "{} MiB a file, {} MiB all files together, {} MiB a document".format(*numbers) in text
    assert f"{_limits.MAX_DOCUMENTS:,} documents, {_limits.MAX_DEPTH} levels" in text


@pytest.mark.parametrize("options", [PlanOptions, DeleteOptions])
def test_options(options: type) -> None:
    for field in dataclasses.fields(options):
        assert f"`{field.name}`" in section("Python")


def test_the_two_pages_about_the_sandbox_do_not_tell_the_same_twice() -> None:
    page = (ROOT / "docs" / "sandbox.md").read_text()
    assert "(../sandbox/README.md)" in page
    assert "| |" not in page


@pytest.mark.parametrize(
    "path",
    [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))],
    ids=lambda path: path.relative_to(ROOT).as_posix(),
)
def test_links_lead_somewhere(path: Path) -> None:
    # Also one over the end of a line.
    for target, _, place in re.findall(r"\]\(([^)#:]*)(#([^)]*))?\)", path.read_text()):
        there = path.parent / target if target else path
        assert there.exists(), target
        assert not place or place in anchors(there), f"{target}#{place}"


def anchors(path: Path) -> set[str]:
    """Names of the headings of a page, as GitHub makes them."""
    titles = re.findall(r"^#+ (.*)$", re.sub(r"^```.*?^```", "", path.read_text(), flags=re.DOTALL | re.M), re.M)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}
