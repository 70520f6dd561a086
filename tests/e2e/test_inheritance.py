"""A sample of docs/inheritance.md against the real operator: row and operator give the environment of the pods."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

import planton
from planton.cli import main
from planton.cluster import Cluster, connect
from sandbox import Sandbox
from sandbox._api import Api
from tests.cluster.conftest import SETTINGS
from tests.e2e.support import OPERATORS_OWN, SECRET, as_values
from tests.manifests import database
from tests.translate.inheritance.page import Combination, operator_manifest, row_of

pytestmark = [pytest.mark.cluster, pytest.mark.xdist_group("e2e-inheritance")]

# What the operator of the page gives to every database, by hand from messages.md and runtime.md.
OFF: dict[str, Any] = {
    "AWS_ACCESS_KEY_ID": (SECRET, "AWS_ACCESS_KEY_ID"),
    "AWS_SECRET_ACCESS_KEY": (SECRET, "AWS_SECRET_ACCESS_KEY"),
    "AWS_ENDPOINT": "https://account.r2.cloudflarestorage.com",
    "AWS_REGION": "auto",
    "AWS_S3_FORCE_PATH_STYLE": "true",
    "BACKUP_SCHEDULE": "0 2 * * *",
    "CLONE_USE_WALG_RESTORE": "true",
    "USE_WALG_BACKUP": "false",
    "USE_WALG_RESTORE": "true",
    "WALG_DISABLE_S3_SSE": "true",
}
ON = {**OFF, "USE_WALG_BACKUP": "true", "WALG_S3_PREFIX": "s3://postgres-backups/backups/$(SCOPE)/$(PGVERSION)"}
OPERATORS: dict[str, dict[str, Any]] = {"none": {}, "off": OFF, "on": ON}

# No database waits for another one. How long it takes is how many requests the operator sends: ten a second at most, a
# dozen for each database.
FAST = SETTINGS + '  workers: "16"\n'

# backup, restore, clone, and what is given besides.
SAMPLE: dict[str, list[tuple[str, str, str, str]]] = {
    "none": [
        ("-", "-", "-", ""),
        ("-", "off", "on", "prefix schedule store"),
        ("off", "off", "off", "schedule"),
        ("on", "-", "-", "store"),
        ("on", "off", "on", "prefix schedule store"),
    ],
    "off": [
        ("-", "-", "-", ""),
        ("-", "on", "-", "prefix"),
        ("off", "-", "off", "store"),
        ("on", "-", "-", ""),
        ("on", "off", "-", "schedule"),
        ("on", "-", "-", "prefix"),
        ("on", "-", "on", "schedule store"),
        ("on", "on", "on", "prefix schedule store"),
    ],
    "on": [
        ("-", "-", "-", ""),
        ("-", "off", "-", ""),
        ("-", "-", "off", "schedule"),
        ("-", "-", "-", "prefix schedule"),
        ("-", "on", "-", "store"),
        ("-", "-", "-", "prefix store"),
        ("off", "-", "-", ""),
        ("off", "off", "off", "prefix schedule store"),
        ("on", "-", "-", ""),
        ("on", "-", "-", "prefix schedule"),
        ("on", "on", "on", "prefix schedule store"),
    ],
}

OTHERS = """
encryption: {libsodium: {key: {environment_variable: OWN_KEY}, transform: hex}}
retention: {backups_and_days: 3}
tuning: {compression_method: lzma, network_rate_limit: 100Mi, prevent_wal_overwrite: false}
"""
OTHERS_NAME = "on-others"
OTHERS_EXPECTED: dict[str, Any] = {
    **ON,
    "BACKUP_NUM_TO_RETAIN": "3",
    "WALG_BACKUP_COMPRESSION_METHOD": "lzma",
    "WALG_COMPRESSION_METHOD": "lzma",
    "WALG_LIBSODIUM_KEY": (f"db-{OTHERS_NAME}-backup-libsodium", "WALG_LIBSODIUM_KEY"),
    "WALG_LIBSODIUM_KEY_TRANSFORM": "hex",
    "WALG_NETWORK_RATE_LIMIT": "104857600",
    "WALG_PGP_KEY": "",
    "WALG_PGP_KEY_PASSPHRASE": "",
    "WALG_PREVENT_WAL_OVERWRITE": "false",
}


def place(kind: str) -> str:
    """Puts the databases of one kind into one namespace, which spares the operator some requests."""
    return f"labels: {{kubernetes.project-planton.org/namespace: sample-{kind}}}"


def sample(kind: str) -> dict[str, Combination]:
    return {
        f"{kind}-{number}": Combination(kind, (backup, restore, clone), frozenset(given.split()))
        for number, (backup, restore, clone, given) in enumerate(SAMPLE[kind])
    }


def expected() -> dict[str, dict[str, Any]]:
    wanted = {
        name: {**OPERATORS[kind], **combination.expected(row_of(combination), name)}
        for kind in SAMPLE
        for name, combination in sample(kind).items()
    }
    return {**wanted, OTHERS_NAME: OTHERS_EXPECTED}


@pytest.fixture(scope="module", autouse=True)
def _keys() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OWN_ID", "SENTINELOWNKEY0003")
        patch.setenv("OWN_SECRET", "sentinel/own+secret=0004")
        patch.setenv("OWN_KEY", "0123456789abcdef" * 4)
        yield


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox.start() as started:
        yield started


@pytest.fixture(scope="module")
def cluster(sandbox: Sandbox) -> Cluster:
    return connect(sandbox.kubeconfig)


@pytest.fixture(scope="module")
def environments(sandbox: Sandbox, cluster: Cluster) -> dict[str, list[dict[str, Any]]]:
    """Applies one operator after the other, each with its databases, and reads what the operator made of them."""
    found: dict[str, list[dict[str, Any]]] = {}
    api = Api.from_kubeconfig(sandbox.kubeconfig)
    names: list[str] = []
    space = ""
    for kind in SAMPLE:
        # The operator would spend its time on what was read already.
        for name in names:
            api.request("DELETE", f"/apis/acid.zalan.do/v1/namespaces/{space}/postgresqls/db-{name}")
        space = f"sample-{kind}"
        text = operator_manifest(kind, spec=FAST)
        text += "".join(combination.database(name, place(kind)) for name, combination in sample(kind).items())
        names = list(sample(kind))
        if kind == "on":
            text += database(OTHERS_NAME, backup=OTHERS, metadata=place(kind))
            names.append(OTHERS_NAME)
        cluster.apply(planton.loads(text), timeout=60.0)
        end = time.monotonic() + 90
        while missing := [name for name in names if name not in found]:
            assert time.monotonic() < end, f"no StatefulSet for {missing}"
            for name in missing:
                if (environment := cluster.live_environment(space, f"db-{name}")) is not None:
                    found[name] = environment
            time.sleep(0.2)
    return found


def test_the_sample_is_large_and_spread() -> None:
    combinations = [one for kind in SAMPLE for one in sample(kind).values()]
    assert len(combinations) == len(set(combinations)) == 24
    rows = {tuple(row_of(one)) for one in combinations}
    assert {row[8] for row in rows} == {"-", "own", "template", "operator's"}
    assert {row[9] for row in rows} == {"", "unused", "bucket"}
    assert {(one.operator, one.switches[0]) for one in combinations} == {
        (operator, backup) for operator in SAMPLE for backup in ("-", "off", "on")
    }


@pytest.mark.parametrize("name", list(expected()))
def test_environment_of_the_pods(environments: dict[str, list[dict[str, Any]]], name: str) -> None:
    env = environments[name]
    names = [entry["name"].lower() for entry in env]
    assert len(names) == len(set(names))
    values = {key: value for key, value in as_values(env).items() if key not in OPERATORS_OWN}
    assert values == expected()[name]


@pytest.mark.parametrize("name", [*sample("on"), OTHERS_NAME])
def test_planton_env_agrees(
    sandbox: Sandbox, environments: dict[str, list[dict[str, Any]]], capsys: pytest.CaptureFixture[str], name: str
) -> None:
    arguments = ["env", name, "--live", "--kubeconfig", str(sandbox.kubeconfig), "-o", "json"]
    assert main(arguments) == 0
    out = capsys.readouterr().out
    assert "sentinel" not in out.lower()
    shown = {one["name"]: one for one in json.loads(out)["variables"] if one["source"] != "default"}
    assert {
        name: tuple(one["secret"].split("/")) if one["secret"] else one["value"] for name, one in shown.items()
    } == expected()[name]
    own = set(expected()[name]) - set(ON) | {key for key, value in expected()[name].items() if ON.get(key) != value}
    assert own <= {key for key, one in shown.items() if one["source"] == "database"}
    assert {key for key, one in shown.items() if one["overrules"] is not None} <= set(ON)


@pytest.mark.parametrize("given", ["", "schedule", "prefix", "prefix schedule"])
def test_backups_without_any_keys_are_refused(
    cluster: Cluster, environments: dict[str, list[dict[str, Any]]], given: str
) -> None:
    combination = Combination("none", ("on", "-", "-"), frozenset(given.split()))
    assert row_of(combination)[9] in ("keys", "no keys")
    with pytest.raises(planton.ManifestError, match="there are no credentials"):
        cluster.plan(planton.loads(operator_manifest("none", spec=FAST) + combination.database("keyless")))
