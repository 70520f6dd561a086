"""A database's backup_config over its operator's: effective settings first, then the environment that gives them.

The custom resource's `spec.env` wins over the operator's ConfigMap and Secret, name by name (postgres-operator v1.15.1,
pkg/cluster/k8sres.go, generateSpiloPodEnvVars). What the manifest says is emitted even where it equals the
operator's value, so that it survives a change there; what it does not say is inherited. A store, credentials and
encryption are each said as a whole: whatever the operator says of them is overruled, by an empty value where nothing is
needed.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from planton.errors import Problem
from planton.translate.archive import bucket_of, full_prefix, platform_prefix
from planton.translate.backup import CERTIFICATE, access_keys, boolean, secret_problems, sources_of
from planton.translate.existing import Existing
from planton.translate.generation import DATABASE_GENERATION, generation_of, told_generation
from planton.translate.given import given
from planton.translate.names import cluster_name, namespace_of
from planton.translate.platform import BackupPlatform, capped
from planton.translate.policy import DEFAULT_RETENTION, ENCRYPTION_VARIABLES, encryption_of, policy_environment
from planton.translate.secret_fields import secret_name
from planton.translate.secret_values import Credentials, credentials_from
from planton.translate.secret_warnings import secret_warnings
from planton.translate.store import Store, store_of, whole_environment
from planton.translate.versions import OperatorVersion
from planton.types import PostgresKubernetes, SecretValue

_PATH = "spec.backup_config"
DATABASE_FILES_PATH = "/etc/planton/store-ca"
"""Where a database's own files are mounted into its pods."""
DEFAULT_TEMPLATE = "backups/$(SCOPE)/$(PGVERSION)"
"""Path of an archive where no operator says one; the default of s3_prefix_template."""
_OF_AN_ARCHIVE = (
    "s3_prefix",
    "backup_schedule",
    "storage",
    "credentials",
    "encryption",
    "retention",
    "tuning",
)
"""Fields that mean nothing without an archive."""


_NO_CREDENTIALS = Credentials({})
_NO_SOURCES: Mapping[str, str] = MappingProxyType({})


class DatabaseBackup(NamedTuple):
    """What a database's backup_config comes to.

    Attributes:
        environment: What its custom resource carries: name -> value, sorted by name.
        prefix: The effective archive with its variables, `s3://<bucket>/<path>`; empty without an archive.
        references: Variables of the custom resource that refer to its own Secret, whose keys have their names.
        secret_name: Name of that Secret; empty when it has none.
        endpoint: URL of the effective store; empty for Amazon S3 itself, and without an archive.
        credentials: Contents of its own Secret; empty when it has none.
        files: Contents of its own Secret with files; empty when it has none.
        sources: Key of these Secrets -> `namespace/name/key` of a Secret of somebody else's.
        generation: Generation of its own credentials; 0 as long as they never changed.
        errors: Why it cannot be.
        warnings: What is worth saying.
    """

    environment: Mapping[str, str]
    prefix: str
    references: tuple[str, ...] = ()
    secret_name: str = ""
    endpoint: str = ""
    credentials: Credentials = _NO_CREDENTIALS
    files: Credentials = _NO_CREDENTIALS
    sources: Mapping[str, str] = _NO_SOURCES
    generation: int = 0
    errors: tuple[Problem, ...] = ()
    warnings: tuple[Problem, ...] = ()


class _Draft:
    __slots__ = (
        "config",
        "environment",
        "errors",
        "existing",
        "files",
        "given",
        "message",
        "platform",
        "secrets",
        "warnings",
    )

    def __init__(self, message: PostgresKubernetes, platform: BackupPlatform | None, existing: Existing) -> None:
        self.message = message
        self.config = message.spec.backup_config
        self.given = given(self.config)
        self.platform = platform
        self.existing = existing
        self.environment: dict[str, str] = {}
        self.secrets: dict[str, SecretValue] = {}
        self.files: dict[str, SecretValue] = {}
        self.errors: list[Problem] = []
        self.warnings: list[Problem] = []

    def refuse(self, text: str, name: str) -> None:
        self.errors.append(Problem(text, f"{_PATH}.{name}"))

    def warn(self, text: str, name: str) -> None:
        self.warnings.append(Problem(text, f"{_PATH}.{name}"))


