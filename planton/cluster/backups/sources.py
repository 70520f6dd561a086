"""Reads how the archives of live databases are reached, for clones and standbys that ask for them by name.

Whoever made the database: what counts is what its pods get. Its custom resource wins over the operator's Secret, and
that over the operator's ConfigMap, name by name (postgres-operator v1.15.1, pkg/cluster/k8sres.go,
generateSpiloPodEnvVars).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any

from planton.cluster.api.resources import SECRET, Key
from planton.cluster.api.server import Server, in_parallel, results
from planton.translate.archive import resolve
from planton.translate.archive_access import READING_VARIABLES, ArchiveAccess, FoundSource, retention_of
from planton.translate.archive_sources import Asked, live_source
from planton.translate.backup import CERTIFICATE
from planton.translate.contract import KubernetesObject
from planton.translate.effective_archive import archive_address
from planton.translate.names import cluster_name, namespace_of
from planton.translate.pod_variables import entries_that_count, layered
from planton.translate.policy import ENCRYPTION_KEYS
from planton.translate.secret_values import Credentials, secret_text
from planton.translate.store import CERTIFICATE_VARIABLE
from planton.translate.variables import SPILO_DEFAULTS
from planton.types import PostgresKubernetes

_CREDENTIALS = ENCRYPTION_KEYS | {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"}
# What decides about the place, under newer and older names.
_PLACE = frozenset(
    f"{kind}{name}"
    for kind in ("WALG_", "WALE_", "WAL_")
    for name in ("S3_PREFIX", "S3_BUCKET", "S3_ENDPOINT", "GS_PREFIX", "GS_BUCKET", "BUCKET_SCOPE_SUFFIX")
)
_NAMED = 10


@dataclass(frozen=True, slots=True)
class OperatorGives:
    """What an operator gives to the pods of every database.

    Attributes:
        environment: Data of its ConfigMap.
        settings: What it is told.
        namespace: Its namespace; empty where there is none.
    """

    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    settings: Mapping[str, str] = field(default_factory=dict, repr=False)
    namespace: str = ""


def read_sources(
    server: Server,
    wanted: Mapping[Asked, Sequence[PostgresKubernetes]],
    databases: Sequence[KubernetesObject],
    gives: OperatorGives,
) -> dict[Asked, FoundSource]:
    """Reads the archives for which a set asks by the names of databases that are not in it.

    Args:
        server: The API server.
        wanted: Namespace (empty where none is said) and name -> who asks.
        databases: Every `postgresql` custom resource.
        gives: What the operator gives to every database.

    Returns:
        For each, how the archive is reached, or why it cannot be. None for a clone that is there already: it was made,
        and its source need not be there any more.

    Raises:
        ClusterError: The server refused (a missing permission is an error, never "absent").
    """
    live = {(one["metadata"]["namespace"], one["metadata"]["name"]): one for one in databases}
    asked = [one for one, who in wanted.items() if any(_needs(message, live) for message in who)]
    found = results(in_parallel(lambda one: _look(server, one, live, gives), asked))
    return dict(zip(asked, found, strict=True))


def access_of_live(server: Server, database: KubernetesObject, gives: OperatorGives) -> FoundSource:
    """Reads how the archive of one live database is reached, by what its pods get.

    Args:
        server: The API server.
        database: The custom resource, whoever made it.
        gives: What the operator gives to every database.

    Returns:
        How it is reached, or why it cannot be.

    Raises:
        ClusterError: The server refused.
    """
    return _Reader(server, database, gives).source()


def _needs(message: PostgresKubernetes, live: Mapping[tuple[str, str], KubernetesObject]) -> bool:
    there = live.get((namespace_of(message), cluster_name(message.metadata.name)))
    return there is None or message.spec.HasField("standby")


def _look(
    server: Server, asked: Asked, live: Mapping[tuple[str, str], KubernetesObject], gives: OperatorGives
) -> FoundSource:
    space, name = asked
    namespace = space or name
    # The name of a custom resource is taken, too: not every database was made by planton.
    database = live.get((namespace, cluster_name(name))) or live.get((namespace, name))
    if database is None:
        return FoundSource(None, _not_there(asked, live))
    return access_of_live(server, database, gives)


def _not_there(asked: Asked, live: Mapping[tuple[str, str], KubernetesObject]) -> str:
    space, name = asked
    text = f"is neither among these manifests nor in the cluster (postgresql {space or name}/{cluster_name(name)})"
    elsewhere = sorted(one for one, other in live if other in (cluster_name(name), name))
    if elsewhere:
        return f"{text}; one of this name is in namespace {', '.join(elsewhere[:_NAMED])}: say which by namespace"
    names = sorted({f"{one}/{other}" for one, other in live})
    near = get_close_matches(f"{space or name}/{cluster_name(name)}", names, n=3, cutoff=0.5)
    there = ", ".join(near or names[:_NAMED])
    hint = f"; it has {there}" if there else "; it has no database at all"
    return f"{text}{hint}. Where the database is gone, say where its archive is by archive in the place of database"


class _Reader:
    """Reads one database."""

    def __init__(self, server: Server, database: KubernetesObject, gives: OperatorGives) -> None:
        self._server = server
        self._spec: Mapping[str, Any] = database.get("spec") or {}
        self._gives = gives
        self._namespace = str(database["metadata"]["namespace"])
        self._scope = str(database["metadata"]["name"])
        self._version = str((self._spec.get("postgresql") or {}).get("version") or "")
        self._secrets: dict[str, Credentials] = {}
        settings = gives.settings
        told = {settings.get(name, "") for name in ("pod_environment_secret", "additional_secret_mount")}
        self._of_operator = told if gives.namespace else set()

    def __repr__(self) -> str:
        """Names the database."""
        return f"<_Reader of {self._namespace}/{self._scope}>"

    def source(self) -> FoundSource:
        literals, references, strange = self._environment()
        unknown = sorted(strange & (READING_VARIABLES | _PLACE | {"USE_WALG_BACKUP"}))
        if unknown:
            return live_source(None, f"takes {', '.join(unknown)} from something else than a Secret: {_SAY}")
        hidden = sorted({*references} & (_PLACE | {"USE_WALG_BACKUP"}))
        if hidden:
            return live_source(None, f"takes {', '.join(hidden)} from a Secret: {_SAY}")
        address, endpoint = archive_address(literals, self._namespace)
        if not address:
            return live_source(None)
        prefix = self._resolved(address)
        if not prefix.startswith("s3://"):
            return live_source(None, f"archives to {prefix.partition('://')[0]}://, which planton does not read")
        if "$(" in prefix:
            return live_source(None, f"archives to {prefix}, in which a variable cannot be filled in: {_SAY}")
        return live_source(self._access(literals, references, prefix, endpoint))

    def _environment(self) -> tuple[dict[str, str], dict[str, tuple[str, str]], set[str]]:
        """Gives literal values, references to Secrets, and names whose values come from somewhere else."""
        own: dict[str, str | tuple[str, str] | None] = {}
        for name, one in entries_that_count({"spec": self._spec}):
            source = one.get("valueFrom")
            reference = source.get("secretKeyRef") if isinstance(source, Mapping) else None
            if source is None:
                own[name] = str(one.get("value") or "")
            elif isinstance(reference, Mapping):
                own[name] = (str(reference.get("name") or ""), str(reference.get("key") or ""))
            else:
                own[name] = None
        secret = self._gives.settings.get("pod_environment_secret", "")
        copied = {key: (secret, key) for key in self._secret(secret).keys()} if secret else {}  # noqa: SIM118
        told = {key: str(value) for key, value in self._gives.environment.items()}
        whole: dict[str, str | tuple[str, str] | None] = layered(own, copied, told)
        literals = {name: value for name, value in whole.items() if isinstance(value, str)}
        references = {name: value for name, value in whole.items() if isinstance(value, tuple)}
        strange = {name for name, value in whole.items() if value is None}
        return literals, references, strange

    def _access(
        self, literals: Mapping[str, str], references: Mapping[str, tuple[str, str]], prefix: str, endpoint: str
    ) -> ArchiveAccess:
        known = Credentials({})
        reading = {name: place for name, place in references.items() if name in READING_VARIABLES}
        for name, (secret, key) in reading.items():
            if key in self._secret(secret).keys():  # noqa: SIM118
                known = Credentials({name: self._secret(secret).reveal()[key]}).over(known)
        environment = {name: self._resolved(value) for name, value in literals.items() if name in READING_VARIABLES}
        # A key in clear is a key all the same.
        plain = {name: environment.pop(name) for name in sorted(_CREDENTIALS & {*environment})}
        known = Credentials({name: value for name, value in plain.items() if value}).over(known)
        if endpoint and "AWS_ENDPOINT" not in reading:
            environment["AWS_ENDPOINT"] = environment.get("AWS_ENDPOINT") or self._resolved(endpoint)
        if special := literals.get("WALG_S3_ENDPOINT"):
            environment.setdefault("WALE_S3_ENDPOINT", self._resolved(special))
        return ArchiveAccess(
            namespace=self._namespace,
            scope=self._scope,
            version=self._version,
            prefix="s3://" + prefix.removeprefix("s3://").strip("/"),
            environment=dict(sorted(environment.items())),
            references={name: "/".join(place) for name, place in sorted(reading.items())},
            contents=known,
            certificates=self._certificates(
                known.reveal().get(CERTIFICATE_VARIABLE) or environment.get(CERTIFICATE_VARIABLE, "")
            ),
            schedule=literals.get("BACKUP_SCHEDULE", "") or SPILO_DEFAULTS["BACKUP_SCHEDULE"],
            retention=retention_of(literals.get("BACKUP_NUM_TO_RETAIN", SPILO_DEFAULTS["BACKUP_NUM_TO_RETAIN"])),
        )

    def _resolved(self, value: str) -> str:
        return resolve(value, scope=self._scope, version=self._version, namespace=self._namespace)

    def _certificates(self, path: str) -> Credentials:
        """Reads the file that is mounted at a path: by the custom resource, or by the operator for all."""
        mounts: list[tuple[str, str]] = []
        for one in self._spec.get("additionalVolumes") or ():
            source = one.get("volumeSource") if isinstance(one, Mapping) else None
            secret = source.get("secret") if isinstance(source, Mapping) else None
            if isinstance(secret, Mapping):
                mounts.append((str(one.get("mountPath") or ""), str(secret.get("secretName") or "")))
        settings = self._gives.settings
        mounts.append((settings.get("additional_secret_mount_path", ""), settings.get("additional_secret_mount", "")))
        for mount, name in mounts:
            folder = mount.rstrip("/") + "/"
            if path and mount and name and path.startswith(folder):
                text = self._secret(name).reveal().get(path.removeprefix(folder))
                return Credentials({CERTIFICATE: text} if text else {})
        return Credentials({})

    def _secret(self, name: str) -> Credentials:
        if name not in self._secrets:
            found = self._server.get(Key(SECRET, self._namespace, name)) if name else None
            if found is None and name and name in self._of_operator:
                # A copy comes with the next apply, and what the copies are made from is in the operator's namespace.
                found = self._server.get(Key(SECRET, self._gives.namespace, name))
            data = (found or {}).get("data") or {}
            texts = {str(key): secret_text(value) for key, value in data.items()}
            self._secrets[name] = Credentials({key: text for key, text in texts.items() if text is not None})
        return self._secrets[name]


_SAY = "say where its archive is by archive in the place of database"
