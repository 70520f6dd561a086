"""A field that a type does not have is refused by every write of ours, though no validation of fields is asked for.

What a newer planton renders for an older definition of databases is so never left out in silence.
"""

from __future__ import annotations

import copy
import json

import pytest

from planton.cluster.api.resources import key_of
from planton.errors import ClusterError
from tests.cluster.conftest import Installed
from tests.cluster.objects import Object, config_map, deployment, foreign_database, namespace, secret

pytestmark = pytest.mark.cluster

WRONG = "nonsense"


@pytest.mark.parametrize("is_there", [False, True], ids=["new", "changed"])
@pytest.mark.parametrize(
    ("make", "path"),
    [
        (secret, ()),
        (config_map, ("metadata",)),
        (deployment, ("spec", "template", "spec")),
        (foreign_database, ()),
        (foreign_database, ("spec",)),
        (foreign_database, ("spec", "postgresql")),
    ],
    ids=lambda one: one.__name__ if callable(one) else ".".join(one) or "whole",
)
def test_a_field_that_no_type_has_is_refused(
    installed: Installed, name: str, make: object, path: tuple[str, ...], is_there: bool
) -> None:
    assert callable(make)
    harness = installed.harness
    good: Object = make(name)
    harness.apply([namespace(name)])
    if is_there:
        harness.server.apply(key_of(good), good)
    bad = part = copy.deepcopy(good)
    for step in path:
        part = part[step]
    part[WRONG] = {"a": "sentinel-value"}
    key, before = key_of(good), harness.find(good)
    for is_dry in (True, False):
        with pytest.raises(
            ClusterError, match=rf"\.{'.'.join((*path, WRONG))}: field not declared in schema"
        ) as caught:
            harness.server.apply(key, bad, dry_run=is_dry)
        assert key.subject in str(caught.value)
        assert "sentinel-value" not in str(caught.value)
        # A definition is mended by the operator, and nothing but an upgrade mends a server.
        remedy = "apply the operator's manifest, and wait" if make is foreign_database else f"{good['kind']} of "
        assert remedy in caught.value.remedy
        assert "run the same command again" in caught.value.remedy
    after = harness.find(good)
    assert (after is not None) == (before is not None) == is_there
    assert WRONG not in json.dumps(after)
    # What is wrong with the object stays so: it is not sent again and again, although the server says 500.
    lines = map(json.loads, installed.sandbox.audit_log.read_text().splitlines())
    asked = [one for one in lines if one["verb"] == "patch" and one["objectRef"].get("namespace") == name]
    refused = [one for one in asked if one["responseStatus"]["code"] >= 400 and one["stage"] == "ResponseComplete"]
    assert len(refused) == 2
    if is_there:
        harness.api.request("DELETE", key.path)


def test_a_value_that_the_operator_does_not_know_yet_is_refused(installed: Installed, name: str) -> None:
    """As a version of PostgreSQL that only the next operator has: the definition is of the one that runs."""
    harness = installed.harness
    harness.apply([namespace(name)])
    newer = foreign_database(name)
    newer["spec"]["postgresql"]["version"] = "99"
    for is_dry in (True, False):
        with pytest.raises(ClusterError, match="Unsupported value") as caught:
            harness.server.apply(key_of(newer), newer, dry_run=is_dry)
        assert "apply the operator's manifest alone, and wait until it runs" in caught.value.remedy
    assert harness.find(newer) is None
