"""`planton env` tells who decides each variable: what a database overrules, where a Secret's content comes from."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import planton
from planton.cli import main
from planton.translate.existing import Existing, ExistingDatabase, ExistingSecret
from planton.translate.secret_values import Credentials
from tests.cli.fake import FakeCluster
from tests.cli.support import on_terminal
from tests.manifests import ACCESS_KEY, SECRET_KEY, database

OPERATOR_SECRET = "r2-postgres-backup-credentials-libsodium"
OWN_SECRET = "db-orders-backup-credentials"

OPERATOR = f"""
apiVersion: kubernetes.project-planton.org/v1
kind: PostgresOperatorKubernetes
metadata: {{name: postgres-operator}}
spec:
  backup_config:
    storage:
      bucket_name: postgres-backups
      aws_s3: {{region: eu-central-1}}
      server_side_encryption: {{kms_key: {{key_id: alias/backups}}}}
    credentials:
      access_key_id: {{value: {ACCESS_KEY}}}
      secret_access_key: {{secret: {{namespace: storage, name: bucket, key: secret}}}}
    encryption: {{libsodium: {{key: {{file: key.hex}}, transform: hex}}}}
    backup_schedule: "0 2 * * *"
    retention: {{backups_and_days: 7}}
---
"""
OWN = f"""
storage: {{bucket_name: own-bucket, s3_compatible: {{endpoint: "https://minio.example.com:9000"}}}}
credentials:
  access_key_id: {{environment_variable: OWN_ID}}
  secret_access_key: {{value: {SECRET_KEY}}}
