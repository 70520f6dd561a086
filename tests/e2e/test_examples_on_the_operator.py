"""The six shared examples, applied by the command, picked up by the real operator, variable for variable."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox import Sandbox
from tests.api import Api
from tests.e2e.support import (
    DATABASES,
    OPERATORS_OWN,
    SECRET,
    as_values,
    container_env,
    expected,
    files,
    planton,
)

pytestmark = [pytest.mark.cluster, pytest.mark.xdist_group("e2e-examples")]

KEYS = {"operator-full": ("your-access-key", "your-secret-key"), "operator-basic": ("R2_ACCESS_KEY", "R2_SECRET_KEY")}

EXPECTED = expected("your-account-id")


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox.start() as started:
        yield started


@pytest.fixture(scope="module")
def output(sandbox: Sandbox) -> list[str]:
    """Applies the operator and the databases, and keeps everything that was printed."""
    printed = []
    for arguments in (
        ["plan", *files("operator-full", *DATABASES)],
        ["apply", *files("operator-full", *DATABASES)],
        ["status", *files("operator-full", *DATABASES)],
        ["status", "-o", "yaml", *files("operator-full", *DATABASES)],
        ["render", *files("operator-full", *DATABASES)],
    ):
        done = planton(sandbox, *arguments)
        # The store of the examples is not reached, and what is not seen is not fresh.
        assert done.returncode == {"plan": 2, "status": 3}.get(arguments[0], 0), done.stdout + done.stderr
        printed.append(done.stdout + done.stderr)
    return printed


@pytest.fixture(scope="module")
def api(sandbox: Sandbox, output: list[str]) -> Api:
    return Api(sandbox.kubeconfig)


@pytest.mark.parametrize("name", list(EXPECTED))
def test_environment_in_the_pod_template(api: Api, name: str) -> None:
    env = container_env(api, name)
    names = [entry["name"] for entry in env]
    assert len(names) == len(set(names))
    values = as_values(env)
    assert {key: value for key, value in values.items() if key not in OPERATORS_OWN} == EXPECTED[name]
    assert values["SCOPE"] == f"db-{name}"
    assert values["PGVERSION"] == "17"
    # $(SCOPE) and $(PGVERSION) are filled in by the kubelet only from what stands earlier in the list.
    assert max(names.index("SCOPE"), names.index("PGVERSION")) < names.index("WALG_S3_PREFIX")


def test_backups_off_has_an_empty_address(api: Api) -> None:
    (entry,) = [entry for entry in container_env(api, "temporary-db") if entry["name"] == "WALG_S3_PREFIX"]
    assert entry.get("value", "") == ""
    assert "valueFrom" not in entry


def test_keys_are_in_secrets_and_nowhere_else(api: Api, sandbox: Sandbox, output: list[str]) -> None:
    keys = [key for pair in KEYS.values() for key in pair]
    forms = [form for key in keys for form in (key, base64.b64encode(key.encode()).decode())]
    holders = set()
    for item in api.everything():
        text = json.dumps(item)
        if any(form in text for form in forms):
            holders.add((item["kind"], item["metadata"]["namespace"], item["metadata"]["name"]))
    namespaces = {"postgres-operator", *EXPECTED}
    assert holders == {("Secret", namespace, SECRET) for namespace in namespaces}
    logs = [*output, sandbox.operator_log(), sandbox.api_server_log()]
    for form in forms:
        assert not [text for text in logs if form in text]


def test_the_operator_was_refused_nothing(api: Api, sandbox: Sandbox) -> None:
    for name in EXPECTED:
        container_env(api, name)
    refused = []
    for line in Path(sandbox.audit_log).read_text().splitlines():
        event = json.loads(line)
        if "postgres-operator" in event["user"]["username"] and event.get("responseStatus", {}).get("code") == 403:
            refused.append((event["verb"], event["requestURI"]))
    assert refused == []


def test_twice_is_unchanged(api: Api, sandbox: Sandbox) -> None:
    def versions() -> dict[str, str]:
        kinds = {"Secret", "ConfigMap", "Deployment", "Service", "ServiceAccount", "ClusterRole", "Namespace"}
        return {
            f"{item['kind']}/{item['metadata'].get('namespace', '')}/{item['metadata']['name']}": item["metadata"][
                "resourceVersion"
            ]
            for item in api.everything()
            if item["metadata"].get("labels", {}).get("app.kubernetes.io/managed-by") == "planton"
            and item["kind"] in kinds
        }

    for name in EXPECTED:
        container_env(api, name)
    before = versions()
    done = planton(sandbox, "plan", *files("operator-full", *DATABASES))
    assert done.returncode == 0, done.stdout + done.stderr
    done = planton(sandbox, "apply", "-o", "json", *files("operator-full", *DATABASES))
    assert done.returncode == 0, done.stderr
    assert {change["action"] for change in json.loads(done.stdout)["changes"]} == {"unchanged"}
    assert versions() == before


def test_live_environment_agrees_with_the_manifests(api: Api, sandbox: Sandbox) -> None:
    for name in EXPECTED:
        container_env(api, name)
        done = planton(
            sandbox, "env", name, *files("operator-full", *DATABASES), "--live", "--kubeconfig", str(sandbox.kubeconfig)
        )
        assert done.returncode == 0, done.stdout + done.stderr
