"""The backup platform: what a database needs to know of its operator, as one frozen value.

It comes from the operator's manifest in the same set, else it is read back from the annotation of the
operator's backup ConfigMap (to_json, from_json) and the operator's storage Secret, else there is none.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from types import MappingProxyType
from typing import Any

PLATFORM_ANNOTATION = "planton.ai/backup-platform"
"""Annotation of the backup ConfigMap that holds the platform without its secrets, as JSON."""


class Credentials:
    """Values of a storage Secret. Prints its keys, never a value."""

    __slots__ = ("_values",)

    def __init__(self, values: Mapping[str, str]) -> None:
        """Makes the value.

        Args:
            values: Name of the environment variable -> its value.
        """
        self._values: Mapping[str, str] = MappingProxyType(dict(sorted(values.items())))

    def reveal(self) -> Mapping[str, str]:
        """Gives the values, for writing into a Secret and nowhere else.

        Returns:
            Name of the environment variable -> its value, sorted by name.
        """
        return self._values

    def keys(self) -> tuple[str, ...]:
        """Gives the names.

        Returns:
            Names of the environment variables, sorted.
        """
        return tuple(self._values)

    def __eq__(self, other: object) -> bool:
        """Compares by value."""
        return isinstance(other, Credentials) and self._values == other._values

    def __hash__(self) -> int:
        """Hashes by value."""
        return hash(tuple(self._values.items()))

    def __repr__(self) -> str:
        """Names the keys only."""
        return f"Credentials({', '.join(self._values)})"

    def __reduce__(self) -> tuple[Any, ...]:
        """Refuses to be written down."""
        raise TypeError("credentials are not pickled")


@dataclass(frozen=True, slots=True)
class BackupPlatform:
    """Backup defaults of one operator.

    Attributes:
        namespace: Namespace of the operator.
        operator_version: Version of the operator, such as `1.15.1`.
        bucket: Name of the bucket.
        prefix_template: Path in the bucket, with its variables.
        schedule: Cron expression of the base backups.
        backup: Whether backups are on at operator level.
        restore: Whether restoring is on at operator level.
        clone: Whether cloning is on at operator level.
        endpoint: URL of the object store; empty for AWS itself.
        region: Region, empty when not set.
        force_path_style: Whether the bucket stands in the path of a request.
        disable_server_side_encryption: Whether no encryption is asked of the store.
        secret_name: Name of the storage Secret, in the operator's namespace and in each with a database.
        secret_keys: Keys of the storage Secret that are meant: all that copies of it hold.
        labels: Labels of the operator's objects, for copies of the Secret.
        annotations: Annotations of the operator's objects, likewise.
        credentials: Contents of the storage Secret; None when they were not read.
    """

    namespace: str
    operator_version: str
    bucket: str
    prefix_template: str
    schedule: str
    backup: bool
    restore: bool
    clone: bool
    endpoint: str
    region: str
    force_path_style: bool
    disable_server_side_encryption: bool
    secret_name: str
    secret_keys: tuple[str, ...] = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    credentials: Credentials | None = None

    def to_json(self) -> str:
        """Writes the platform without its secrets.

        Returns:
            JSON with sorted keys, for the annotation PLATFORM_ANNOTATION.
        """
        facts = asdict(replace(self, credentials=None))
        del facts["credentials"]
        return json.dumps(facts, sort_keys=True, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str, credentials: Credentials | None = None) -> BackupPlatform:
        """Reads what to_json wrote. Facts that a later version added are passed over.

        Args:
            text: The annotation's value.
            credentials: Contents of the storage Secret.

        Returns:
            The platform.

        Raises:
            ValueError: The text is not that of a platform.
        """
        try:
            facts = json.loads(text)
            known = {item.name: item.type for item in fields(cls) if item.name != "credentials"}
            given = {key: facts[key] for key in known if key in facts}
            if "secret_keys" in given:
                given["secret_keys"] = tuple(given["secret_keys"])
            if not all(_is_form(value, str(known[key])) for key, value in given.items()):
                raise ValueError
            if not all(_NAME.fullmatch(given[key]) for key in ("namespace", "secret_name")):
                raise ValueError
            return cls(**given, credentials=credentials)
        except (TypeError, AttributeError, KeyError, ValueError, RecursionError):
            # No cause: the text is not ours then, and may hold anything.
            raise ValueError(f"the annotation {PLATFORM_ANNOTATION} does not hold a backup platform") from None


# Whoever may write a ConfigMap may write anything here, and names end up in paths of requests.
_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?", re.ASCII)


def _is_form(value: object, form: str) -> bool:
    if form == "bool":
        return isinstance(value, bool)
    if form.startswith("tuple"):
        return isinstance(value, tuple) and all(isinstance(item, str) for item in value)
    if form.startswith("Mapping"):
        return isinstance(value, dict) and all(isinstance(item, str) for item in (*value, *value.values()))
    return isinstance(value, str)
