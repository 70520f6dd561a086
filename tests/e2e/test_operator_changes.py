"""A change of the operator's backup_config reaches the pods of every database: the operator is restarted for it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sandbox import Sandbox
from tests.api import Api, eventually
from tests.e2e.support import DATABASES, as_values, container_env, files, planton

pytestmark = [pytest.mark.cluster, pytest.mark.xdist_group("e2e-change")]

NAMES = ("my-database", "production-db", "critical-db", "temporary-db")


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox.start() as started:
        yield started


def endpoint_is(api: Api, name: str, endpoint: str) -> bool:
    return bool(as_values(container_env(api, name)).get("AWS_ENDPOINT") == endpoint)


def test_another_account_reaches_every_database(sandbox: Sandbox) -> None:
    api = Api(sandbox.kubeconfig)
    for operator, account in (("operator-full", "your-account-id"), ("operator-basic", "abc123")):
        done = planton(sandbox, "apply", *files(operator, *DATABASES))
        assert done.returncode == 0, done.stdout + done.stderr
        for name in NAMES:
            endpoint = f"https://{account}.r2.cloudflarestorage.com"
            eventually(
                lambda name=name, endpoint=endpoint: endpoint_is(api, name, endpoint), f"{endpoint} in {name}", 120
            )  # type: ignore[misc]
    # The operator's manifest alone is enough: databases follow without being applied again.
    done = planton(sandbox, "apply", *files("operator-full"))
    assert done.returncode == 0, done.stdout + done.stderr
    for name in NAMES:
        endpoint = "https://your-account-id.r2.cloudflarestorage.com"
        eventually(lambda name=name, endpoint=endpoint: endpoint_is(api, name, endpoint), f"{endpoint} in {name}", 120)  # type: ignore[misc]
