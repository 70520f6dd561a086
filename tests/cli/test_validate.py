"""`planton validate`."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pytest

from planton.cli import main
from tests.cli.support import planton
from tests.manifests import ACCESS_KEY, SECRET_KEY, database, operator

FIVE_MISTAKES = """\
apiVersion: kubernetes.project-planton.org/v1
kind: PostgresKubernetes
metadata:
  name: Not_A_Label
spec:
  container:
    replicas: -1
    disk_sise: 1Gi
    disk_size: SENTINELSIZE
  backup_config:
    backup_schedule: SENTINELSCHEDULE
"""


def test_valid_files_are_counted(capsys: pytest.CaptureFixture[str], tmp_path: Path, manifests: str) -> None:
    other = tmp_path / "other.yaml"
    other.write_text(database("other"))
    assert main(["validate", "-f", manifests, "-f", str(other)]) == 0
    captured = capsys.readouterr()
    assert captured.out == f"{manifests}: 3 manifests valid\n{other}: 1 manifest valid\n"
    assert captured.err == ""


def test_many_valid_files_are_counted_together(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    for number in range(11):
        (tmp_path / f"{number:02}.yaml").write_text(database(f"one-{number}") + database(f"two-{number}"))
    assert main(["validate", "-f", str(tmp_path)]) == 0
    assert capsys.readouterr().out == "22 manifests in 11 files valid\n"
    assert main(["validate", "-v", "-f", str(tmp_path)]) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"{tmp_path}/{number:02}.yaml: 2 manifests valid" for number in range(11)
    ]
    (tmp_path / "10.yaml").unlink()
    assert main(["validate", "-f", str(tmp_path)]) == 0
    assert capsys.readouterr().out.count("\n") == 10


def test_five_mistakes_are_five_lines_with_their_places(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "wrong.yaml"
    path.write_text(database("fine") + FIVE_MISTAKES)
    start = database("fine").count("\n")
    assert main(["validate", "-f", str(path)]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    *problems, last = captured.err.splitlines()
    places = [(4, "metadata.name"), (7, "replicas"), (8, "disk_sise"), (9, "disk_size"), (11, "backup_schedule")]
    assert len(problems) == len(places)
    for line, (number, field) in zip(problems, places, strict=True):
        assert line.startswith(f"{path}:{start + number} (document 2): ")
        assert f"{field}: " in line
    assert last == "error: 5 problems in 1 file"
    assert "SENTINEL" not in captured.err


def test_errors_of_all_files_at_once(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    for name in ("a.yaml", "b.yaml"):
        (tmp_path / name).write_text(FIVE_MISTAKES)
    assert main(["validate", "-f", str(tmp_path), "-f", str(tmp_path / "absent.yaml")]) == 1
    captured = capsys.readouterr()
    assert "absent.yaml" in captured.err
    assert captured.err.splitlines()[-1] == "error: 11 problems in 3 files"


def test_what_is_wrong_only_together(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "twice.yaml"
    path.write_text(operator() + database("orders") + database("orders"))
    assert main(["validate", "-f", str(path)]) == 1
    assert "orders" in capsys.readouterr().err


_SHARED = 's3_prefix: "postgres-backups/one"'


@pytest.mark.parametrize(
    ("wrong", "has_archives"),
    [
        (database("wrong").replace("container:", "containre:"), True),
        # What the operator says is not known: where databases archive is nobody's guess.
        (operator(version="2.0.1").replace("spec:", "spec:\n  no_such_field: 1"), False),
        ("kind: [\n", False),
    ],
    ids=["a database", "the operator", "no YAML"],
)
def test_what_is_wrong_together_is_told_with_what_is_wrong_alone(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, wrong: str, has_archives: bool
) -> None:
    (tmp_path / "a.yaml").write_text(
        database("orders") + database("orders") + database("one", backup=_SHARED) + database("two", backup=_SHARED)
    )
    (tmp_path / "b.yaml").write_text(wrong)
    if has_archives:
        (tmp_path / "operator.yaml").write_text(operator())
        # Its source is the database that is wrong, which is no fault of its own.
        (tmp_path / "c.yaml").write_text(
            database("copy", spec="clone: {source: {database: {name: wrong, namespace: wrong}}}")
        )
    else:
        # Right with that operator, and with none that is known here.
        (tmp_path / "c.yaml").write_text(database("new", spec='version: "18"'))
    assert main(["validate", "-f", str(tmp_path)]) == 1
    *lines, last = capsys.readouterr().err.splitlines()
    assert [line for line in lines if "b.yaml" in line]
    assert [line for line in lines if "a.yaml" in line and "metadata.name: is given twice" in line]
    assert bool([line for line in lines if "has the same archive as" in line]) is has_archives
    assert not [line for line in lines if "c.yaml" in line]
    assert last == f"error: {len(lines)} problems in 2 files"
    # All of it is true: with the one thing mended the rest is still said.
    (tmp_path / "b.yaml").write_text(database("wrong") if has_archives else operator(version="2.0.1"))
    assert main(["validate", "-f", str(tmp_path)]) == 1
    after = capsys.readouterr().err.splitlines()
    assert {line for line in lines if "b.yaml" not in line} <= set(after)


def test_warnings_go_to_stderr(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "warned.yaml"
    path.write_text(operator() + database("orders", backup='s3_prefix: "other-bucket/orders"'))
    assert main(["validate", "-f", str(path)]) == 0
    captured = capsys.readouterr()
    assert captured.out == f"{path}: 2 manifests valid\n"
    assert captured.err.startswith(f"warning: {path}:")
    assert captured.err.count("\n") == 1
    assert "s3_prefix" in captured.err


def test_the_same_warning_of_many_is_printed_a_few_times(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "warned.yaml"

    def many(number: int) -> str:
        return "".join(
            database(f"orders-{index}", backup=f's3_prefix: "other-bucket-{index}/orders-{index}"')
            for index in range(number)
        )

    other = database("billing", backup='s3_prefix: "other-bucket/billing"\nbackup_schedule: "0 2 * * 1"')
    path.write_text(operator() + many(1200) + other)
    for verb in ("validate", "render"):
        assert main([verb, "-f", str(path)]) == 0
        lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("warning: ")]
        names = ", ".join(f"orders-{index}" for index in range(3, 13))
        assert lines[3] == f"warning: and 1,198 more like it ({names} and 1,188 others); -v shows them"
        assert all(
            f"PostgresKubernetes/orders-{index}: spec.backup_config.s3_prefix: " in lines[index] for index in range(3)
        )
        # What only one of them has is printed.
        assert not [line for line in lines[4:] if "s3_prefix" in line]
        assert main([verb, "-f", str(path), "-v"]) == 0
        every = capsys.readouterr().err
        assert every.count("spec.backup_config.s3_prefix: ") == 1201
        assert "more like it" not in every
    assert main(["validate", "-f", str(path), "-o", "json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["warnings"]) >= 1201
    # One more than is printed is no reason to say that there is one more.
    path.write_text(operator() + many(4))
    assert main(["validate", "-f", str(path)]) == 0
    assert capsys.readouterr().err.count("spec.backup_config.s3_prefix: ") == 4


@pytest.mark.parametrize(("text", "code"), [(operator() + database(), 0), (FIVE_MISTAKES, 1)])
def test_for_programs(capsys: pytest.CaptureFixture[str], tmp_path: Path, text: str, code: int) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(text)
    assert main(["validate", "-f", str(path), "-o", "json"]) == code
    captured = capsys.readouterr()
    assert captured.err == ""
    data = json.loads(captured.out)
    assert data["valid"] is (code == 0)
    assert len(data["errors"]) == (0 if code == 0 else 5)
    assert "SENTINEL" not in captured.out
    if code:
        assert data["errors"][0]["line"] == 4
        assert data["errors"][0]["file"] == str(path)
        assert data["errors"][0]["path"] == "metadata.name"


def test_standard_input() -> None:
    done = planton("validate", "-f", "-", stdin=database())
    assert (done.returncode, done.stdout, done.stderr) == (0, "<stdin>: 1 manifest valid\n", "")


def test_somebody_who_waits_at_a_terminal_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stdin = io.StringIO(database())
    monkeypatch.setattr(stdin, "isatty", lambda: True)
    monkeypatch.setattr(sys, "stdin", stdin)
    assert main(["validate", "-f", "-"]) == 0
    assert "Ctrl-D" in capsys.readouterr().err


def test_nothing_to_validate(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["validate", "-f", str(tmp_path)]) == 1
    assert str(tmp_path) in capsys.readouterr().err


def test_a_broken_document_shows_no_key(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "broken.yaml"
    path.write_text(operator().replace(f'"{SECRET_KEY}"', f'["{SECRET_KEY}", {ACCESS_KEY}: 1]'))
    assert main(["validate", "-f", str(path)]) == 1
    captured = capsys.readouterr()
    assert ACCESS_KEY not in captured.err
    assert SECRET_KEY not in captured.err
