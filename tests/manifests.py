"""Manifests that several tests use."""

from __future__ import annotations

from textwrap import dedent, indent

ACCESS_KEY = "SENTINELACCESSKEY0001"
SECRET_KEY = "sentinel/secret+key=0002"


def operator(*, backup: str | None = "", version: str = "", spec: str = "", metadata: str = "") -> str:
    """Writes an operator's manifest.

    Args:
        backup: Lines for backup_config in addition to the bucket and the schedule; None for no backup_config.
        version: operator_version.
        spec: Further lines of the spec.
        metadata: Further lines of the metadata.

    Returns:
        One YAML document.
    """
    text = "apiVersion: kubernetes.project-planton.org/v1\nkind: PostgresOperatorKubernetes\n"
    text += "metadata:\n  name: postgres-operator\n" + indent(dedent(metadata).strip("\n"), "  ")
    text += "\nspec:\n" + indent(dedent(spec).strip("\n"), "  ") + "\n"
    if version:
        text += f'  operator_version: "{version}"\n'
    if backup is not None:
        text += dedent(
            f"""\
            |  backup_config:
            |    r2_config:
            |      cloudflare_account_id: "account"
            |      bucket_name: "postgres-backups"
            |      access_key_id: "{ACCESS_KEY}"
            |      secret_access_key: "{SECRET_KEY}"
            |    backup_schedule: "0 2 * * *"
            """
        ).replace("|", "") + indent(dedent(backup).strip("\n"), "    ")
    if backup is None and not version and not spec:
        text += "  container: {}"
    return text + "\n---\n"


def database(name: str = "orders", *, backup: str | None = None, spec: str = "", metadata: str = "") -> str:
    """Writes a database's manifest.

    Args:
        name: metadata.name.
        backup: Lines of backup_config; None for none.
        spec: Further lines of the spec.
        metadata: Further lines of the metadata.

    Returns:
        One YAML document.
    """
    text = "apiVersion: kubernetes.project-planton.org/v1\nkind: PostgresKubernetes\n"
    text += f"metadata:\n  name: {name}\n" + indent(dedent(metadata).strip("\n"), "  ")
    text += "\nspec:\n  container:\n    disk_size: 10Gi\n" + indent(dedent(spec).strip("\n"), "  ") + "\n"
    if backup is not None:
        text += "  backup_config:\n" + indent(dedent(backup).strip("\n"), "    ")
    return text + "\n---\n"
