"""A change of the operator's backup_config reaches the pods of every database: the operator is restarted for it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sandbox import Sandbox
from tests.api import Api, eventually
from tests.e2e.support import DATABASES, OPERATORS_OWN, as_values, container_env, expected, files, planton

pytestmark = [pytest.mark.cluster, pytest.mark.xdist_group("e2e-change")]

NAMES = ("my-database", "production-db", "critical-db", "temporary-db")


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox.start() as started:
        yield started


def wait_for_account(api: Api, account: str) -> None:
    endpoint = f"https://{account}.r2.cloudflarestorage.com"
    for name in NAMES:

        def has_endpoint(name: str = name) -> bool:
            return bool(as_values(container_env(api, name)).get("AWS_ENDPOINT") == endpoint)

        eventually(has_endpoint, f"{endpoint} in the pods of {name}", 120)


def test_another_account_reaches_every_database(sandbox: Sandbox) -> None:
    api = Api(sandbox.kubeconfig)
    # The keys of the two differ, so that those of the second are of another generation.
    further: dict[str, str] = {}
    for operator, account in (("operator-full", "your-account-id"), ("operator-basic", "abc123")):
        done = planton(sandbox, "apply", *files(operator, *DATABASES))
        assert done.returncode == 0, done.stdout + done.stderr
        wait_for_account(api, account)
        for name, values in expected(account).items():
            found = as_values(container_env(api, name))
            assert {key: value for key, value in found.items() if key not in OPERATORS_OWN} == {**values, **further}
        further = {"PLANTON_CREDENTIALS_GENERATION": "1"}
    # The operator's manifest alone is enough: databases follow without being applied again.
    done = planton(sandbox, "apply", *files("operator-full"), "--allow-archive-reuse")
    assert done.returncode == 0, done.stdout + done.stderr
    wait_for_account(api, "your-account-id")
