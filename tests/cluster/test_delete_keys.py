"""Keys with which backups are encrypted stay, whatever is deleted: without them the archives that stay are lost."""

from __future__ import annotations

import base64

import pytest

import planton
from planton.cluster import DeleteOptions
from planton.cluster.api.resources import SECRET, key_of
from planton.cluster.deleting.deletion import plan_deletion
from planton.cluster.planning.admission import operator_of
from planton.cluster.planning.inventory import read_inventory
from planton.manifest import prepare
from planton.translate.names import KIND_LABEL, NAME_LABEL
from tests.cluster.conftest import Harness
from tests.cluster.objects import Object, namespace, secret
from tests.manifests import database, operator

pytestmark = pytest.mark.cluster

STORAGE = "r2-postgres-backup-credentials-libsodium"


def holding(space: str, key: str) -> Object:
    """The operator's storage Secret, or a copy of it: both have the operator's labels."""
    made = secret(space, STORAGE, AWS_ACCESS_KEY_ID=encoded("id"), WALG_LIBSODIUM_KEY=encoded(key))
    made["metadata"]["labels"] = {
        **(made["metadata"].get("labels") or {}),
        KIND_LABEL: "PostgresOperatorKubernetes",
        NAME_LABEL: "postgres-operator",
    }
    return made


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


@pytest.mark.usefixtures("served")
def test_the_last_holder_of_a_key_stays(harness: Harness, space: str) -> None:
    home, same, other = f"{space}-home", f"{space}-same", f"{space}-other"
    objects = [holding(home, "one"), holding(same, "one"), holding(other, "two")]
    harness.apply([*map(namespace, (home, same, other)), *objects])
    text = operator(metadata=f"labels:\n  kubernetes.project-planton.org/namespace: {home}")

    def said(of: str, options: DeleteOptions) -> dict[str, tuple[str, str]]:
        messages = prepare(planton.loads(of))
        inventory = read_inventory(harness.server, set_operator=operator_of(messages))
        deletion = plan_deletion(harness.server, messages, inventory, options)
        return {
            step.key.namespace: (step.change.action, step.change.reason)
            for step in deletion.leftovers
            if step.key.resource is SECRET
        }

    options = DeleteOptions(operator=True, storage_secret=True)
    stays = (
        "skipped",
        "holds the key with which backups are encrypted; stays, and is deleted by hand when none is needed",
    )
    assert said(text, options) == {home: stays, same: ("deleted", ""), other: stays}
    # The operator's own is gone: any copy may be the last.
    harness.api.request("DELETE", key_of(objects[0]).path)
    assert said(text, options) == {same: stays, other: stays}
    # Likewise by the name of a database that is gone, where no operator is left to say what it has.
    lost = database("a", metadata=f"labels:\n  kubernetes.project-planton.org/namespace: {same}")
    assert said(lost, DeleteOptions(databases=("a",), storage_secret=True)) == {same: stays}
