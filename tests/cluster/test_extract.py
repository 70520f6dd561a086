"""What of an object is ours is all that managedFields say, and nothing else."""

from __future__ import annotations

import copy

from planton.cluster.planning.compare import is_settled
from planton.cluster.planning.extract import applied
from tests.cluster.objects import Object

OURS = {
    "f:metadata": {
        "f:labels": {"f:ours": {}},
        "f:annotations": {".": {}},
        "f:finalizers": {'v:"ours/stays"': {}},
    },
    "f:spec": {
        "f:replicas": {},
        "f:selector": {},
        "f:template": {
            "f:containers": {
                'k:{"name":"one"}': {
                    ".": {},
                    "f:name": {},
                    "f:command": {},
                    "f:ports": {'k:{"containerPort":80,"protocol":"TCP"}': {".": {}, "f:containerPort": {}}},
                }
            }
        },
    },
}


def live() -> Object:
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": "x",
            "namespace": "n",
            "uid": "u",
            "labels": {"ours": "1", "theirs": "2"},
            "annotations": {"theirs": "2"},
            "finalizers": ["theirs/stays", "ours/stays"],
            "managedFields": [
                {"manager": "planton", "operation": "Update", "fieldsV1": {"f:spec": {"f:paused": {}}}},
                {"manager": "planton", "operation": "Apply", "fieldsV1": OURS},
            ],
        },
        "spec": {
            "paused": True,
            "replicas": 0,
            "selector": {"matchLabels": {"a": "b"}},
            "template": {
                "containers": [
                    {"name": "two", "image": "theirs"},
                    {
                        "name": "one",
                        "image": "theirs",
                        "command": ["a", "b"],
                        "ports": [
                            {"containerPort": 80, "protocol": "UDP"},
                            {"containerPort": 80, "protocol": "TCP", "name": "theirs"},
                        ],
                    },
                ]
            },
        },
        "status": {"replicas": 0},
    }


def test_ours_and_nothing_else() -> None:
    there = live()
    before = copy.deepcopy(there)
    ours = applied(there)
    assert there == before
    assert ours == {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": "x",
            "namespace": "n",
            "labels": {"ours": "1"},
            "annotations": {},
            "finalizers": ["ours/stays"],
        },
        "spec": {
            "replicas": 0,
            "selector": {"matchLabels": {"a": "b"}},
            "template": {
                "containers": [{"name": "one", "command": ["a", "b"], "ports": [{"containerPort": 80}]}],
            },
        },
    }
    # Nothing in it is the live object's own: it can be changed.
    ours["spec"]["selector"]["matchLabels"]["a"] = "c"
    assert there == before


def test_what_we_never_applied_is_not_ours() -> None:
    there = live()
    there["metadata"]["managedFields"].pop()
    assert applied(there) is None


def test_a_field_that_is_gone_is_left_out() -> None:
    there = live()
    del there["spec"]["replicas"]
    ours = applied(there)
    assert ours is not None
    assert "replicas" not in ours["spec"]
    assert not is_settled(ours, there)
