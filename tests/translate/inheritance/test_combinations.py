"""Every combination of operator, switches and overrides, against the table of docs/inheritance.md."""

from __future__ import annotations

from typing import Any

import pytest

import planton
from planton.rendering import render
from planton.translate.database_facts import backup_of
from planton.translate.existing import Existing
from planton.types import PostgresKubernetes
from tests.translate.inheritance import page
from tests.translate.inheritance.page import Combination, Entry, row_of

VERSIONS = ("1.15.1", "2.0.1")
SAYS: dict[str, tuple[set[str], set[str]]] = {
    "": (set(), set()),
    "bucket": (set(), {"s3_prefix"}),
    "keys": (set(), {"enable_backup"}),
    "no keys": ({"enable_backup"}, set()),
}


def entries_of(env: list[dict[str, Any]]) -> dict[str, Entry]:
    entries: dict[str, Entry] = {}
    for one in env:
        assert one["name"] not in entries, "no name twice"
        if "valueFrom" in one:
            assert set(one) == {"name", "valueFrom"}
            assert set(one["valueFrom"]) == {"secretKeyRef"}
            reference = one["valueFrom"]["secretKeyRef"]
            entries[one["name"]] = (reference["name"], reference["key"])
        else:
            assert set(one) == {"name", "value"}
            entries[one["name"]] = one["value"]
    return entries


def paths(problems: object) -> set[str]:
    assert isinstance(problems, (list, tuple))
    ours = [one for one in problems if one.subject == "PostgresKubernetes/orders"]
    assert len({(one.path, one.message) for one in ours}) == len(ours)
    return {one.path.removeprefix("spec.backup_config.") for one in ours}


def expected_paths(combination: Combination, row: list[str], version: str) -> tuple[set[str], set[str]]:
    if row[9] == "unused":
        errors: set[str] = set()
        warnings = {field for name in combination.given for field in page.SETTINGS[name]}
    else:
        errors, warnings = SAYS[row[9]]
    if version == "2.0.1" and any(page.matches(one, combination.cells) for one in page.refused_by_newer()):
        errors = errors | {"enable_restore"}
    return errors, warnings


def test_there_are_648_and_each_has_one_row() -> None:
    combinations = page.combinations()
    assert len(combinations) == len(set(combinations)) == 3 * 27 * 8 == 648
    used = {tuple(row_of(one)) for one in combinations}
    assert used == {tuple(row) for row in page.rows()}
    assert len(used) == 37
    newer = {tuple(row) for row in page.refused_by_newer()}
    assert newer == {
        tuple(row) for one in combinations for row in page.refused_by_newer() if page.matches(row, one.cells)
    }


def test_the_fields_of_the_page_are_all_there() -> None:
    whole = Combination("on", ("on", "on", "on"), frozenset(page.SETTINGS)).config()
    assert set(whole) == {*page.SWITCHES.values(), *(name for names in page.SETTINGS.values() for name in names)}


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("operator", ["none", "off", "on"])
@pytest.mark.parametrize("backup", ["-", "on", "off"])
def test_combinations(operator: str, backup: str, version: str) -> None:
    chosen = [one for one in page.combinations() if (one.operator, one.switches[0]) == (operator, backup)]
    assert len(chosen) == 72
    for combination in chosen:
        check(combination, version)


def check(combination: Combination, version: str) -> None:
    row = row_of(combination)
    manifests = planton.loads(page.operator_manifest(combination.operator, version) + combination.database())
    errors, warnings = expected_paths(combination, row, version)
    if errors:
        with pytest.raises(planton.ManifestError) as caught:
            render(manifests)
        assert paths(caught.value.problems) == errors, combination
        return
    rendering = render(manifests)
    assert paths(rendering.warnings) == warnings, combination
    (resource,) = [item for item in rendering if item["kind"] == "postgresql"]
    env = resource["spec"].get("env", [])
    wanted = combination.expected(row)
    assert entries_of(env) == wanted, combination
    assert [one["name"] for one in env] == sorted(wanted)
    assert ("env" in resource["spec"]) == bool(wanted)
    (message,) = [one for one in rendering.manifests if isinstance(one, PostgresKubernetes)]
    archive = page.ARCHIVES[row[8]]
    backup = backup_of(message, rendering.platform, Existing(operator_version=version))
    assert backup.prefix == archive, combination
    own = "https://minio.example.com:9000"
    store = "https://account.r2.cloudflarestorage.com" if combination.operator != "none" else ""
    assert backup.endpoint == ((own if "store" in combination.given else store) if archive else ""), combination
    check_invariants(combination, manifests, archive)


def check_invariants(combination: Combination, manifests: Any, archive: str) -> None:
    """What must hold of the pods, whatever the table says: runtime.md and messages.md."""
    pods = {one.name: one for one in planton.environment(manifests, "orders")}
    prefix = pods.get("WALG_S3_PREFIX")
    assert (prefix.value if prefix else "") == archive, combination
    if not archive:
        return
    assert pods["USE_WALG_BACKUP"].value == "true", combination
    if combination.operator == "none" and "store" not in combination.given:
        return
    keys = {pods[name].secret for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")}
    holder = page.OWN_SECRET if "store" in combination.given else page.OPERATOR_SECRET
    assert keys == {f"{holder}/AWS_ACCESS_KEY_ID", f"{holder}/AWS_SECRET_ACCESS_KEY"}, combination
    assert pods["AWS_REGION"].value, combination
    assert pods["BACKUP_SCHEDULE"].value, combination


def test_keys_that_are_not_known_are_an_error_against_a_cluster() -> None:
    row = next(row for row in page.rows() if row[9] == "keys")
    chosen = next(one for one in page.combinations() if row_of(one) == row)
    with pytest.raises(planton.ManifestError, match="there are no credentials"):
        render(planton.loads(page.operator_manifest("none") + chosen.database()), existing=Existing(from_cluster=True))
