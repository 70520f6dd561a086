"""The backup platform: what a database needs to know of its operator, as one frozen value.

It comes from the operator's manifest in the same set, else it is read back from the annotation of the
operator's backup ConfigMap (to_json, from_json) and the operator's storage Secret, else there is none.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace

from planton.translate.policy import POLICY_VARIABLES
from planton.translate.secret_values import Credentials
from planton.translate.store import STORE_VARIABLES

PLATFORM_ANNOTATION = "planton.ai/backup-platform"
"""Annotation of the backup ConfigMap that holds the platform without its secrets, as JSON."""

_LATER = frozenset(
    {
        "store",
        "settings",
        "encryption",
        "files_secret_name",
        "file_names",
        "sources",
        "service_account_annotations",
        "max_instances",
    }
)
"""What is written only where it says something: earlier versions did not know it."""
_NOT_WRITTEN = frozenset({"credentials", "files", "generation"})
"""What the annotation does not hold: contents of Secrets, and what stands elsewhere already."""


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
        secret_name: Name of the storage Secret, in the operator's namespace and in each with a database; empty when
            there is none, since the cloud gives the pods an identity.
        secret_keys: Keys of the storage Secret that are meant: all that copies of it hold.
        labels: Labels of the operator's objects, for copies of the Secrets.
        annotations: Annotations of the operator's objects, likewise.
        store: Kind of the object store, as the field of `storage` is called.
        settings: Further variables of every database's pods: encryption, proxy, retention, tuning.
        encryption: How wal-g encrypts: `libsodium`, `pgp` or empty.
        files_secret_name: Name of the Secret whose keys are mounted as files; empty when there is none.
        file_names: Keys of that Secret that are meant.
        sources: Key of the storage Secret, or file name -> `namespace/name/key` of a Secret of somebody else's.
        service_account_annotations: Annotations of the pods' service account in each namespace with a database.
        max_instances: How many pods a database has at most, by the operator's setting; empty where nothing is said.
        credentials: Contents of the storage Secret; None when they were not read.
        files: Contents of the Secret whose keys are mounted as files; None when they were not read.
        generation: How often the credentials have changed; 0 for never.
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
    store: str = "cloudflare_r2"
    settings: Mapping[str, str] = field(default_factory=dict)
    encryption: str = ""
    files_secret_name: str = ""
    file_names: tuple[str, ...] = ()
    sources: Mapping[str, str] = field(default_factory=dict)
    service_account_annotations: Mapping[str, str] = field(default_factory=dict)
    max_instances: str = ""
    credentials: Credentials | None = None
    files: Credentials | None = None
    generation: int = 0

    def to_json(self) -> str:
        """Writes the platform without its secrets.

        Returns:
            JSON with sorted keys, for the annotation PLATFORM_ANNOTATION.
        """
        facts = asdict(replace(self, credentials=None, files=None))
        nothing = {"store": "cloudflare_r2"}
        return json.dumps(
            {
                name: value
                for name, value in facts.items()
                if name not in _NOT_WRITTEN and (name not in _LATER or (value and value != nothing.get(name)))
            },
            sort_keys=True,
            separators=(",", ":"),
        )

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
            known = {item.name: item.type for item in fields(cls) if item.name not in _NOT_WRITTEN}
            given = {key: facts[key] for key in known if key in facts}
            for name in ("secret_keys", "file_names"):
                if isinstance(given.get(name), list):
                    given[name] = tuple(given[name])
            if not all(_is_form(value, str(known[key])) for key, value in given.items()):
                raise ValueError
            if not _NAME.fullmatch(given["namespace"]):
                raise ValueError
            if not all(_NAME.fullmatch(given.get(key) or "none") for key in ("secret_name", "files_secret_name")):
                raise ValueError
            if not all(_SOURCE.fullmatch(place) for place in given.get("sources", {}).values()):
                raise ValueError
            # A name that is none of these, such as that of a prefix, would shine through where backups are off.
            given["settings"] = {name: value for name, value in given.get("settings", {}).items() if name in _SETTINGS}
            return cls(**given, credentials=credentials)
        except (TypeError, AttributeError, KeyError, ValueError, RecursionError):
            # No cause: the text is not ours then, and may hold anything.
            raise ValueError(f"the annotation {PLATFORM_ANNOTATION} does not hold a backup platform") from None


def capped(instances: int, most: str) -> int:
    """Counts the pods that a database has under its operator.

    postgres-operator v1.15.1, pkg/cluster/k8sres.go (getNumberOfInstances).

    Args:
        instances: How many it asks for.
        most: The operator's setting `max_instances`; empty or negative for no limit.

    Returns:
        Their number.
    """
    return min(instances, int(most)) if most.isascii() and most.isdecimal() and len(most) <= 9 else instances


_SETTINGS = STORE_VARIABLES | POLICY_VARIABLES
# Whoever may write a ConfigMap may write anything here, and names end up in paths of requests.
_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?", re.ASCII)
_SOURCE = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?/[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?/[-._A-Za-z0-9]{1,253}")


def sources_text(sources: Mapping[str, str]) -> str:
    """Writes where contents of a Secret come from.

    Args:
        sources: Key of the Secret -> `namespace/name/key` of a Secret of somebody else's.

    Returns:
        JSON with sorted keys; empty when nothing comes from Secrets of others.
    """
    return json.dumps(dict(sources), sort_keys=True, separators=(",", ":")) if sources else ""


def sources_from(text: str) -> dict[str, str]:
    """Reads what sources_text wrote.

    Args:
        text: The annotation's value.

    Returns:
        The sources; empty for a text that says none. Anybody may have written it.
    """
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    if not isinstance(found, dict) or not all(
        isinstance(place, str) and _SOURCE.fullmatch(place) for place in found.values()
    ):
        return {}
    return {str(key): place for key, place in found.items()}


def _is_form(value: object, form: str) -> bool:
    if form == "bool":
        return isinstance(value, bool)
    if form.startswith("tuple"):
        return isinstance(value, tuple) and all(isinstance(item, str) for item in value)
    if form.startswith("Mapping"):
        return isinstance(value, dict) and all(isinstance(item, str) for item in (*value, *value.values()))
    return isinstance(value, str)
