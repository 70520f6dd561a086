"""What results hand on: no credential, however they are written down. No server is asked."""

from __future__ import annotations

import copy
import dataclasses
import json
import pickle
import pprint
from typing import Any, cast

import yaml

from planton.cluster import ApplyResult, ClusterIdentity
from planton.cluster.api.server import Server
from planton.cluster.outputs import with_outputs
from planton.cluster.planning.inventory import Inventory
from planton.cluster.status import status_of
from planton.manifest import Manifests, loads
from planton.rendering import Rendering, render
from planton.translate.existing import Existing
from planton.yaml_writer import document
from tests.manifest.support import DATABASE, OPERATOR

# As plain text and as base64 has them, at any place of its three bytes.
KEYS = ("SENTINEL", "AKIDSENT", "U0VOVElO", "QUtJRFNF", "RUNSRVRT", "U0VDUkVU")


def assert_clean(value: Any) -> None:
    forms = [repr(value), str(value), pprint.pformat(value), pickle.dumps(value).decode("latin-1")]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        tree = dataclasses.asdict(value)
        forms += [repr(tree), json.dumps(tree, default=str)]
    for form in forms:
        assert not [key for key in KEYS if key in form]


def manifests() -> Manifests:
    return loads(f"{OPERATOR}---\n{DATABASE}")


def test_results_of_apply() -> None:
    messages = tuple(with_outputs(message) for message in manifests())
    assert messages[0].status.outputs.namespace == "postgres-operator"
    assert_clean(ApplyResult(ClusterIdentity("https://a", "b", "c"), (), messages=messages))


def test_status() -> None:
    class Empty:
        def get(self, key: object) -> None:
            return None

    inventory = cast("Inventory", type("Nothing", (), {"databases": (), "operators": ()}))
    for message in manifests():
        assert_clean(status_of(cast("Server", Empty()), message, inventory, None, Existing()))


def test_parts_of_renderings() -> None:
    rendering = render(manifests())
    assert isinstance(rendering[:], Rendering)
    assert list(rendering[1:3]) == list(rendering)[1:3]
    (secret, *_) = secrets = [one for one in rendering if one["kind"] == "Secret"]
    for part in (rendering, rendering[:], tuple(rendering), list(rendering), secrets, secret, copy.deepcopy(secret)):
        assert not [key for key in KEYS if key in f"{part!r}{part}{pprint.pformat(part)}"]
    # It is what it was for everything else.
    assert secret["data"] == {"AWS_ACCESS_KEY_ID": "QUtJRFNFTlRJTkVM", "AWS_SECRET_ACCESS_KEY": "U0VDUkVUU0VOVElORUw="}
    assert yaml.safe_load(document(secret)) == json.loads(json.dumps(secret)) == secret


def test_an_operator_that_is_scaled_to_0_is_not_ready() -> None:
    class Stopped:
        def get(self, key: object) -> dict[str, Any]:
            return {"metadata": {"name": "postgres-operator", "generation": 1}, "spec": {"replicas": 0}, "status": {}}

        def list(self, *_: object, **__: object) -> list[Any]:
            return []

    inventory = cast("Inventory", type("Nothing", (), {"databases": (), "operators": (), "serves_databases": True}))
    (status,) = [status_of(cast("Server", Stopped()), one, inventory, None, Existing()) for one in loads(OPERATOR)]
    assert not status.ready
    assert "it is scaled to 0: nothing looks after the databases" in status.problems
