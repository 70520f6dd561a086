"""What Patroni writes about a database cluster into Kubernetes: the only evidence of it from outside of its pods.

Patroni 4.0.4 (Spilo 4.0-p3 and 4.1), patroni/dcs/kubernetes.py and patroni/ha.py. In an object `<cluster>-config`, an
Endpoints or a ConfigMap, two annotations count:

- `initialize`: absent before the first bootstrap and after one that failed (cancel_initialization), empty while one
  runs (Ha.bootstrap), and the system identifier once PostgreSQL has been promoted (Ha.post_bootstrap). A data directory
  of another identifier is refused from then on; only a major upgrade removes it (Spilo 4.0-p3, inplace_upgrade.py).
- `history`: the lines of the newest `.history` file, as a JSON list of `[timeline, LSN, reason, time, pod]`, the last
  two for switches that Patroni saw itself (Ha.update_cluster_history). `[]`, or absent, on timeline 1.

Each pod has an annotation `status`, with `state`, `role`, `timeline` and more (Ha.touch_member); there is no `timeline`
in it before Patroni leads. All of that was tried with Patroni 4.0.4 and both kinds of objects on a real API server.

`xlog_location` is where a primary writes, and of a replica or the leader of a standby what it has received or replayed,
whichever is further (postgresql/__init__.py, _wal_position): of replay alone nothing is said. `replication_state` is
`streaming` or `in archive recovery`, or absent (likewise, replication_state_from_parameters).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from planton.cluster.api.connection import ApiError
from planton.cluster.api.resources import CONFIG_MAP, POD, Key, ResourceType
from planton.cluster.api.server import Server
from planton.cluster.ownership import labels_of
from planton.translate.contract import KubernetesObject

ENDPOINTS = ResourceType("v1", "Endpoints", "endpoints")

# https://github.com/zalando/postgres-operator/blob/v1.15.1/pkg/util/config/config.go (pod_role_label,
# cluster_name_label), which planton leaves as they are. Spilo gives `master` (configure_spilo.py,
# KUBERNETES_LEADER_LABEL_VALUE), also to the leader of a standby; `primary` is Patroni's own word for it.
_ROLE_LABEL = "spilo-role"
_CLUSTER_LABEL = "cluster-name"
LEADER_LABELS = frozenset({"master", "primary"})
# "master" was its word before 4.0.
_PRIMARY_ROLES = frozenset({"primary", "master"})
_REPLICATION = frozenset({"streaming", "in archive recovery"})
_LONGEST_TEXT = 200
# The operator's container; others in the pod say nothing of PostgreSQL.
CONTAINER = "postgres"


@dataclass(frozen=True, slots=True)
class Promotion:
    """An end of a timeline: a line of the `history` annotation.

    Attributes:
        timeline: The timeline that was left; what follows is on a higher one.
        reason: PostgreSQL's words, such as `no recovery target specified`, or `before 2026-11-22 08:14:35.2+00`.
        time: When the pod wrote its history file; empty where Patroni did not see it.
    """

    timeline: int
    reason: str
    time: str = ""


@dataclass(frozen=True, slots=True)
class PatroniMember:
    """A pod as Patroni and the kubelet describe it.

    Attributes:
        name: Name of the pod.
        leads: Whether it carries the label of the leader, of a standby too.
        ready: Whether it is ready.
        state: Patroni's word, such as `running`; empty when it has written nothing yet.
        role: Patroni's word: `primary`, `replica`, `standby_leader`, `uninitialized`.
        timeline: Its timeline; 0 when it does not say.
        wal_position: Its position in the WAL as a number (`xlog_location`); 0 when it does not say.
        replication: From where WAL comes to it: `streaming`, `in archive recovery`, or empty.
        trouble: Why its container does not run, or ended before, in words; empty when nothing is known against it.
    """

    name: str
    leads: bool = False
    ready: bool = False
    state: str = ""
    role: str = ""
    timeline: int = 0
    trouble: str = ""
    wal_position: int = 0
    replication: str = ""

    @property
    def is_primary(self) -> bool:
        """Whether it is a primary that runs."""
        return self.leads and self.state == "running" and self.role in _PRIMARY_ROLES

    @property
    def is_standby_leader(self) -> bool:
        """Whether it leads a standby."""
        return self.leads and self.state == "running" and self.role == "standby_leader"


@dataclass(frozen=True, slots=True)
class PatroniState:
    """All that Patroni has written of a database cluster.

    Attributes:
        subject: The object with the annotations, as `Kind/namespace/name`.
        exists: Whether it is there.
        initialize: Annotation `initialize`: None when absent, empty while a bootstrap runs.
        history: Annotation `history`, oldest first.
        members: Its pods, by name.
        unreadable: What could not be read, each with its reason.
    """

    subject: str
    exists: bool = False
    initialize: str | None = None
    history: tuple[Promotion, ...] = ()
    members: tuple[PatroniMember, ...] = ()
    unreadable: tuple[str, ...] = ()

    @property
    def system_identifier(self) -> int:
        """System identifier of the database cluster; 0 when Patroni has written none."""
        text = self.initialize or ""
        return int(text) if text.isascii() and text.isdigit() else 0

    @property
    def leader(self) -> PatroniMember | None:
        """The pod that leads and runs; None when there is none."""
        return next((one for one in self.members if one.is_primary or one.is_standby_leader), None)

    @property
    def timeline(self) -> int:
        """Timeline of the leader, else the one to which the history leads; 0 when neither says it."""
        leader = self.leader
        if leader is not None and leader.timeline:
            return leader.timeline
        return self.history[-1].timeline + 1 if self.history else 0


def read_patroni(server: Server, namespace: str, name: str, *, use_configmaps: bool) -> PatroniState:
    """Reads what Patroni has written of a database cluster.

    Args:
        server: The API server.
        namespace: Its namespace.
        name: Name of its custom resource.
        use_configmaps: Whether its pods have KUBERNETES_USE_CONFIGMAPS: then Patroni writes ConfigMaps, else Endpoints.

    Returns:
        What is there. What may not be read is named in `unreadable`.

    Raises:
        ApiError: The server refused for another reason than a missing permission.
    """
    # Patroni keeps its paths as names: `<scope>-config` (kubernetes.py, client_path and config_path).
    key = Key(CONFIG_MAP if use_configmaps else ENDPOINTS, namespace, f"{name}-config")
    unreadable: list[str] = []
    config: KubernetesObject | None = None
    pods: list[KubernetesObject] = []
    try:
        config = server.get(key)
    except ApiError as error:
        _only_forbidden(error)
        unreadable.append(f"{key.subject} cannot be read: no permission to get {key.resource.plural} in {namespace}")
    try:
        pods = server.list(POD, namespace, labels=f"{_CLUSTER_LABEL}={name}") or []
    except ApiError as error:
        _only_forbidden(error)
        unreadable.append(f"its pods cannot be read: no permission to list pods in {namespace}")
    annotations = ((config or {}).get("metadata") or {}).get("annotations") or {}
    initialize = annotations.get("initialize")
    return PatroniState(
        key.subject,
        exists=config is not None,
        initialize=None if initialize is None else str(initialize),
        history=history_in(annotations.get("history"), server),
        members=tuple(sorted((member_of(pod) for pod in pods), key=lambda one: one.name)),
        unreadable=tuple(unreadable),
    )


def _only_forbidden(error: ApiError) -> None:
    if error.status != 403:
        raise error


def history_in(text: object, server: Server) -> tuple[Promotion, ...]:
    """Reads the annotation `history`.

    Args:
        text: The annotation.
        server: Whose scrubber knows the credentials: whoever may write annotations may write anything.

    Returns:
        Its lines, oldest first; none where it is not of Patroni's form.
    """
    found = []
    for line in _json(text, list):
        if isinstance(line, list) and len(line) >= 3 and isinstance(line[0], int):
            words = [server.shown(str(one))[:_LONGEST_TEXT] for one in (line[2], line[3] if line[3:] else "")]
            found.append(Promotion(line[0], *words))
    return tuple(sorted(found, key=lambda one: one.timeline))


def member_of(pod: Mapping[str, Any]) -> PatroniMember:
    """Reads a pod.

    Args:
        pod: The pod.

    Returns:
        What it and Patroni say of it.
    """
    metadata, status = pod["metadata"], pod.get("status") or {}
    told = _json((metadata.get("annotations") or {}).get("status"), dict)
    timeline, position = told.get("timeline"), told.get("xlog_location")
    replication = str(told.get("replication_state") or "")
    return PatroniMember(
        name=str(metadata["name"]),
        leads=labels_of(pod).get(_ROLE_LABEL) in LEADER_LABELS,
        # A pod that is going away is no proof of anything that stays.
        ready=not metadata.get("deletionTimestamp") and _condition(status, "Ready").get("status") == "True",
        state=str(told.get("state") or "")[:_LONGEST_TEXT],
        role=str(told.get("role") or "")[:_LONGEST_TEXT],
        timeline=timeline if isinstance(timeline, int) else 0,
        trouble=_trouble(status),
        wal_position=position if isinstance(position, int) else 0,
        replication=replication if replication in _REPLICATION else "",
    )


def _trouble(status: Mapping[str, Any]) -> str:
    """Says why a container does not run. Only reasons and numbers: messages quote images and environments."""
    scheduled = _condition(status, "PodScheduled")
    if scheduled.get("status") == "False":
        return f"not scheduled ({scheduled.get('reason') or 'no reason given'})"
    for one in status.get("containerStatuses") or ():
        state, last = one.get("state") or {}, one.get("lastState") or {}
        waiting, ended = state.get("waiting") or {}, state.get("terminated") or last.get("terminated") or {}
        words = [str(waiting["reason"])] if waiting.get("reason") else []
        if ended:
            words.append(f"ended with {ended.get('exitCode')} ({ended.get('reason') or 'no reason given'})")
        if restarts := int(one.get("restartCount") or 0):
            words.append(f"restarted {restarts} times" if restarts > 1 else "restarted once")
        # A container that is only being made is on its way.
        if words and words != ["ContainerCreating"] and words != ["PodInitializing"]:
            return f"container {one.get('name')}: {', '.join(words)}"
    return ""


def _condition(status: Mapping[str, Any], kind: str) -> Mapping[str, Any]:
    return next((one for one in status.get("conditions") or () if one.get("type") == kind), {})


def _json(text: object, form: type[Any]) -> Any:
    try:
        value = json.loads(text) if isinstance(text, str) else form()
    except (ValueError, RecursionError):
        return form()
    return value if isinstance(value, form) else form()
