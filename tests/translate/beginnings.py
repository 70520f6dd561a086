"""Manifests of clones and standbys, and what is read off their translation."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from textwrap import indent
from typing import Any

import planton
from planton.errors import ManifestError, Problem
from planton.rendering import Rendering
from planton.translate.existing import Existing, ExistingDatabase
from planton.translate.platform import BackupPlatform
from tests.manifests import database

TARGET = "2026-11-22T08:14:35Z"
NAMESPACE = "kubernetes.project-planton.org/namespace"


def beginning(kind: str, source: str, *, target: str = "", backup: str | None = None, **more: str) -> str:
    """Writes a clone or a standby of the name `restored`.

    Args:
        kind: `clone` or `standby`.
        source: Lines of its source.
        target: target_time, as it stands in the manifest.
        backup: Lines of backup_config; None for none.
        more: `name`, `spec` and `metadata`, as for a database.

    Returns:
        One YAML document.
    """
    lines = f"{kind}:\n  source:\n{indent(source, '    ')}\n"
    if target:
        lines += f"  target_time: {target}\n"
    spec = lines + more.get("spec", "")
    return database(more.get("name", "restored"), backup=backup, spec=spec, metadata=more.get("metadata", ""))


def by_name(name: str = "orders", namespace: str = "") -> str:
    return f"database: {{name: {name}{f', namespace: {namespace}' if namespace else ''}}}"


def by_place(lines: str = "", cluster: str = "db-orders", version: str = "16") -> str:
    return f'archive:\n  cluster_name: {cluster}\n  version: "{version}"\n' + indent(lines, "  ")


def rendered(text: str, existing: Existing | None = None, platform: BackupPlatform | None = None) -> Rendering:
    return planton.render(planton.loads(text), platform, existing)


def problems(text: str, existing: Existing | None = None, platform: BackupPlatform | None = None) -> list[Problem]:
    try:
        rendered(text, existing, platform)
    except ManifestError as error:
        return list(error.problems)
    return []


def resource(rendering: Sequence[Mapping[str, Any]], name: str = "restored") -> Mapping[str, Any]:
    (found,) = [one for one in rendering if one["kind"] == "postgresql" and one["metadata"]["name"] == f"db-{name}"]
    return found


def env_of(custom_resource: Mapping[str, Any]) -> dict[str, Any]:
    """Gives variables: a text, or Secret and key."""
    found: dict[str, Any] = {}
    for one in custom_resource["spec"].get("env", []):
        reference = one.get("valueFrom", {}).get("secretKeyRef")
        assert one["name"] not in found
        found[one["name"]] = (reference["name"], reference["key"]) if reference else one["value"]
    return found


def secret_of(rendering: Sequence[Mapping[str, Any]], name: str, namespace: str = "restored") -> dict[str, str]:
    (found,) = [
        one
        for one in rendering
        if one["kind"] == "Secret" and (one["metadata"]["namespace"], one["metadata"]["name"]) == (namespace, name)
    ]
    return {key: base64.b64decode(value).decode() for key, value in found["data"].items()}


def secrets_of(rendering: Sequence[Mapping[str, Any]], namespace: str = "restored") -> set[str]:
    return {
        one["metadata"]["name"]
        for one in rendering
        if one["kind"] == "Secret" and one["metadata"]["namespace"] == namespace
    }


def alive(custom_resource: Mapping[str, Any], **more: Any) -> ExistingDatabase:
    """Gives a custom resource of a rendering as a cluster would have it."""
    from planton.cluster.planning.inventory import database_facts

    return database_facts({**custom_resource, **more})


def with_live(*databases: ExistingDatabase, **more: Any) -> Existing:
    return Existing(from_cluster=True, databases=databases, **more)
