"""The roles that planton prints for itself: what is in them, and what the documents say of them."""

from __future__ import annotations

import re
from itertools import combinations
from pathlib import Path

import pytest

from planton.cli import permissions as verb
from planton.cluster.api.connection import ApiError
from planton.cluster.permissions.review import Need, NoPermissionError, denied_in, told
from planton.translate.operator_roles import operator_roles
from planton.translate.planton_permissions import PERMISSIONS, WORKS, Permission
from planton.translate.planton_roles import operator_grants, permissions_for, planton_roles
from planton.translate.versions import OPERATOR_VERSIONS
from planton.types import PostgresOperatorKubernetes, PostgresOperatorKubernetesSpec
from tests.cluster.objects import Object

DOCUMENT = (Path(__file__).resolve().parents[2] / "docs" / "permissions.md").read_text()
SUBJECT = {"kind": "ServiceAccount", "name": "planton", "namespace": "ci"}


def atoms(rules: list[Object]) -> set[tuple[str, str, str, str]]:
    """Takes rules apart, down to names; no name stands for all."""
    return {
        (group, resource, verb, name)
        for rule in rules
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
        for name in rule.get("resourceNames") or ("",)
    }


def marked(name: str) -> list[str]:
    (text,) = re.findall(rf"<!-- {name} -->\n(.*?)<!-- end of {name} -->", DOCUMENT, re.DOTALL)
    return str(text).splitlines()


def row(one: Permission) -> str:
    group = f".{one.group}" if one.group not in ("", "*") else ""
    names = f" ({', '.join(f'`{name}`' for name in one.names)})" if 0 < len(one.names) < 4 else ""
    names = names or (" (the names of the storage Secret)" if one.names else "")
    resource = "everything" if one.resource == "*" else f"`{one.resource}{group}`"
    return f"| {one.work} | {one.scope} | {resource}{names} | {' '.join(one.verbs)} | {one.reason} |"


def test_the_document_has_every_permission() -> None:
    assert marked("permissions") == [row(one) for one in PERMISSIONS], "\n".join(map(row, PERMISSIONS))


def test_the_document_and_the_help_have_every_work() -> None:
    assert marked("works") == [f"| `{work}` | {text} |" for work, text in WORKS.items()]
    assert tuple(WORKS) == verb._WORKS
    for work, text in WORKS.items():
        assert re.search(rf"^  {work} +{re.escape(text[:20])}", verb._HELP, re.MULTILINE)


@pytest.mark.parametrize("namespaces", [(), ("team-a", "team-b")])
def test_a_role_has_what_its_work_needs_and_nothing_else(namespaces: tuple[str, ...]) -> None:
    works = [work for work in WORKS if not namespaces or work not in ("operator", "prune")]
    for chosen in [one for size in (1, 2) for one in combinations(works, size)]:
        objects = planton_roles(chosen, subject=SUBJECT, namespaces=namespaces)
        wanted = permissions_for(chosen)
        if namespaces:
            wanted = tuple(one for one in wanted if (one.work, one.scope) != ("databases", "cluster"))
        needed = atoms([one.rule for one in wanted])
        if "operator" in chosen:
            needed |= atoms(operator_grants())
        given = atoms([rule for obj in objects for rule in obj.get("rules", ())])
        assert given <= needed
        # What is left out for a name is there for all names.
        assert {one for one in needed - given if (*one[:3], "") not in given} == set()


def test_nothing_of_databases_is_allowed_elsewhere() -> None:
    objects = planton_roles(["databases", "delete"], subject=SUBJECT, namespaces=["team-a"])
    (wide,) = [obj for obj in objects if obj["kind"] == "ClusterRoleBinding"]
    rules = next(
        obj["rules"] for obj in objects if obj["kind"] == "ClusterRole" and obj["metadata"]["name"] == "planton"
    )
    assert wide["roleRef"]["name"] == "planton"
    found = atoms(rules)
    # Besides lists only the operator's own roles are seen, each by its name.
    assert {verb for _, _, verb, name in found if not name} == {"list"}
    assert {name for _, _, verb, name in found if verb == "get"} == {"postgres-operator", "postgres-pod"}
    assert "secrets" not in {resource for _, resource, _, _ in atoms(rules)}
    bound = {obj["metadata"]["namespace"] for obj in objects if obj["kind"] == "RoleBinding"}
    assert bound == {"team-a", "postgres-operator"}


