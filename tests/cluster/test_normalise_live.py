"""What a real API server makes of what it is given, held against the one function that knows it."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from planton.cluster.planning.compare import is_settled
from planton.cluster.planning.normalise import ABSENT
from tests.cluster.conftest import Harness
from tests.cluster.objects import (
    Object,
    cluster_role,
    cluster_role_binding,
    config_map,
    deployment,
    namespace,
    secret,
    service,
)

pytestmark = pytest.mark.cluster

CONTAINER = ("spec", "template", "spec", "containers", 0)
POD = ("spec", "template", "spec")

# What is sent, and what comes back: (name, path, sent, shown).
DEPLOYMENT_CASES: list[tuple[str, tuple[Any, ...], Any, Any]] = [
    ("millicores that are whole", (*CONTAINER, "resources", "limits", "cpu"), "1000m", "1"),
    ("a decimal fraction", (*CONTAINER, "resources", "limits", "cpu"), "0.5", "500m"),
    ("a number for a quantity", (*CONTAINER, "resources", "limits", "cpu"), 2, "2"),
    ("an exponent", (*CONTAINER, "resources", "limits", "memory"), "1e9", "1e9"),
    ("binary units that fit a larger one", (*CONTAINER, "resources", "limits", "memory"), "1024Mi", "1Gi"),
    ("a fraction of a binary unit", (*CONTAINER, "resources", "limits", "memory"), "1.5Gi", "1536Mi"),
    ("bytes", (*CONTAINER, "resources", "limits", "memory"), "1073741824", "1073741824"),
    ("an empty value of a variable", (*CONTAINER, "env", 1, "value"), "", ABSENT),
    ("false where false is the default", (*CONTAINER, "volumeMounts", 0, "readOnly"), False, ABSENT),
    ("false behind a pointer", (*CONTAINER, "securityContext", "allowPrivilegeEscalation"), False, False),
    (
        "a reference to a field",
        (*CONTAINER, "env", 1),
        {"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
        {"name": "IP", "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": "status.podIP"}}},
    ),
    (
        "a reference to a Secret",
        (*CONTAINER, "env", 1),
        {"name": "KEY", "valueFrom": {"secretKeyRef": {"name": "keys", "key": "a"}}},
        {"name": "KEY", "valueFrom": {"secretKeyRef": {"name": "keys", "key": "a"}}},
    ),
    ("an empty directory", (*POD, "volumes", 0, "emptyDir"), {}, {}),
    ("a size limit", (*POD, "volumes", 0, "emptyDir"), {"sizeLimit": "1024Mi"}, {"sizeLimit": "1Gi"}),
    ("an empty text", (*POD, "priorityClassName"), "", ABSENT),
    ("an empty list", (*POD, "tolerations"), [], ABSENT),
    ("an empty map", (*POD, "nodeSelector"), {}, ABSENT),
    ("an empty value in a map of names", ("metadata", "annotations"), {"empty": ""}, {"empty": ""}),
    ("zero behind a pointer", ("spec", "replicas"), 0, 0),
    ("a port as a number", (*CONTAINER, "readinessProbe"), {"tcpSocket": {"port": 8080}}, None),
    ("a port as a name", (*CONTAINER, "readinessProbe"), {"tcpSocket": {"port": "http"}}, None),
    ("arguments", (*CONTAINER, "args"), ["a", "", "b"], ["a", "", "b"]),
    ("a toleration without defaults", (*POD, "tolerations"), [{"key": "a", "operator": "Exists"}], None),
]


def put(obj: Object, path: tuple[Any, ...], value: Any) -> Object:
    changed = copy.deepcopy(obj)
    place: Any = changed
    for part in path[:-1]:
        place = place[part]
    place[path[-1]] = value
    return changed


def at(obj: Object, path: tuple[Any, ...]) -> Any:
    place: Any = obj
    for part in path:
        if isinstance(place, dict) and part not in place:
            return ABSENT
        place = place[part]
    return place


@pytest.mark.parametrize(
    ("path", "sent", "shown"), [case[1:] for case in DEPLOYMENT_CASES], ids=[case[0] for case in DEPLOYMENT_CASES]
)
def test_deployments(harness: Harness, space: str, path: tuple[Any, ...], sent: Any, shown: Any) -> None:
    desired = put(deployment(space), path, sent)
    harness.apply([namespace(space), desired])
    live = harness.get(desired)
    if shown is not None:
        found = at(live, path)
        assert found == shown or found is shown
    # Known by the local comparison alone, and no difference to the plan.
    assert is_settled(desired, live)
    assert not harness.plan([namespace(space), desired]).changed


def test_config_maps_and_secrets(harness: Harness, space: str) -> None:
    settings = config_map(space, empty="", text="a\nb ", number="007")
    keys = secret(space, one="value", empty="")
    wrapped = copy.deepcopy(keys)
    wrapped["data"]["one"] = "dmFs\ndWU="
    harness.apply([namespace(space), settings, wrapped])
    assert harness.get(settings)["data"] == {"empty": "", "text": "a\nb ", "number": "007"}
    assert harness.get(keys)["data"] == {"one": "dmFsdWU=", "empty": ""}
    for desired in (settings, keys, wrapped):
        assert is_settled(desired, harness.get(desired))
    for desired in (secret(space, one="Value", empty=""), config_map(space, empty="", text="a\nb", number="007")):
        assert not is_settled(desired, harness.get(desired))


def test_services(harness: Harness, space: str) -> None:
    plain = service(space)
    plain["spec"]["ports"] = [
        {"name": "http", "port": 80},
        {"name": "udp", "port": 53, "protocol": "UDP", "targetPort": "dns"},
    ]
    balanced = service(space, "outside")
    balanced["spec"] |= {"type": "LoadBalancer", "loadBalancerSourceRanges": ["10.0.0.0/8", "192.0.2.0/24"]}
    objects = [namespace(space), plain, balanced]
    harness.apply(objects)
    live = harness.get(plain)
    assert live["spec"]["ports"][0] == {"name": "http", "port": 80, "protocol": "TCP", "targetPort": 80}
    for desired in (plain, balanced):
        assert is_settled(desired, harness.get(desired))
    # Two ports that only a default tells apart: the server is asked, and says the same.
    plain["spec"]["ports"][1]["port"] = 80
    harness.apply(objects)
    assert not is_settled(plain, harness.get(plain))
    assert not harness.plan(objects).changed
    turned = copy.deepcopy(balanced)
    turned["spec"]["loadBalancerSourceRanges"].reverse()
    assert not is_settled(turned, harness.get(turned))


def test_bindings(harness: Harness, space: str) -> None:
    binding = cluster_role_binding(space, space)
    binding["subjects"].append({"kind": "Group", "name": "people"})
    harness.apply([binding])
    live = harness.get(binding)
    assert live["subjects"][1]["apiGroup"] == "rbac.authorization.k8s.io"
    assert is_settled(binding, live)
    fewer = binding | {"subjects": binding["subjects"][:1]}
    assert not is_settled(fewer, live)


def test_roles(harness: Harness, space: str) -> None:
    role = cluster_role(space)
    role["rules"].append({"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["get"], "resourceNames": []})
    harness.apply([role])
    assert is_settled(role, harness.get(role))
    first, second = role["rules"]
    more = {**first, "verbs": [*first["verbs"], "watch"]}
    for rules in ([first], [second, first], [more, second], [{**first, "resourceNames": ["one"]}, second]):
        assert not is_settled(role | {"rules": rules}, harness.get(role))


@pytest.mark.usefixtures("served")
def test_custom_resources_come_back_as_they_were_sent(harness: Harness, space: str) -> None:
    database = {
        "apiVersion": "acid.zalan.do/v1",
        "kind": "postgresql",
        "metadata": {"name": "db-sample", "namespace": space, "labels": {"planton.ai/resource": "true"}},
        "spec": {
            "numberOfInstances": 0,
            "resources": {"limits": {"cpu": "1000m", "memory": "1024Mi"}, "requests": {"cpu": "0.5"}},
            "env": [{"name": "WALG_S3_PREFIX", "value": ""}, {"name": "B", "value": "1"}],
            "postgresql": {"parameters": {"max_connections": "200"}},
            "podAnnotations": {},
        },
    }
    harness.apply([namespace(space), database])
    live = harness.get(database)
    assert live["spec"] == database["spec"]
    assert is_settled(database, live)
    for path, value in (
        (("spec", "resources", "limits", "cpu"), "1"),
        (("spec", "env"), [{"name": "WALG_S3_PREFIX"}, {"name": "B", "value": "1"}]),
        (("spec", "env"), [{"name": "B", "value": "1"}, {"name": "WALG_S3_PREFIX", "value": ""}]),
        (("spec", "numberOfInstances"), "0"),
        (("spec", "postgresql", "parameters"), {}),
    ):
        other = put(database, path, value)
        assert not is_settled(other, live), path
        assert harness.plan([namespace(space), other]).changed


def test_every_difference_in_a_field_is_seen(harness: Harness, space: str) -> None:
    """Changes each scalar of a Deployment, and takes each away: none may pass for settled."""
    desired = deployment(space)
    harness.apply([namespace(space), desired])
    live = harness.get(desired)
    leaves = list(_leaves(desired["spec"], ("spec",)))
    assert len(leaves) > 25
    for path, value in leaves:
        other: Any = f"1{value}" if isinstance(value, str) else not value if isinstance(value, bool) else value + 1
        assert not is_settled(put(desired, path, other), live), path
        gone = copy.deepcopy(desired)
        place: Any = gone
        for part in path[:-1]:
            place = place[part]
        del place[path[-1]]
        assert not is_settled(gone, live), path


def _leaves(value: Any, path: tuple[Any, ...]) -> Any:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else None
    if items is None:
        yield path, value
        return
    for key, inner in items:
        yield from _leaves(inner, (*path, key))