def database_backup(
    message: PostgresKubernetes,
    platform: BackupPlatform | None,
    existing: Existing,
    operator: OperatorVersion,
) -> DatabaseBackup:
    """Computes the effective backup settings of a database and the environment that gives them.

    Args:
        message: The database, with its defaults filled.
        platform: Backup platform, or None without operator-level backups.
        existing: Facts of the cluster.
        operator: Version of the operator that will run the database.

    Returns:
        The environment, the effective archive, and what is wrong or worth saying.
    """
    draft = _Draft(message, platform, existing)
    config = draft.given
    inherited = platform is not None and platform.backup
    said: bool | None = config.get("enable_backup")
    prefix = endpoint = ""
    if inherited if said is None else said:
        store = store_of(config["storage"]) if "storage" in config else None
        endpoint = store.endpoint if store else platform.endpoint if platform else ""
        prefix = _archive(draft, store, bool(said), operator)
    else:
        if said is False:
            draft.environment["WALG_S3_PREFIX"] = ""
            draft.environment["USE_WALG_BACKUP"] = "false"
        _unused(draft, said)
    if "enable_restore" in config:
        draft.environment["USE_WALG_RESTORE"] = boolean(config["enable_restore"])
    if "enable_clone" in config:
        draft.environment["CLONE_USE_WALG_RESTORE"] = boolean(config["enable_clone"])
    return _finished(draft, prefix, endpoint)


def _finished(draft: _Draft, prefix: str, endpoint: str) -> DatabaseBackup:
    if not draft.secrets and not draft.files:
        return DatabaseBackup(
            environment=dict(sorted(draft.environment.items())),
            prefix=prefix,
            endpoint=endpoint,
            errors=tuple(draft.errors),
            warnings=tuple(draft.warnings),
        )
    namespace, name = namespace_of(draft.message), draft.message.metadata.name
    credentials = credentials_from(draft.secrets, namespace, draft.existing.values)
    files = credentials_from(draft.files, namespace, draft.existing.values)
    generation = 0
    own = secret_name(draft.message)
    if credentials:
        live = draft.existing.database(namespace, cluster_name(name))
        told = told_generation(live.environment.get(DATABASE_GENERATION)) if live else 0
        generation = generation_of(draft.existing, namespace, own, credentials, told)
    if generation:
        draft.environment[DATABASE_GENERATION] = str(generation)
    transform = draft.environment.get("WALG_LIBSODIUM_KEY_TRANSFORM", "")
    store = draft.config.storage.WhichOneof("store") or (draft.platform.store if draft.platform else "")
    identity = draft.config.credentials.HasField("cloud_identity")
    for contents in (credentials, files):
        draft.errors.extend(secret_problems(contents, transform, store=store))
        draft.warnings.extend(secret_warnings(contents, store, identity=identity))
    return DatabaseBackup(
        environment=dict(sorted(draft.environment.items())),
        prefix=prefix,
        references=credentials.keys(),
        secret_name=own if credentials else "",
        endpoint=endpoint,
        credentials=credentials,
        files=files,
        sources=sources_of({**draft.secrets, **draft.files}, namespace, draft.existing.values),
        generation=generation,
        errors=tuple(draft.errors),
        warnings=tuple(draft.warnings),
    )


