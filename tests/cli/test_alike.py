"""Many lines that say the same: the first few whole, how many more and of what, and all by -v."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from planton.cli import main
from planton.cli._alike import line_of, shortened, shortened_text
from planton.errors import ClusterError, ConflictError, FieldConflict, RefusedError, WaitError
from tests.cli.fake import FakeCluster
from tests.manifests import database, operator


def test_what_is_alike() -> None:
    same = (
        (
            "postgresql/team-a/orders: disk_size would shrink from 100Gi to 50Gi",
            "postgresql/b/c: disk_size would shrink from 9Gi to 5Gi",
        ),
        ("Secret/a/x: apply (Forbidden): x in a: no", "Secret/b/y-z: apply (Forbidden): y-z in b: no"),
        (
            "is given twice: also as PostgresKubernetes/a (in a/b.yaml, line 3)",
            "is given twice: also as PostgresKubernetes/b (in b/c.yaml, line 99)",
        ),
        (
            '  cannot patch resource "secrets" in API group "" in the namespace "a"',
            '  cannot patch resource "secrets" in API group "" in the namespace "b"',
        ),
    )
    other = (
        ("postgresql/a/b: volume would shrink", "postgresql/a/b: version would change"),
        ("a volume of orders", "a volume of billing"),
        ("Secret/a/b: no", "ConfigMap/a/b: no"),
        (
            '  cannot patch resource "secrets" in API group "" in the namespace "a"',
            '  cannot patch resource "services" in API group "" in the namespace "a"',
        ),
    )
    assert [line_of(one).kind == line_of(two).kind for one, two in same] == [True] * len(same)
    assert [line_of(one).kind == line_of(two).kind for one, two in other] == [False] * len(other)
    assert line_of("postgresql/team-a/orders: x").name == "team-a/orders"
    assert line_of(same[3][0]).name == "a"


def test_a_long_text_takes_no_long_time() -> None:
    begun = time.process_time()
    for text in ("x" * 100_000, "1/" * 50_000, '"' * 100_000, "a/" + "b-" * 50_000, "Secret/a/b " * 9_000):
        line_of(text)
        shortened_text(f"{text}\n" * 5, every=False)
    assert time.process_time() - begun < 5


def test_each_kind_has_its_own_first_lines() -> None:
    lines = [line for number in range(100) for line in (f"Secret/a/s{number}: no", f"Service/b/s{number}: never")]
    shown = list(shortened(map(line_of, lines), every=False))
    assert len(shown) == 8
    assert shown[:3] == [f"Secret/a/s{number}: no" for number in range(3)]
    assert shown[3].startswith("and 97 more like it (a/s3, a/s4, ")
    assert shown[3].endswith(" and 87 others); -v shows them")
    assert list(shortened(map(line_of, lines), every=True)) == lines
    assert list(shortened(map(line_of, lines[:4]), every=False)) == lines[:4]


def test_a_text_keeps_what_is_not_alike() -> None:
    rows = [f"  postgresql/a/db-{number}: not running" for number in range(6)]
    text = "\n".join(["wait (Timeout): not ready after 5 s:", *rows, "What was done stays."])
    assert shortened_text(text, every=False).split("\n") == [
        "wait (Timeout): not ready after 5 s:",
        *rows[:3],
        "  and 3 more like it (a/db-3, a/db-4, a/db-5); -v shows them",
        "What was done stays.",
    ]
    assert shortened_text(text, every=True) == text


@pytest.mark.parametrize(
    ("error", "more"),
    [
        (
            ConflictError([FieldConflict(f"Secret/s{one}/keys", "helm", ("data.a",)) for one in range(500)]),
            "  and 497 more like it (s3/keys, s4/keys, ",
        ),
        (
            RefusedError([f"postgresql/team/db-{one}: its volume would shrink from {one}Gi" for one in range(500)]),
            "  and 497 more like it (team/db-3, team/db-4, ",
        ),
        (
            WaitError([f"postgresql/team/db-{one}: reports Creating" for one in range(500)], seconds=5),
            "  and 497 more like it (team/db-3, team/db-4, ",
        ),
        (
            ClusterError(
                "said no\n" + "\n".join(f"Secret/n{one}/keys: apply (Invalid): said no" for one in range(1, 500)),
                subject="Secret/n0/keys",
                phase="apply",
                reason="Invalid",
            ),
            "and 497 more like it (n3/keys, n4/keys, ",
        ),
    ],
    ids=["conflicts", "refusals", "waiting", "joined"],
)
def test_errors_of_many_objects(
    capsys: pytest.CaptureFixture[str], cluster: FakeCluster, manifests: str, error: Exception, more: str
) -> None:
    cluster.error = error
    assert main(["apply", "-f", manifests]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) < 12
    assert [line for line in lines if line.startswith(more) and line.endswith(" and 487 others); -v shows them")]
    assert main(["apply", "-f", manifests, "-v"]) == 1
    every = capsys.readouterr().err
    assert "more like it" not in every
    assert len(every.splitlines()) >= 500


def test_names_that_are_given_twice(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        for number in range(60):
            (tmp_path / folder / f"db-{number:02}.yaml").write_text(database(f"db-{number:02}"))
    (tmp_path / "operator.yaml").write_text(operator())
    assert main(["validate", "-f", str(tmp_path)]) == 1
    lines = capsys.readouterr().err.splitlines()
    twice = [line for line in lines if "is given twice" in line]
    assert len(twice) == 3
    assert lines[lines.index(twice[2]) + 1].startswith("and 57 more like it (db-03, db-04, ")
    # Whatever is left out is counted.
    assert lines[-1].startswith("error: ")
    assert int(lines[-1].split()[1]) >= 60
    assert main(["validate", "-v", "-f", str(tmp_path)]) == 1
    assert capsys.readouterr().err.count("is given twice") == 60
