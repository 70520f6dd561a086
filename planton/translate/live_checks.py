"""What databases that are alive already have to say about an operator: versions and settings that would harm them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from planton.errors import Origin, Problem
from planton.translate.backup import environment_of
from planton.translate.effective_archive import archive_address
from planton.translate.existing import Existing, ExistingDatabase
from planton.translate.names import cluster_name, namespace_of
from planton.translate.platform import BackupPlatform, capped
from planton.translate.pod_variables import layered
from planton.translate.versions import OPERATOR_VERSIONS, OperatorVersion
from planton.types import PostgresOperatorKubernetes, Resource


class Placed:
    """A message with its names and the place where it stands.

    Attributes:
        message: The message; not printed.
        origin: Where it came from.
        kind: Its kind.
        name: Its metadata.name.
        namespace: Its namespace.
    """

    __slots__ = ("kind", "message", "name", "namespace", "origin")

    def __init__(self, message: Resource, origin: Origin) -> None:
        """Reads the names off the message, once for all checks of the set.

        Args:
            message: The message, with its defaults filled.
            origin: Where it came from.
        """
        self.message = message
        self.origin = origin
        self.kind = message.kind
        self.name = message.metadata.name
        self.namespace = namespace_of(message)

    def __repr__(self) -> str:
        """Names the message."""
        return f"Placed({self})"

    @property
    def place(self) -> tuple[str, str]:
        """Namespace and name of the custom resource that it makes."""
        return self.namespace, cluster_name(self.name)

    @property
    def subject(self) -> str:
        """`Kind/name`."""
        return f"{self.kind}/{self.name}"

    def __str__(self) -> str:
        """`Kind/name`, with its file where it has one."""
        where = f" ({self.origin.file}, document {self.origin.document})" if self.origin.file else ""
        return f"{self.subject}{where}"


def not_rendered(databases: Sequence[Placed], existing: Existing) -> list[ExistingDatabase]:
    """Finds the live databases that a set leaves as they are.

    Args:
        databases: The databases of the set.
        existing: Facts of the cluster.

    Returns:
        Every other live database.
    """
    if not existing.databases:
        return []
    rendered = {one.place for one in databases}
    return [one for one in existing.databases if (one.namespace, one.name) not in rendered]


@dataclass(frozen=True, slots=True)
class Finding:
    """What is wrong with a live database under an operator.

    Attributes:
        problem: In words.
        is_there_already: Whether it is so under the operator that there is, as it is told now.
    """

    problem: Problem
    is_there_already: bool

    @property
    def warning(self) -> Problem:
        """The same as something that an apply does not make worse."""
        return replace(
            self.problem, message=f"{self.problem.message}. It is so already, and this apply changes nothing"
        )


def live_problems(
    placed: Placed,
    message: PostgresOperatorKubernetes,
    others: Sequence[ExistingDatabase],
    platform: BackupPlatform | None,
    existing: Existing,
) -> Iterator[Finding]:
    """Finds live databases that an operator's manifest would harm, apart from those that the set renders anew.

    Args:
        placed: The operator.
        message: Its message.
        others: The live databases that the set leaves as they are.
        platform: The platform that the operator makes.
        existing: Facts of the cluster.

    Yields:
        What is wrong with each database.
    """
    operator = OPERATOR_VERSIONS[message.spec.operator_version]
    most = platform.max_instances if platform is not None else ""
    after = _Given(operator, environment_of(platform) if platform is not None else {}, platform is not None, most)
    before = _given_now(existing)
    for live in others:
        known = {kind for kind, _, _ in _wrong(live, before)} if before is not None else set()
        for kind, path, text in _wrong(live, after):
            yield Finding(Problem(text, path, placed.origin, placed.subject), kind in known)


@dataclass(frozen=True, slots=True)
class _Given:
    """What databases get from an operator.

    Attributes:
        operator: Its version.
        environment: What it gives to all of them.
        has_platform: Whether it has backups, with keys.
        max_instances: How many pods it gives to a database at most; empty where nothing is said.
    """

    operator: OperatorVersion
    environment: Mapping[str, str]
    has_platform: bool
    max_instances: str = ""


def _given_now(existing: Existing) -> _Given | None:
    version = OPERATOR_VERSIONS.get(existing.running_version or "")
    if existing.inherited is None or version is None:
        return None
    return _Given(version, existing.inherited, bool(existing.inherited))


def _wrong(live: ExistingDatabase, given: _Given) -> Iterator[tuple[str, str, str]]:
    """Says what is wrong with a live database: what kind of thing it is, its path, and the words."""
    name = f"{live.namespace}/{live.name}"
    operator = given.operator
    environment = layered(live.environment, given.environment)
    if live.version and live.version not in operator.postgres_versions:
        yield (
            "version",
            "spec.operator_version",
            f"operator {operator.version} does not run PostgreSQL {live.version} of the live database {name}; it "
            f"runs {operator.postgres_versions[0]} to {operator.postgres_versions[-1]}",
        )
    restore = environment.get("USE_WALG_RESTORE", "true").lower() == "true"
    if environment.get("WALG_S3_PREFIX") and not restore and not operator.has_restore_switch:
        yield (
            "restore",
            "spec.operator_version",
            f"operator {operator.version} has no switch to turn restore off, as the live database {name} asks for",
        )
    if _loses_base_backups(live, environment, given):
        yield (
            "replica",
            "spec.backup_config.tuning.backup_from_replica",
            f"would leave the live database {name} without base backups: it has one instance, and with "
            'backup_from_replica the primary never makes one. Set WALG_BACKUP_FROM_REPLICA to "false" in its '
            "spec.env, or backup_from_replica: false in its manifest, or give it two instances",
        )
    if text := _harm(live, environment, has_platform=given.has_platform):
        path = "spec.backup_config"
        if given.has_platform and given.environment.get("USE_WALG_BACKUP") != "true":
            path += ".enable_wal_g_backup"
        yield text, path, f"would harm the live database {name}: {text}"


_FAILS = "its archiving would fail for ever and WAL would fill its volume"
_TOGETHER = "Apply its manifest together with this one, with enable_backup true or false"


def _harm(live: ExistingDatabase, environment: Mapping[str, str], *, has_platform: bool) -> str:
    """Says what an operator's manifest would do to a live database, when that is harm.

    Never a non-empty prefix without an effective USE_WALG_BACKUP "true": Spilo 4.0 then archives by wal-e to nowhere,
    4.1 archives although backups are "off" (configure_spilo.py at 4.0-p3 and 4.1-p2).
    """
    own = live.environment
    is_on = environment.get("USE_WALG_BACKUP", "").lower() == "true"
    if environment.get("WALG_S3_PREFIX"):
        if is_on and (has_platform or _has_own_keys(live)):
            return ""
        if own.get("WALG_S3_PREFIX"):
            lost = "the switch or the keys for it would go"
            return f"it has an archive prefix of its own, and {lost}: {_FAILS}. {_TOGETHER}"
        return (
            f'its own USE_WALG_BACKUP is not "true", and it would get an archive prefix: {_FAILS}. {_TOGETHER}; where '
            'planton did not make it, add WALG_S3_PREFIX "" to its spec.env first'
        )
    if own.get("USE_WALG_BACKUP", "").lower() == "true" and "WALG_S3_PREFIX" not in own:
        return f"it asks for backups itself, and its archive would go: its backups would stop. {_TOGETHER}"
    return ""


def _loses_base_backups(live: ExistingDatabase, environment: Mapping[str, str], given: _Given) -> bool:
    """Whether a database takes base backups from replicas because its operator says so, and has no replica.

    Spilo 4.0-p3 and 4.1, postgres_backup.sh; the value counts in any case (configure_spilo.py, get_placeholders).
    """
    inherits = given.has_platform and "WALG_BACKUP_FROM_REPLICA" not in {*live.environment, *live.references}
    wanted = environment.get("WALG_BACKUP_FROM_REPLICA", "").lower() == "true"
    has_archive = bool(archive_address(environment, live.namespace)[0])
    instances = capped(live.instances, given.max_instances) if live.instances is not None else None
    return inherits and wanted and has_archive and instances == 1


def _has_own_keys(live: ExistingDatabase) -> bool:
    names = {*live.environment, *live.references}
    return bool(names & {"AWS_ACCESS_KEY_ID", "AWS_ROLE_ARN"})