def _archive(draft: _Draft, store: Store | None, said: bool, operator: OperatorVersion) -> str:
    """Writes the environment of a database with an archive; gives its full prefix."""
    config, platform, environment = draft.given, draft.platform, draft.environment
    if said:
        environment["USE_WALG_BACKUP"] = "true"
        if platform is None and store is None:
            _no_platform(draft)
    if store is not None:
        environment.update(whole_environment(store, f"{DATABASE_FILES_PATH}/{CERTIFICATE}"))
        if store.certificate_authority is not None:
            draft.files[CERTIFICATE] = store.certificate_authority
        if store.endpoint.startswith("http://"):
            draft.warn("is plain HTTP: backups travel in clear", "storage.s3_compatible.endpoint")
    prefix = _prefix(draft, store)
    _credentials(draft, store)
    _encryption(draft)
    if "backup_schedule" in config:
        environment["BACKUP_SCHEDULE"] = config["backup_schedule"]
    _replicas(draft)
    if "retention" in config or "tuning" in config:
        environment.update(policy_environment(draft.config.retention, draft.config.tuning))
        _deltas(draft)
    restore = config.get("enable_restore", platform is None or platform.restore)
    if not restore and not operator.has_restore_switch:
        draft.refuse(
            f"restore cannot be switched off for a database with an archive: the Spilo image of operator "
            f"{operator.version} ({operator.spilo_image}) has no such switch. Leave restore on, or "
            "switch backups off with enable_backup: false",
            "enable_restore",
        )
    return prefix


def _prefix(draft: _Draft, store: Store | None) -> str:
    platform = draft.platform
    bucket = store.bucket if store else platform.bucket if platform else ""
    if "s3_prefix" in draft.given:
        own = full_prefix(draft.given["s3_prefix"], bucket)
        if own is None:
            draft.refuse(
                "asks for the operator's bucket, and no operator with backup_config is known here: "
                "write <bucket>/<path>, or give the operator's manifest too",
                "s3_prefix",
            )
            return ""
        draft.environment["WALG_S3_PREFIX"] = own
        _foreign_bucket(own, draft, store)
        return own
    if store is not None:
        template = platform.prefix_template if platform else DEFAULT_TEMPLATE
        prefix = f"s3://{store.bucket}/{template.strip('/')}"
        draft.environment["WALG_S3_PREFIX"] = prefix
        return prefix
    if platform is None:
        return ""
    prefix = platform_prefix(platform)
    if not platform.backup:
        draft.environment["WALG_S3_PREFIX"] = prefix
    return prefix


def _credentials(draft: _Draft, store: Store | None) -> None:
    config, platform = draft.config, draft.platform
    if "credentials" not in draft.given:
        return
    kind = store.kind if store else platform.store if platform else ""
    if config.credentials.HasField("cloud_identity"):
        if kind not in ("", "aws_s3"):
            draft.refuse("works with Amazon S3 only: give keys for this store", "credentials.cloud_identity")
        # Both: Spilo 4.1 writes something else for one that is missing alone.
        draft.environment["AWS_ACCESS_KEY_ID"] = draft.environment["AWS_SECRET_ACCESS_KEY"] = ""
    else:
        draft.secrets.update(access_keys(config.credentials))


def _encryption(draft: _Draft) -> None:
    if "encryption" not in draft.given:
        return
    encryption = encryption_of(draft.config.encryption)
    draft.secrets.update(encryption.keys)
    for name in ENCRYPTION_VARIABLES:
        if name not in encryption.keys:
            draft.environment[name] = encryption.environment.get(name, "")


def _replicas(draft: _Draft) -> None:
    """Refuses base backups from replicas where there is none: Spilo's postgres_backup.sh never makes any then."""
    config, platform = draft.config, draft.platform
    own = "tuning" in draft.given and config.tuning.HasField("backup_from_replica")
    wanted = (
        config.tuning.backup_from_replica
        if own
        else platform is not None and platform.settings.get("WALG_BACKUP_FROM_REPLICA") == "true"
    )
    most = platform.max_instances if platform is not None else ""
    if wanted and capped(draft.message.spec.container.replicas, most) == 1:
        whose = "" if own else " (the operator's)"
        if draft.message.spec.container.replicas > 1:
            whose += ", and max_instances in the operator's operator_settings leaves one"
        draft.refuse(
            f"needs at least two replicas{whose}: the primary never makes a base backup then, so that this database "
            "would have none at all. Set replicas to 2 or more, or backup_from_replica: false",
            "tuning.backup_from_replica",
        )