retention: {{backups_and_days: 3}}
"""


def write(tmp_path: Path, backup: str | None) -> str:
    path = tmp_path / "manifests.yaml"
    path.write_text(OPERATOR + database("orders", backup=backup))
    return str(path)


def shown(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> dict[str, Any]:
    assert main(["env", "orders", *arguments, "-o", "json"]) == code
    captured = capsys.readouterr()
    assert ACCESS_KEY not in captured.out + captured.err
    assert SECRET_KEY not in captured.out + captured.err
    data: dict[str, Any] = json.loads(captured.out)
    return data


def variables(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> dict[str, dict[str, Any]]:
    return {one["name"]: one for one in shown(capsys, *arguments, code=code)["variables"]}


def test_inherited_references_tell_where_their_content_comes_from(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = write(tmp_path, None)
    assert shown(capsys, "-f", path)["encryption"] == "by wal-g with a key of libsodium, as the operator says"
    found = variables(capsys, "-f", path)
    assert {one["source"] for one in found.values()} == {"operator", "default"}
    places = {name: found[name]["origin"] for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")}
    assert places == {"AWS_ACCESS_KEY_ID": None, "AWS_SECRET_ACCESS_KEY": "key secret of Secret storage/bucket"}
    assert found["WALG_LIBSODIUM_KEY"]["origin"] == "file key.hex"
    assert found["WALG_LIBSODIUM_KEY"]["secret"] == f"{OPERATOR_SECRET}/WALG_LIBSODIUM_KEY"
    assert found["BACKUP_NUM_TO_RETAIN"] == {
        "name": "BACKUP_NUM_TO_RETAIN",
        "value": "7",
        "resolved": "7",
        "source": "operator",
        "secret": None,
        "origin": None,
        "overrules": None,
        "switched_off": False,
    }


def test_what_a_store_of_its_own_overrules(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = write(tmp_path, OWN + "encryption: {none: {}}")
    assert shown(capsys, "-f", path)["encryption"] == "none by wal-g"
    found = variables(capsys, "-f", path)
    assert found["AWS_ACCESS_KEY_ID"]["secret"] == f"{OWN_SECRET}/AWS_ACCESS_KEY_ID"
    assert found["AWS_ACCESS_KEY_ID"]["origin"] == "environment variable OWN_ID"
    assert found["AWS_ACCESS_KEY_ID"]["overrules"] == f"secret {OPERATOR_SECRET}/AWS_ACCESS_KEY_ID"
    assert found["AWS_REGION"]["overrules"] == "eu-central-1"
    assert found["AWS_ENDPOINT"]["overrules"] is None
    assert found["BACKUP_NUM_TO_RETAIN"]["overrules"] == "7"
    switched_off = {name for name, one in found.items() if one["switched_off"]}
    assert switched_off == {
        "WALG_S3_SSE",
        "WALG_S3_SSE_KMS_ID",
        "WALG_LIBSODIUM_KEY",
        "WALG_LIBSODIUM_KEY_TRANSFORM",
    }


def test_the_table_says_it_too(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["env", "orders", "-f", write(tmp_path, OWN)]) == 0
    lines = capsys.readouterr().out.splitlines()
    (headings,) = [line for line in lines if line.startswith("NAME")]
    assert headings.split() == ["NAME", "VALUE", "RESOLVES", "TO", "SOURCE", "OVERRULES"]
    (kms,) = [line for line in lines if line.startswith("WALG_S3_SSE_KMS_ID")]
    assert '"" (switched off by the database)' in kms
    assert kms.endswith("alias/backups")
    key = lines.index(next(line for line in lines if line.startswith("AWS_ACCESS_KEY_ID")))
    assert lines[key + 1].strip() == "from environment variable OWN_ID"
    assert "Encryption: by wal-g with a key of libsodium, as the operator says" in lines


def test_a_narrow_terminal_too(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    terminal = on_terminal(monkeypatch)
    monkeypatch.setenv("NO_COLOR", "1")
    assert main(["env", "orders", "-f", write(tmp_path, OWN)]) == 0
    assert max(map(len, terminal.text.splitlines())) <= 80
    lines = [line.strip() for line in terminal.text.splitlines()]
    assert "not alias/backups" in lines
    assert "OVERRULES" not in terminal.text


def test_what_equals_the_operators_overrules_nothing(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["env", "orders", "-f", write(tmp_path, "retention: {backups_and_days: 7}")]) == 0
    assert "OVERRULES" not in capsys.readouterr().out


def pod_entries(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[dict[str, Any]]:
    """Gives what the operator makes of what `planton env` says."""
    entries = []
    for name, one in variables(capsys, *arguments).items():
        if one["source"] == "default":
            continue
        if one["secret"]:
            holder, key = one["secret"].split("/")
            entries.append({"name": name, "valueFrom": {"secretKeyRef": {"name": holder, "key": key}}})
        else:
            entries.append({"name": name, "value": one["value"]})
    return entries


def test_generations_are_those_that_the_pods_are_told(
    capsys: pytest.CaptureFixture[str], cluster: FakeCluster, tmp_path: Path
) -> None:
    path = write(tmp_path, OWN)
    generations = {"PLANTON_CREDENTIALS_GENERATION": "4", "PLANTON_DATABASE_CREDENTIALS_GENERATION": "2"}
    cluster.live = pod_entries(capsys, "-f", path)
    cluster.live += [{"name": name, "value": value} for name, value in generations.items()]
    own = {"PLANTON_DATABASE_CREDENTIALS_GENERATION": "2"}
    live = ExistingDatabase("orders", "db-orders", "17", own)
    # A Secret that is ahead of what the pods are told is a rotation that has not ended: the pods are as they should be.
    ahead = ExistingSecret(Credentials({"AWS_ACCESS_KEY_ID": ACCESS_KEY}), 5)
    for secrets in ({}, {("postgres-operator", OPERATOR_SECRET): ahead, ("orders", OWN_SECRET): ahead}):
        cluster.existing = Existing(from_cluster=True, databases=(live,), generation=4, secrets=secrets)
        found = variables(capsys, "-f", path, "--live")
        assert {name: found[name]["value"] for name in generations} == generations
        assert found["PLANTON_CREDENTIALS_GENERATION"]["source"] == "operator"
        assert found["PLANTON_DATABASE_CREDENTIALS_GENERATION"]["source"] == "database"
    cluster.live = [entry for entry in cluster.live if entry["name"] not in generations]
    found = variables(capsys, "-f", path, "--live", code=2)
    assert {found[name]["state"] for name in generations} == {"missing"}


def test_from_the_cluster_alone_a_database_with_keys_of_its_own(
    capsys: pytest.CaptureFixture[str], cluster: FakeCluster, tmp_path: Path
) -> None:
    path = write(tmp_path, OWN)
    cluster.live = [*pod_entries(capsys, "-f", path), {"name": "PLANTON_CREDENTIALS_GENERATION", "value": "4"}]
    rendering = planton.render(planton.load(path))
    (resource,) = [one for one in rendering if one["kind"] == "postgresql"]
    env = resource["spec"]["env"]
    assert rendering.platform is not None
    # As it is read back: without what the manifest refers to, with the generation that its Secret has.
    cluster.platform = replace(rendering.platform, credentials=Credentials({}), generation=5)
    cluster.existing = Existing(
        from_cluster=True,
        databases=(
            ExistingDatabase(
                "orders",
                "db-orders",
                "17",
                {one["name"]: one["value"] for one in env if "value" in one},
                references=frozenset(one["name"] for one in env if "valueFrom" in one),
            ),
        ),
        generation=4,
    )
    found = variables(capsys, "--live")
    assert found["AWS_ACCESS_KEY_ID"]["source"] == "database"
    assert found["AWS_ACCESS_KEY_ID"]["secret"] == f"{OWN_SECRET}/AWS_ACCESS_KEY_ID"
    assert found["AWS_ACCESS_KEY_ID"]["overrules"] == f"secret {OPERATOR_SECRET}/AWS_ACCESS_KEY_ID"
    assert found["WALG_LIBSODIUM_KEY"]["origin"] is None
    assert found["https_proxy"]["state"] == "same"
    # The pods have a plain value, or none, where the custom resource refers to a Secret.
    cluster.live = [
        {"name": "AWS_SECRET_ACCESS_KEY", "value": SECRET_KEY} if one["name"] == "AWS_SECRET_ACCESS_KEY" else one
        for one in cluster.live
        if one["name"] != "AWS_ACCESS_KEY_ID"
    ]
    found = variables(capsys, "--live", code=2)
    assert found["AWS_ACCESS_KEY_ID"]["state"] == "missing"
    assert found["AWS_SECRET_ACCESS_KEY"]["state"] == "different"


def test_a_reference_of_somebody_elses_secret_from_the_cluster_alone(
    capsys: pytest.CaptureFixture[str], cluster: FakeCluster, tmp_path: Path
) -> None:
    # Both of a pair: one that is half in the manifest is not looked up without it.
    path = Path(write(tmp_path, None))
    path.write_text(
        path.read_text().replace(f"{{value: {ACCESS_KEY}}}", "{secret: {namespace: storage, name: bucket, key: id}}")
    )
    platform = planton.render(planton.load(path)).platform
    assert platform is not None
    cluster.platform = replace(platform, credentials=Credentials({}))
    cluster.existing = Existing(from_cluster=True, databases=(ExistingDatabase("orders", "db-orders", "17"),))
    cluster.live = []
    found = variables(capsys, "--live", code=2)
    assert found["AWS_SECRET_ACCESS_KEY"]["origin"] == "key secret of Secret storage/bucket"
    assert found["AWS_SECRET_ACCESS_KEY"]["state"] == "missing"