def test_nobody_is_bound_without_a_name() -> None:
    assert {obj["kind"] for obj in planton_roles(["read"])} == {"ClusterRole", "Role"}


@pytest.mark.parametrize("version", OPERATOR_VERSIONS)
@pytest.mark.parametrize("use_configmaps", [True, False])
def test_who_applies_the_operator_holds_what_it_gets(version: str, use_configmaps: bool) -> None:
    message = PostgresOperatorKubernetes(spec=PostgresOperatorKubernetesSpec(operator_version=version))
    roles = [
        obj["rules"] for obj in operator_roles(message, use_configmaps=use_configmaps) if obj["kind"] == "ClusterRole"
    ]
    assert len(roles) == 2
    held = atoms([rule for obj in planton_roles(["operator"]) for rule in obj.get("rules", ())])
    for rules in roles:
        assert {one for one in atoms(rules) - held if (*one[:3], "") not in held} == set()


def test_only_the_operators_roles_may_be_written() -> None:
    """Whoever may write any role, or `escalate`, may do anything."""
    for name, kind in ((work, obj) for work in WORKS for obj in planton_roles([work])):
        for _, resource, action, named in atoms(kind.get("rules", [])):
            assert action not in ("escalate", "impersonate", "*"), name
            if resource in ("clusterroles", "clusterrolebindings", "roles") and action not in ("list", "get"):
                assert named in ("postgres-operator", "postgres-pod"), name


REFUSAL = (
    'secrets "keys" is forbidden: User "system:serviceaccount:ci:a \\"b" cannot patch resource "secrets" in API group '
    '"" in the namespace "team-a"'
)


@pytest.mark.parametrize(
    ("text", "need"),
    [
        (REFUSAL, Need("team-a", "", "secrets", "patch", "keys")),
        (
            'pods "p" is forbidden: User "u" cannot create resource "pods/exec" in API group "" in the namespace "n"',
            Need("n", "", "pods/exec", "create", "p"),
        ),
        (
            'postgresqls.acid.zalan.do is forbidden: User "u" cannot list resource "postgresqls" in API group '
            '"acid.zalan.do" at the cluster scope: no role',
            Need("", "acid.zalan.do", "postgresqls", "list"),
        ),
        ('secrets "keys" is forbidden: exceeded quota: none, requested: count/secrets=1', None),
        ('admission webhook "w" denied the request: no', None),
    ],
)
def test_what_a_refusal_says(text: str, need: Need | None) -> None:
    error = ApiError(text, status=403, reason="Forbidden")
    assert denied_in(error) == ((need,) if need else ())
    assert denied_in(ApiError(text, status=409)) == ()


def test_many_refusals_are_told_in_few_lines() -> None:
    same = [Need("a", "", "secrets", "get", f"keys-{number}") for number in range(9)]
    assert (
        told(same)
        == 'cannot get resource "secrets" in API group "" in the namespace "a" (keys-0, keys-1, keys-2 and 6 more)'
    )
    lines = told([Need(f"n{number:03}", "", "secrets", "get") for number in range(300)]).splitlines()
    assert len(lines) == 4
    assert lines[2].endswith('in the namespace "n002"')
    assert lines[-1].strip().startswith("and the same in 297 more (n003, ")


def test_the_remedy_names_the_work() -> None:
    error = NoPermissionError([Need("a", "acid.zalan.do", "postgresqls", "create", "db-a")], phase="plan")
    assert "`planton permissions databases`" in error.remedy
    unknown = NoPermissionError([Need("a", "example.org", "things", "get")], phase="plan")
    assert "permissions" not in unknown.remedy
