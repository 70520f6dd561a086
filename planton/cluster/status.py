"""What the cluster says about each resource of a set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from planton.cluster.api.connection import ApiError
from planton.cluster.api.resources import DEPLOYMENT, EVENT, POD, POSTGRESQL, SECRET, STATEFUL_SET, Key, ResourceType
from planton.cluster.api.server import Server
from planton.cluster.backups.archive_ages import ArchiveAges
from planton.cluster.backups.backup_age import ArchiveStatus
from planton.cluster.environment import differing, environment_in
from planton.cluster.ownership import labels_of
from planton.cluster.patroni import PatroniMember, member_of
from planton.cluster.permissions.review import Need
from planton.cluster.planning.generations import OldCredentials
from planton.cluster.planning.inventory import Inventory
from planton.cluster.planning.own_secrets import read_outdated
from planton.cluster.restoring.restored import Restoration, restoration
from planton.cluster.wait import FAILED, RUNNING, rollout
from planton.manifest.redaction import without_credentials
from planton.translate.contract import KubernetesObject
from planton.translate.environment import Variable, environment
from planton.translate.existing import Existing
from planton.translate.names import OPERATOR, OPERATOR_SELECTOR, cluster_name, namespace_of
from planton.translate.outputs import fill_outputs
from planton.translate.platform import BackupPlatform
from planton.types import PostgresKubernetes, PostgresOperatorKubernetes, Resource

_LATEST_EVENTS = 5


@dataclass(frozen=True, slots=True)
class PodStatus:
    """A pod.

    Attributes:
        name: Its name.
        phase: Such as Running.
        ready: Whether it is ready.
        role: `master` or `replica` for a database's pod, else empty.
        restart_pending: Whether the operator has marked it for a rolling restart.
        replication: From where WAL comes to a replica, and to the leader of a standby: `streaming` or `in archive
            recovery`; empty when Patroni does not say.
        timeline: Its timeline; 0 when Patroni does not say.
        wal_position: Up to where it has WAL, as a number; 0 when Patroni does not say. Whether it has replayed all of
            that, PostgreSQL alone knows.
        behind: How many bytes of WAL the leader has and it has not, as both said last; None when that is not known.
    """

    name: str
    phase: str
    ready: bool
    role: str = ""
    restart_pending: bool = False
    replication: str = ""
    timeline: int = 0
    wal_position: int = 0
    behind: int | None = None


@dataclass(frozen=True, slots=True)
class EventStatus:
    """A warning that something in the cluster gave.

    Attributes:
        time: When it was last given, as the server writes it.
        subject: `Kind/namespace/name` of what it is about.
        reason: Such as `FailedCreate`.
        message: Its text, known credentials hidden.
        count: How often it was given.
    """

    time: str
    subject: str
    reason: str
    message: str
    count: int = 1


@dataclass(frozen=True, slots=True)
class ResourceStatus:
    """One resource of a set as it stands in the cluster.

    Attributes:
        message: Copy of the message without its credentials, with `status.outputs` filled where the resource is in
            the cluster.
        subject: `Kind/name` as in the manifest.
        namespace: Its namespace.
        exists: Whether its main object (Deployment or custom resource) is in the cluster.
        ready: Whether it does what it should: rolled out, or reported as running with all its pods ready.
        reported: What the operator reports of a database, such as `Running`; empty when it reports nothing.
        version: Version of the operator, or of PostgreSQL.
        replicas: Number of pods that there should be.
        ready_replicas: Number of pods that are ready.
        pods: Its pods.
        events: The last warnings, newest first.
        differing: Names of backup variables that are not in the pods as they should be.
        problems: What is wrong, in words.
        restoration: Whether a database that was to start from an archive, or follows one, has come up with what was in
            it; None for every other.
        archive: How fresh the archive of a database is; None for one without backups, and when it was not asked for.
        denied: What the caller would have to be allowed to see it; nothing else is known of it then but `exists`.
    """

    message: Resource = field(repr=False)
    subject: str
    namespace: str
    exists: bool
    ready: bool
    reported: str = ""
    version: str = ""
    replicas: int = 0
    ready_replicas: int = 0
    pods: tuple[PodStatus, ...] = ()
    events: tuple[EventStatus, ...] = ()
    differing: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    restoration: Restoration | None = None
    archive: ArchiveStatus | None = None
    denied: tuple[Need, ...] = ()


def status_denied(message: Resource, inventory: Inventory, denied: Sequence[Need]) -> ResourceStatus:
    """Says of a resource that it may not be looked at.

    Args:
        message: The resource, with its defaults filled.
        inventory: Facts of the cluster.
        denied: What is not allowed, at least one.

    Returns:
        Its status.
    """
    filled = without_credentials(message)
    namespace = namespace_of(filled)
    if isinstance(filled, PostgresOperatorKubernetes):
        exists = any(one.namespace == namespace and one.name == OPERATOR for one in inventory.operators)
    else:
        exists = _live(inventory, namespace, cluster_name(filled.metadata.name)) is not None
    if exists:
        fill_outputs(filled)
    return ResourceStatus(
        filled,
        f"{filled.kind}/{filled.metadata.name}",
        namespace,
        exists,
        ready=False,
        problems=tuple(f"no permission: {one.words}" for one in denied),
        denied=tuple(denied),
    )


def status_of(
    server: Server,
    message: Resource,
    inventory: Inventory,
    platform: BackupPlatform | None,
    existing: Existing,
    old_credentials: Sequence[OldCredentials] = (),
    ages: ArchiveAges | None = None,
) -> ResourceStatus:
    """Reads what the cluster says about one resource.

    Args:
        server: The API server; its scrubber knows the credentials.
        message: The resource, with its defaults filled.
        inventory: Facts of the cluster.
        platform: The backup platform in force for the set.
        existing: Facts for translation, in force for the set.
        old_credentials: Databases of which something still runs on old credentials.
        ages: Reads how fresh archives are; None leaves them alone.

    Returns:
        Its status.

    Raises:
        ClusterError: The server refused.
    """
    filled = without_credentials(message)
    if isinstance(filled, PostgresOperatorKubernetes):
        return _operator(server, filled, inventory, old_credentials)
    variables = environment(message, platform, existing) if isinstance(message, PostgresKubernetes) else []
    return _database(server, filled, inventory, platform, variables, old_credentials, ages)


def _live(inventory: Inventory, namespace: str, name: str) -> KubernetesObject | None:
    place = (namespace, name)
    return next((one for one in inventory.databases if _place(one) == place), None)


def _place(database: KubernetesObject) -> tuple[str, str]:
    return str(database["metadata"]["namespace"]), str(database["metadata"]["name"])


def _operator(
    server: Server,
    message: PostgresOperatorKubernetes,
    inventory: Inventory,
    old_credentials: Sequence[OldCredentials],
) -> ResourceStatus:
    namespace = namespace_of(message)
    subject = f"{message.kind}/{message.metadata.name}"
    key = Key(DEPLOYMENT, namespace, OPERATOR)
    deployment = server.get(key)
    if deployment is None:
        return ResourceStatus(message, subject, namespace, False, False, problems=(f"{key.subject} is not there",))
    fill_outputs(message)
    problems = [one.line for one in rollout(key.subject, deployment)]
    if deployment["spec"].get("replicas") == 0:
        problems.append("it is scaled to 0: nothing looks after the databases")
    if not deployment["spec"].get("replicas", 1):
        problems.append(f"{key.subject} is scaled to zero: nobody looks after the databases")
    problems += [one.line for one in old_credentials]
    if not inventory.serves_databases:
        problems.append("the CRD postgresqls.acid.zalan.do is not registered yet")
    selector = ",".join(f"{name}={value}" for name, value in OPERATOR_SELECTOR.items())
    pods = _pods(server, namespace, selector, problems)
    live = next((one for one in inventory.operators if one.subject == key.subject), None)
    return ResourceStatus(
        message,
        subject,
        namespace,
        exists=True,
        ready=not problems,
        version=live.version if live else "",
        replicas=int(deployment["spec"].get("replicas", 1)),
        ready_replicas=int((deployment.get("status") or {}).get("availableReplicas") or 0),
        pods=pods,
        events=_events(server, namespace, OPERATOR, problems),
        problems=tuple(problems),
    )


def _database(
    server: Server,
    message: PostgresKubernetes,
    inventory: Inventory,
    platform: BackupPlatform | None,
    variables: Sequence[Variable],
    old_credentials: Sequence[OldCredentials],
    ages: ArchiveAges | None,
) -> ResourceStatus:
    namespace, name = namespace_of(message), cluster_name(message.metadata.name)
    subject = f"{message.kind}/{message.metadata.name}"
    key = Key(POSTGRESQL, namespace, name)
    found = _live(inventory, namespace, name)
    if found is None:
        return ResourceStatus(message, subject, namespace, False, False, problems=(f"{key.subject} is not there",))
    fill_outputs(message)
    problems: list[str] = []
    reported = str((found.get("status") or {}).get("PostgresClusterStatus") or "")
    if reported != RUNNING:
        problems.append(_said(reported, inventory))
    stateful_set = server.get(Key(STATEFUL_SET, namespace, name))
    wanted = int(found["spec"].get("numberOfInstances") or 0)
    ready_pods = _stateful_set_problems(stateful_set, wanted, problems)
    differ: tuple[str, ...] = ()
    if stateful_set is not None:
        differ = differing(variables, environment_in(stateful_set))
    if differ:
        problems.append(f"variables that are not in the pods as in the manifests: {', '.join(differ)}")
    for missing in _missing_secrets(server, namespace, platform, variables):
        problems.append(f"{missing} is missing: the operator cannot make or change its pods. Apply again")
    problems += [f"{one.subject}: {one.what}" for one in read_outdated(server, [found])]
    problems += [one.what for one in old_credentials if (one.namespace, one.name) == (namespace, name)]
    use_configmaps = _uses_configmaps(stateful_set, inventory)
    restored = restoration(server, found, use_configmaps=use_configmaps)
    if restored is not None and not restored.is_proven:
        # First of all: a database that is empty looks well in everything else.
        problems.insert(0, restored.line)
    pods = _pods(server, namespace, f"cluster-name={name}", problems)
    return ResourceStatus(
        message,
        subject,
        namespace,
        exists=True,
        ready=not problems,
        reported=reported,
        version=str((found["spec"].get("postgresql") or {}).get("version") or ""),
        replicas=wanted,
        ready_replicas=ready_pods,
        pods=pods,
        events=_events(server, namespace, name, problems, _neighbours(inventory, namespace)),
        differing=differ,
        problems=tuple(problems),
        restoration=restored,
        archive=ages(found, use_configmaps=use_configmaps) if ages is not None else None,
    )


def _uses_configmaps(stateful_set: KubernetesObject | None, inventory: Inventory) -> bool:
    """Tells into which kind of objects Patroni writes: its pods say it, and without them the operator."""
    if stateful_set is None:
        return inventory.existing.kubernetes_use_configmaps == "true"
    entries = environment_in(stateful_set)
    return any(one.get("name") == "KUBERNETES_USE_CONFIGMAPS" and one.get("value") for one in entries)


def _missing_secrets(
    server: Server, namespace: str, platform: BackupPlatform | None, variables: Sequence[Variable]
) -> list[str]:
    """Names the Secrets that its pods need and that are not in its namespace."""
    names = {variable.secret.partition("/")[0] for variable in variables if variable.secret}
    if platform is not None:
        names |= {platform.secret_name, platform.files_secret_name}
    keys = [Key(SECRET, namespace, name) for name in sorted(names) if name]
    return [key.subject for key in keys if server.get(key) is None]


def _said(reported: str, inventory: Inventory) -> str:
    if reported in FAILED:
        return f"the operator reports {reported}; its log and the events say why"
    if reported:
        return f"the operator reports {reported}"
    if not any(one.available for one in inventory.operators):
        return "no operator runs that could report anything"
    return "the operator has not reported anything yet"


def _stateful_set_problems(stateful_set: KubernetesObject | None, wanted: int, problems: list[str]) -> int:
    if stateful_set is None:
        problems.append("the operator has not made its StatefulSet")
        return 0
    status = stateful_set.get("status") or {}
    ready = int(status.get("readyReplicas") or 0)
    if ready < wanted:
        problems.append(f"{ready} of {wanted} pods are ready")
    return ready


def _pods(server: Server, namespace: str, labels: str, problems: list[str]) -> tuple[PodStatus, ...]:
    pods = _readable(server, POD, namespace, problems, labels=labels)
    members = [member_of(pod) for pod in pods]
    leader = next((one for one in members if one.is_primary or one.is_standby_leader), None)
    return tuple(
        PodStatus(
            name=str(pod["metadata"]["name"]),
            phase=str((pod.get("status") or {}).get("phase") or ""),
            ready=any(
                one.get("type") == "Ready" and one.get("status") == "True"
                for one in (pod.get("status") or {}).get("conditions") or ()
            ),
            role=labels_of(pod).get("spilo-role", ""),
            # https://github.com/zalando/postgres-operator/blob/v1.15.1/pkg/cluster/pod.go
            restart_pending=(pod["metadata"].get("annotations") or {}).get(
                "zalando-postgres-operator-rolling-update-required"
            )
            == "true",
            **_position(member, leader),
        )
        for pod, member in zip(pods, members, strict=True)
    )


def _position(member: PatroniMember, leader: PatroniMember | None) -> dict[str, Any]:
    """Says how far the WAL of a pod goes; nothing of one that does not run, whose annotation is of another time."""
    if not (member.ready and member.state == "running" and member.wal_position):
        return {}
    behind = None
    if leader is not None and leader is not member and leader.ready and leader.wal_position:
        # The leader may have written its annotation before.
        behind = max(leader.wal_position - member.wal_position, 0)
    return {
        "replication": member.replication,
        "timeline": member.timeline,
        "wal_position": member.wal_position,
        "behind": behind,
    }


def _neighbours(inventory: Inventory, namespace: str) -> tuple[str, ...]:
    return tuple(
        str(one["metadata"]["name"]) for one in inventory.databases if one["metadata"]["namespace"] == namespace
    )


def _events(
    server: Server, namespace: str, name: str, problems: list[str], others: Sequence[str] = ()
) -> tuple[EventStatus, ...]:
    events = []
    for event in _readable(server, EVENT, namespace, problems, fields="type=Warning"):
        about = event.get("involvedObject") or {}
        what = str(about.get("name", ""))
        # Of `db-orders-eu-0` there is a database db-orders, too, and it is not that one's.
        whose = max((one for one in (name, *others) if what == one or what.startswith(f"{one}-")), key=len, default="")
        if whose == name:
            events.append(_event(server, event, about))
    return tuple(sorted(events, key=lambda one: one.time, reverse=True)[:_LATEST_EVENTS])


def _event(server: Server, event: Mapping[str, Any], about: Mapping[str, Any]) -> EventStatus:
    place = [str(about.get(part) or "") for part in ("kind", "namespace", "name")]
    return EventStatus(
        time=str(
            event.get("lastTimestamp") or event.get("eventTime") or event["metadata"].get("creationTimestamp") or ""
        ),
        subject="/".join(part for part in place if part),
        reason=server.shown(str(event.get("reason") or "")),
        message=server.shown(str(event.get("message") or "")),
        count=int(event.get("count") or 1),
    )


def _readable(
    server: Server, resource: ResourceType, namespace: str, problems: list[str], *, labels: str = "", fields: str = ""
) -> list[KubernetesObject]:
    try:
        return server.list(resource, namespace, labels=labels, fields=fields) or []
    except ApiError as error:
        if error.status != 403:
            raise
        # Said, and not taken for "there are none": what matters most is still worth showing.
        problems.append(f"{resource.plural} in namespace {namespace} cannot be read: no permission")
        return []
