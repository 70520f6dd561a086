"""Credentials never come out of the command: not written down, not referred to, not when something is wrong."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from planton.cli import main
from tests.translate.test_sentinels import FOUND, SETS, WRONG, database, is_clean, operator


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Puts a value wherever a manifest can refer to one, short of a cluster."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "keys").mkdir()
    for what, value in FOUND.items():
        monkeypatch.setenv(f"STORE_{what.upper()}", value)
        (tmp_path / "keys" / what).write_text(value)
    return tmp_path


VERBS = [
    ["render"],
    ["render", "-o", "json"],
    ["validate"],
    ["env", "orders"],
    ["env", "orders", "-o", "json"],
    ["env", "orders", "-o", "yaml"],
]


@pytest.mark.parametrize("verb", VERBS, ids=" ".join)
@pytest.mark.parametrize("name", SETS)
def test_nothing_is_printed(name: str, verb: list[str], folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = folder / "manifests.yaml"
    path.write_text(SETS[name])
    code = main([*verb, "-f", str(path)])
    captured = capsys.readouterr()
    assert code == 0, captured.err
    assert is_clean(captured.out + captured.err)
    method = "libsodium" if "libsodium" in name else "pgp"
    if verb[0] == "render":
        shared = "r2-postgres-backup-credentials" + ("" if name == "r2" else f"-{method}-ca")
        for secret in (shared, f"db-orders-backup-credentials-{method}"):
            assert re.search(f"\\b{secret}\\b(?!-)", captured.out)
    if verb[0] == "env":
        assert f"db-orders-backup-credentials-{method}/AWS_SECRET_ACCESS_KEY" in captured.out


@pytest.mark.parametrize("what", WRONG)
@pytest.mark.parametrize("debug", [False, True])
def test_nothing_is_printed_of_what_is_wrong(
    what: str, debug: bool, folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    if debug:
        monkeypatch.setenv("PLANTON_DEBUG", "1")
    (folder / "keys" / what).write_text(WRONG[what][0])
    method = "libsodium" if what == "libsodium" else "pgp"
    path = folder / "manifests.yaml"
    texts = [operator("file", method) + database("file", method)]
    if what in ("id", "key", "authority"):
        texts.append(operator("value", method).replace(_as_json(FOUND[what]), "SENTINEL key"))
    for text in (*texts, *(f"{text}nothing: true\n" for text in texts), *(text[:-40] for text in texts)):
        path.write_text(text)
        for verb in VERBS:
            main([*verb, "-f", str(path)])
            captured = capsys.readouterr()
            assert is_clean(captured.out + captured.err)


def _as_json(text: str) -> str:
    return text.replace("\n", "\\n")
