"""Roles for planton itself, made from the permissions that it needs: objects that an administrator applies once.

Who creates a role must hold what is in it (Kubernetes v1.36, pkg/registry/rbac/clusterrole/policybased/storage.go), so
who applies the operator holds the rights of the operator and of its pods. The verbs `escalate` and `bind` would do as
well, and be more: with them the operator's account can be given anything.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence

from planton.translate.contract import KubernetesObject
from planton.translate.names import OPERATOR
from planton.translate.operator_roles import operator_rules, pod_rules
from planton.translate.planton_permissions import PERMISSIONS, RBAC, Permission, Scope, Work
from planton.translate.versions import OPERATOR_VERSIONS
from planton.types import PostgresOperatorKubernetes, PostgresOperatorKubernetesSpec

NAME = "planton"
"""What the names of the roles begin with, unless another is given."""
ROLES_LABEL = "planton.ai/roles"
"""Label of all that is printed together; its value is that name."""

_Atoms = dict[tuple[str, str], dict[str, set[str]]]


def permissions_for(works: Collection[Work]) -> tuple[Permission, ...]:
    """Gives the permissions that some works need.

    Args:
        works: The works.

    Returns:
        Theirs, and those of `read`, which all need.
    """
    wanted = {"read", *works}
    return tuple(one for one in PERMISSIONS if one.work in wanted)


def planton_roles(
    works: Collection[Work],
    *,
    subject: Mapping[str, str] | None = None,
    operator_namespace: str = OPERATOR,
    namespaces: Sequence[str] = (),
    name: str = NAME,
) -> list[KubernetesObject]:
    """Makes the roles, and what binds them.

    Args:
        works: What the account shall be able to do.
        subject: Who gets them, as an entry of `subjects` in a binding; None binds them to nobody.
        operator_namespace: Namespace of the operator.
        namespaces: Namespaces of databases in which it may work; empty for all, those to come too.
        name: What the names of the roles begin with.

    Returns:
        Roles and bindings, in the order in which they are applied.
    """
    placed: dict[Scope, list[KubernetesObject]] = defaultdict(list)
    for one in permissions_for(works):
        # A namespace that others make is left as it is; to write to it would be to change what pods in it may do.
        if not (namespaces and one.scope == "cluster" and one.work == "databases"):
            placed[_where(one, works)].append(one.rule)
    if "operator" in works:
        placed["cluster"] += operator_grants()
    if not namespaces:
        placed["cluster"] += placed.pop("databases", [])
    placed["operator"] = _without(placed["operator"], placed["cluster"])
    objects = [_role("ClusterRole", name, "", _merged(placed["cluster"]))]
    bindings = [_binding(name, "", "ClusterRole", name, subject)]
    if placed["operator"]:
        objects.append(_role("Role", name, operator_namespace, _merged(placed["operator"])))
        bindings.append(_binding(name, operator_namespace, "Role", name, subject))
    if placed["databases"]:
        inside = f"{name}-databases"
        objects.append(_role("ClusterRole", inside, "", _merged(placed["databases"]), name))
        bindings += [_binding(inside, space, "ClusterRole", inside, subject, name) for space in namespaces]
    return objects + (bindings if subject is not None else [])


def _without(rules: Iterable[KubernetesObject], wide: Iterable[KubernetesObject]) -> list[KubernetesObject]:
    """Leaves out what holds everywhere already."""
    covered = {
        (group, resource, verb)
        for rule in wide
        if not rule.get("resourceNames")
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }
    left = []
    for rule in rules:
        (group,), (resource,) = rule["apiGroups"], rule["resources"]
        verbs = [verb for verb in rule["verbs"] if (group, resource, verb) not in covered]
        if verbs:
            left.append({**rule, "verbs": verbs})
    return left


def _where(one: Permission, works: Collection[Work]) -> Scope:
    """Tells in which role a permission stands."""
    # The operator's namespace is not there before it, and its keys go to every namespace with a database.
    is_wide = one.work == "operator" or (one.scope == "operator" and "operator" in works)
    return "cluster" if is_wide else one.scope


def operator_grants() -> list[KubernetesObject]:
    """Gives the rights of the operator and of its pods, for every version that planton installs.

    Returns:
        Rules: who creates their roles must hold them. Of settings that need more (`storage_resize_mode`,
        `enable_postgres_team_crd`) that is not in it.
    """
    rules: list[KubernetesObject] = []
    for version in OPERATOR_VERSIONS:
        message = PostgresOperatorKubernetes(spec=PostgresOperatorKubernetesSpec(operator_version=version))
        for use_configmaps in (True, False):
            rules += operator_rules(message, use_configmaps) + pod_rules(use_configmaps)
    return rules


def _merged(rules: Iterable[KubernetesObject]) -> list[KubernetesObject]:
    """Says the same in few rules: verbs by resource first, then resources with the same verbs."""
    everything: _Atoms = defaultdict(lambda: defaultdict(set))
    for rule in rules:
        for group in rule["apiGroups"]:
            for resource in rule["resources"]:
                for verb in rule["verbs"]:
                    # No name stands for all of them.
                    everything[group, resource][verb] |= set(rule.get("resourceNames") or ("",))
    grouped: dict[tuple[str, tuple[str, ...], tuple[str, ...]], list[str]] = defaultdict(list)
    for (group, resource), verbs in sorted(everything.items()):
        by_names: dict[tuple[str, ...], list[str]] = defaultdict(list)
        for verb, names in sorted(verbs.items()):
            by_names[() if "" in names else tuple(sorted(names))].append(verb)
        for names_of, found in by_names.items():
            grouped[group, tuple(found), names_of].append(resource)
    merged = []
    for (group, verbs_of, names_of), resources in grouped.items():
        made: KubernetesObject = {"apiGroups": [group], "resources": resources, "verbs": list(verbs_of)}
        if names_of:
            made["resourceNames"] = list(names_of)
        merged.append(made)
    return merged


def _metadata(name: str, namespace: str, set_name: str) -> KubernetesObject:
    # Not the labels by which planton knows its own: whoever applies this owns it.
    metadata: KubernetesObject = {"name": name}
    if namespace:
        metadata["namespace"] = namespace
    metadata["labels"] = {
        "app.kubernetes.io/name": "planton",
        "app.kubernetes.io/part-of": "planton",
        # What was printed together goes together: by `kubectl delete -l`.
        ROLES_LABEL: set_name,
    }
    return metadata


def _role(kind: str, name: str, namespace: str, rules: list[KubernetesObject], set_name: str = "") -> KubernetesObject:
    metadata = _metadata(name, namespace, set_name or name)
    return {"apiVersion": f"{RBAC}/v1", "kind": kind, "metadata": metadata, "rules": rules}


def _binding(
    name: str, namespace: str, kind: str, role: str, subject: Mapping[str, str] | None, set_name: str = ""
) -> KubernetesObject:
    return {
        "apiVersion": f"{RBAC}/v1",
        "kind": "RoleBinding" if namespace else "ClusterRoleBinding",
        "metadata": _metadata(name, namespace, set_name or name),
        "roleRef": {"apiGroup": RBAC, "kind": kind, "name": role},
        "subjects": [dict(subject or {})],
    }
