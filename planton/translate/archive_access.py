"""How an archive is reached and read: one value for whoever reads a bucket, clones from it or follows it.

It holds what wal-g is told in the pods, by wal-g's own names, and the contents of the Secrets that go with it. So an
archive of a manifest, of a live custom resource and of somebody else's database are the same thing to what comes after.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from planton.translate.archive import ArchiveIdentity, identity
from planton.translate.backup import CERTIFICATE
from planton.translate.database_facts import backup_of, postgres_version
from planton.translate.existing import Existing
from planton.translate.names import cluster_name, namespace_of
from planton.translate.platform import BackupPlatform
from planton.translate.policy import ENCRYPTION_VARIABLES
from planton.translate.secret_values import Credentials
from planton.translate.store import STORE_VARIABLES
from planton.translate.variables import Variable, backup_variables
from planton.types import PostgresKubernetes

_KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
READING_VARIABLES = frozenset({*STORE_VARIABLES, *ENCRYPTION_VARIABLES, *_KEYS})
"""All that decides about how an archive is reached and read, besides its prefix. Each exists for the source of a clone
or a standby, too, with CLONE_ or STANDBY_ before it (Spilo 4.0-p3 and 4.1, configure_spilo.py)."""


@dataclass(frozen=True, slots=True)
class ArchiveAccess:
    """How one archive is reached and read.

    Attributes:
        namespace: Namespace of the database that writes to it; empty when there is none.
        scope: Name of its custom resource, such as `db-orders`.
        version: Major version of PostgreSQL; empty when it is not known.
        prefix: `s3://<bucket>/<path>` with every variable filled in.
        environment: Literal variables by wal-g's names, out of READING_VARIABLES; none of them is a credential, but in
            others' custom resources a proxy's address may have a password in it, so that they are not printed.
        references: Variables out of READING_VARIABLES -> `Secret/key` in the database's namespace.
        contents: Variable -> its value, of those in `references`; what was not looked up stays a reference.
        certificates: `ca.crt` -> certificate of the store's private authority; empty when the system's are trusted.
        schedule: Cron expression of the base backups, in UTC; empty when it is not known.
        retention: Number of base backups and days that are kept; 0 when it is not known.
    """

    namespace: str
    scope: str
    version: str
    prefix: str
    environment: Mapping[str, str] = field(repr=False)
    references: Mapping[str, str] = field(default_factory=dict)
    contents: Credentials = field(default_factory=lambda: Credentials({}))
    certificates: Credentials = field(default_factory=lambda: Credentials({}))
    schedule: str = ""
    retention: int = 0

    @property
    def endpoint(self) -> str:
        """URL of the store; empty for Amazon S3 itself."""
        return self.environment.get("AWS_ENDPOINT", "")

    @property
    def region(self) -> str:
        """Region of the signatures; empty when none is said."""
        return self.environment.get("AWS_REGION", "")

    @property
    def bucket(self) -> str:
        """Name of the bucket."""
        return self.prefix.removeprefix("s3://").partition("/")[0]

    @property
    def path(self) -> str:
        """Path in the bucket, without slashes at its ends; may be empty."""
        return self.prefix.removeprefix("s3://").partition("/")[2].strip("/")

    @property
    def encryption(self) -> str:
        """How wal-g encrypts: `pgp`, `libsodium` or empty. PGP wins over libsodium, as in wal-g."""
        given = {*self.references, *(name for name, value in self.environment.items() if value)}
        if "WALG_PGP_KEY" in given:
            return "pgp"
        return "libsodium" if "WALG_LIBSODIUM_KEY" in given else ""

    @property
    def identity(self) -> ArchiveIdentity:
        """Its identity: what tells it from other archives."""
        return identity(self.prefix, self.endpoint, scope=self.scope, version=self.version, namespace=self.namespace)


@dataclass(frozen=True, slots=True)
class FoundSource:
    """What became of the search for another database's archive.

    Attributes:
        access: How it is reached; None when it cannot be used.
        lacking: Why not, in words that follow the name of the database; empty where there is one.
    """

    access: ArchiveAccess | None
    lacking: str = ""


def access_of(
    message: PostgresKubernetes, platform: BackupPlatform | None, existing: Existing | None = None
) -> ArchiveAccess | None:
    """Says how the archive of a database of a manifest is reached.

    Args:
        message: The database, with its defaults filled.
        platform: Backup platform, or None without operator-level backups.
        existing: Facts of the cluster, with what references of the manifest lead to.

    Returns:
        The access, or None without an archive.
    """
    existing = existing or Existing()
    backup = backup_of(message, platform, existing)
    inherited = platform.credentials if platform is not None else None
    contents = [one for one in (inherited, backup.credentials) if one is not None]
    own_store = message.spec.backup_config.HasField("storage")
    files = backup.files if own_store else platform.files if platform is not None else None
    return access_from(
        backup_variables(message, platform, existing),
        namespace=namespace_of(message),
        scope=cluster_name(message.metadata.name),
        version=postgres_version(message, existing),
        contents=contents,
        files=files,
    )


def access_from(
    variables: Iterable[Variable],
    *,
    namespace: str,
    scope: str,
    version: str,
    contents: Iterable[Credentials] = (),
    files: Credentials | None = None,
) -> ArchiveAccess | None:
    """Puts an access together from the backup environment of a database.

    Args:
        variables: The environment of its pods, each variable once.
        namespace: Its namespace.
        scope: Name of its custom resource.
        version: Major version of PostgreSQL; empty when it is not known.
        contents: Contents of Secrets that its variables refer to, later ones over earlier ones.
        files: Contents of the Secret that is mounted as files.

    Returns:
        The access, or None without an archive.
    """
    found = {one.name: one for one in variables}
    prefix = found.get("WALG_S3_PREFIX")
    if prefix is None or not prefix.resolved:
        return None
    known = Credentials({})
    for one in contents:
        # A key that nobody has looked up is not the one that it stands in the place of.
        known = one.over(known)
    reading = {name: one for name, one in found.items() if name in READING_VARIABLES}
    references = {name: one.secret for name, one in reading.items() if one.secret}
    # What stands beside a key in its Secret, such as the form of the key, is no credential, and is wanted as it is.
    environment = {name: one.resolved for name, one in reading.items() if one.resolved is not None}
    retention = found.get("BACKUP_NUM_TO_RETAIN")
    schedule = found.get("BACKUP_SCHEDULE")
    return ArchiveAccess(
        namespace=namespace,
        scope=scope,
        version=version,
        prefix="s3://" + prefix.resolved.removeprefix("s3://").strip("/"),
        environment=dict(sorted(environment.items())),
        references=dict(sorted(references.items())),
        contents=known.only(references),
        certificates=_certificates(files),
        schedule=(schedule.resolved if schedule else "") or "",
        retention=retention_of((retention.resolved if retention else "") or ""),
    )


def retention_of(text: str) -> int:
    """Reads BACKUP_NUM_TO_RETAIN.

    Args:
        text: Its value.

    Returns:
        How many base backups and days are kept; 0 for what is no such number.
    """
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= 9 else 0


def _certificates(files: Credentials | None) -> Credentials:
    return files.only([CERTIFICATE]) if files is not None else Credentials({})