def _deltas(draft: _Draft) -> None:
    """Warns where delta backups outnumber what is kept, unless both numbers are the operator's, which warns itself."""
    config, platform = draft.config, draft.platform
    inherited = platform.settings if platform is not None else {}
    own_steps = config.tuning.HasField("delta_max_steps")
    steps = config.tuning.delta_max_steps if own_steps else _number(inherited.get("WALG_DELTA_MAX_STEPS"), 0)
    if config.tuning.HasField("delta_origin") and not steps:
        draft.warn("has no effect without delta_max_steps: no delta is made", "tuning.delta_origin")
    if not own_steps and not config.retention.HasField("backups_and_days"):
        return
    retained = config.retention.backups_and_days or _number(inherited.get("BACKUP_NUM_TO_RETAIN"), DEFAULT_RETENTION)
    if steps >= retained:
        draft.warn(
            f"({steps}) is not below retention ({retained}), which counts delta backups too: a full backup with all of "
            "its deltas outlives it. Retain more, or make fewer deltas",
            "tuning.delta_max_steps" if own_steps else "retention.backups_and_days",
        )


def _number(text: str | None, default: int) -> int:
    # A platform that was read back from a cluster can say anything.
    return int(text) if text and text.isascii() and text.isdecimal() and len(text) <= 9 else default


def _no_platform(draft: _Draft) -> None:
    """Says that backups were asked for where no bucket and no credentials are known."""
    lacking = "is no object store" if "credentials" in draft.given else "are no credentials"
    text = f"asks for backups, and no operator with backup_config is known here, so there {lacking}"
    if draft.existing.from_cluster or "s3_prefix" not in draft.given:
        draft.refuse(
            f"{text}: give the operator a backup_config, or apply its manifest together, or give this database "
            "storage and credentials of its own",
            "enable_backup",
        )
    else:
        draft.warn(f"{text}; rendered as if its operator had one. Give the operator's manifest too", "enable_backup")


def _foreign_bucket(prefix: str, draft: _Draft, store: Store | None) -> None:
    """Warns where a prefix leaves the operator's bucket: the first segment may have been meant as a path."""
    platform, bucket = draft.platform, bucket_of(prefix)
    known = store.bucket if store is not None else platform.bucket if platform is not None else bucket
    if bucket == known:
        return
    path = draft.config.s3_prefix.removeprefix("s3://").strip("/")
    if store is not None:
        draft.refuse(
            f'is read as bucket "{bucket}", and storage.bucket_name says "{known}". If a path in that '
            f'bucket was meant, write "/{path}"',
            "s3_prefix",
        )
        return
    whose = "its credentials" if "credentials" in draft.given else "the operator's keys"
    draft.warn(
        f'is read as bucket "{bucket}", which is not the operator\'s ("{known}"): '
        f"{whose} must be able to write there. If a path in the operator's bucket was meant, "
        f'write "/{path}"',
        "s3_prefix",
    )


def _unused(draft: _Draft, said: bool | None) -> None:
    """Warns about settings of an archive that there is not."""
    if said is False:
        why = "enable_backup is false"
    elif draft.platform is None:
        why = "no operator with backup_config is known here"
    else:
        why = "backups are switched off at the operator"
    if said is None and "storage" in draft.given:
        why += ", and enable_backup: true, with which this database would have an archive of its own, is not given"
    for name in _OF_AN_ARCHIVE:
        if name in draft.given:
            draft.warn(f"has no effect: {why}. It is not passed on to the database", name)
