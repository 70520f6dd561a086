"""What a change does beyond its object, in words.

Which change of a custom resource restarts pods: postgres-operator v1.15.1, pkg/cluster/cluster.go
(compareStatefulSetWith) and pkg/cluster/sync.go (syncStatefulSet).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from planton.cluster._resources import POSTGRESQL, Key
from planton.cluster.archives import Archives, environment
from planton.cluster.normalise import parse_quantity
from planton.cluster.ownership import labels_of
from planton.cluster.safety import major_upgrade, versions
from planton.translate.contract import KubernetesObject
from planton.translate.names import BACKUP_CONFIGMAP, INHERITED_LABELS, OPERATOR, OPERATOR_SELECTOR

# Fields of spec that end up in the containers of the pods, besides env.
_RESTARTING = (
    "resources",
    "dockerImage",
    "volume.mount",
    "tolerations",
    "nodeAffinity",
    "podPriorityClassName",
    "spiloRunAsUser",
    "spiloRunAsGroup",
    "spiloFSGroup",
    "sidecars",
    "initContainers",
    "additionalVolumes",
)


# So many databases are named; of more, how many there are.
_NAMED = 10


def effects_of(
    after: KubernetesObject, before: KubernetesObject | None, archives: Archives | None = None
) -> tuple[str, ...]:
    """Says what a change does.

    Args:
        after: The object as it would be.
        before: The object as it is; None when it is new.
        archives: What the databases of the cluster inherit and say themselves; None when there are none.

    Returns:
        Sentences without a full stop; empty when nothing beyond the object changes.
    """
    kind = after.get("kind")
    archives = archives or Archives()
    if kind == "postgresql":
        return tuple(_database(after, before, archives))
    if kind == "Deployment" and before is not None:
        return tuple(_operator(after, before))
    if kind == "ConfigMap" and before is not None and after["metadata"]["name"] == BACKUP_CONFIGMAP:
        return tuple(_platform(archives))
    if kind == "ConfigMap" and before is not None and after["metadata"]["name"] == OPERATOR:
        return tuple(_settings(after.get("data") or {}, before.get("data") or {}, archives))
    if kind == "Secret" and before is not None and before.get("data") and before.get("data") != after.get("data"):
        namespace = after["metadata"].get("namespace", "")
        return (f"pods in namespace {namespace} keep the old keys until they restart",)
    return ()


def _operator(after: KubernetesObject, before: KubernetesObject) -> list[str]:
    selector = ((after["spec"].get("selector") or {}).get("matchLabels")) or {}
    if selector.get("app.kubernetes.io/name") != OPERATOR_SELECTOR["app.kubernetes.io/name"]:
        return []
    effects = []
    if after["spec"].get("template") != before["spec"].get("template"):
        effects.append(f"{OPERATOR} restarts and syncs all databases; pods whose environment changes restart")
    if after["spec"].get("replicas") == 0 and before["spec"].get("replicas") != 0:
        effects.append(f"{OPERATOR} stops: no database is looked after")
    return effects


def _database(after: KubernetesObject, before: KubernetesObject | None, archives: Archives) -> list[str]:
    name = after["metadata"]["name"]
    spec = after["spec"]
    old: KubernetesObject = (before or {}).get("spec") or {}
    effects = []
    if spec.get("numberOfInstances") == 0 and old.get("numberOfInstances") != 0:
        effects.append(f"{name} runs no pod: it is stopped, and nothing is archived")
    if before is None:
        return effects
    key = Key(POSTGRESQL, str(after["metadata"].get("namespace", "")), name)
    archives = replace(archives, live={key: before}, desired={key: after})
    earlier, later = versions(spec, old)
    is_upgrade = bool(earlier and later and earlier != later)
    if is_upgrade:
        effects.append(f"major upgrade of {name}: {major_upgrade(earlier, later)}")
    if any(_at(spec, path) != _at(old, path) for path in _RESTARTING) or archives.changes_environment(key):
        effects.append(f"rolling restart of the pods of {name}")
    elif not is_upgrade and _inherited(after) != _inherited(before):
        # The operator acts at once on changes of spec and annotations only: pkg/controller/postgresql.go
        # (postgresqlUpdate).
        when = "" if _is_acted_upon(after, before) else " at the operator's next sync (its resync_period, 30 minutes)"
        effects.append(f"rolling restart of the pods of {name}{when}: labels that they inherit change")
    if _instances(spec) != _instances(old) and _instances(spec) > 0:
        effects.append(f"{name} has {_instances(spec)} instead of {_instances(old)} pods")
    if _grows(spec, old):
        effects.append(f"the volumes of {name} grow, which cannot be undone")
    start, end = archives.moves(key) if environment(before) != environment(after) else ("", "")
    if start and not end:
        effects.append(f"backups of {name} stop")
    elif end and not start:
        effects.append(f"backups of {name} begin")
    elif start != end:
        effects.append(f"the archive of {name} moves: {_STAYS}")
    return effects


_STAYS = "what is in the old place stays there, and restores need it"


def _platform(archives: Archives) -> list[str]:
    stop, begin, move = archives.of_the_operator()
    effects = []
    if stop:
        effects.append(f"backups of {_counted(stop)} stop: {_listed(stop)}")
    if begin:
        effects.append(f"backups of {_counted(begin)} begin: {_listed(begin)}")
    if move:
        effects.append(f"the archives of {_counted(move)} move ({_listed(move)}): {_STAYS}")
    return effects


def _settings(data: Mapping[str, str], old: Mapping[str, str], archives: Archives) -> list[str]:
    effects = []
    if data.get("pod_environment_configmap") != old.get("pod_environment_configmap"):
        effects += _platform(archives)
    image, image_before = data.get("docker_image"), old.get("docker_image")
    count = sum(1 for one in archives.live.values() if not _at(one.get("spec") or {}, "dockerImage"))
    if image != image_before and count:
        who = f"all {count} databases" if count > 1 else "the one database"
        effects.append(f"rolling restart of {who} (image {image_before or 'of the operator'} -> {image})")
    return effects


def _counted(names: Sequence[str]) -> str:
    return f"{len(names)} database{'' if len(names) == 1 else 's'}"


def _listed(names: Sequence[str]) -> str:
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")


def _inherited(database: KubernetesObject) -> dict[str, str]:
    return {name: value for name, value in labels_of(database).items() if name in INHERITED_LABELS}


def _is_acted_upon(after: KubernetesObject, before: KubernetesObject) -> bool:
    return bool(
        after["spec"] != before.get("spec")
        or (after["metadata"].get("annotations") or {}) != (before["metadata"].get("annotations") or {})
    )


def _at(spec: Mapping[str, Any], path: str) -> Any:
    value: Any = spec
    for part in path.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def _instances(spec: Mapping[str, Any]) -> int:
    return int(spec.get("numberOfInstances") or 0)


def _grows(spec: Mapping[str, Any], old: Mapping[str, Any]) -> bool:
    now, then = (parse_quantity((one.get("volume") or {}).get("size")) for one in (spec, old))
    return now is not None and then is not None and now > then
