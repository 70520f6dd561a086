"""What a change does beyond its object, in words.

Which change of a custom resource restarts pods: postgres-operator v1.15.1, pkg/cluster/cluster.go
(compareStatefulSetWith) and pkg/cluster/sync.go (syncStatefulSet).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from planton.cluster.api.resources import POSTGRESQL, Key
from planton.cluster.backups.archives import Archives
from planton.cluster.backups.backup_effects import backup_effects, operator_effects, restart_reason
from planton.cluster.ownership import labels_of
from planton.cluster.planning.normalise import parse_quantity
from planton.cluster.planning.safety import major_upgrade, versions
from planton.translate.backup import CERTIFICATE
from planton.translate.beginning import standby_entries
from planton.translate.contract import KubernetesObject
from planton.translate.existing import secret_reference
from planton.translate.names import (
    BACKUP_CONFIGMAP,
    FILES_SECRET,
    GENERATION_ANNOTATION,
    INHERITED_LABELS,
    OPERATOR,
    OPERATOR_SELECTOR,
)

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
        return tuple(operator_effects(archives))
    if kind == "ConfigMap" and before is not None and after["metadata"]["name"] == OPERATOR:
        return tuple(_settings(after.get("data") or {}, before.get("data") or {}, archives))
    if kind == "Secret" and before is not None and before.get("data") and before.get("data") != after.get("data"):
        return tuple(_secret(after, before))
    return ()


def _secret(after: KubernetesObject, before: KubernetesObject) -> list[str]:
    metadata = after["metadata"]
    if set(after.get("data") or {}) == {CERTIFICATE} == set(before["data"]):
        # The kubelet writes a mounted Secret anew, and each call of wal-g reads the file.
        name = metadata["name"]
        whose = "the object store's authority" if name == FILES_SECRET else f"the authority that {name} is for"
        return [f"the certificate of {whose} changes: pods have the new one within minutes, and none restarts"]
    if _generation(after) != _generation(before):
        return []  # Pods are told by a variable; its change says which.
    return [f"pods in namespace {metadata.get('namespace', '')} keep the old keys until they restart"]


def _generation(secret: KubernetesObject) -> str:
    return str((secret["metadata"].get("annotations") or {}).get(GENERATION_ANNOTATION) or "")


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
        return [*effects, *_begins(after)]
    key = Key(POSTGRESQL, str(after["metadata"].get("namespace", "")), name)
    archives = replace(archives, live={key: before}, desired={key: after})
    earlier, later = versions(spec, old)
    is_upgrade = bool(earlier and later and earlier != later)
    if is_upgrade:
        effects.append(f"major upgrade of {name}: {major_upgrade(earlier, later)}")
    if reason := restart_reason(_variables(key, archives), [path for path in _RESTARTING if _differs(path, spec, old)]):
        effects.append(f"rolling restart of the pods of {name}: {reason}")
    elif not is_upgrade and _inherited(after) != _inherited(before):
        # The operator acts at once on changes of spec and annotations only: pkg/controller/postgresql.go
        # (postgresqlUpdate).
        when = "" if _is_acted_upon(after, before) else " at the operator's next sync (its resync_period, 30 minutes)"
        effects.append(f"rolling restart of the pods of {name}{when}: labels that they inherit change")
    if _instances(spec) != _instances(old) and _instances(spec) > 0:
        effects.append(f"{name} has {_instances(spec)} instead of {_instances(old)} pods")
    if _grows(spec, old):
        effects.append(f"the volumes of {name} grow, which cannot be undone")
    return [*effects, *_promotion(key, spec, old, archives), *backup_effects(key, archives), *_left(key, spec, old)]


def _begins(database: KubernetesObject) -> list[str]:
    """Says from what a new database is made."""
    name, spec = database["metadata"]["name"], database["spec"]
    values = {one.get("name"): str(one.get("value") or "") for one in spec.get("env") or ()}
    if path := (spec.get("standby") or {}).get("s3_wal_path"):
        return [f"{name} follows the archive {path}, read-only, until standby is taken out of its manifest"]
    if values.get("CLONE_METHOD") != "CLONE_WITH_WALE":
        return []
    # PostgreSQL takes no Z, and people write one.
    until = values.get("CLONE_TARGET_TIME", "").replace("+00:00", "Z")
    return [
        f"{name} starts from the archive {values.get('CLONE_WALG_S3_PREFIX')}, "
        + (f"as it was at {until}" if until else "with all that is archived")
    ]


def _promotion(key: Key, spec: Mapping[str, Any], old: Mapping[str, Any], archives: Archives) -> list[str]:
    if not old.get("standby") or spec.get("standby"):
        return []
    source = old["standby"].get("s3_wal_path") or "its source"
    _, archive = archives.moves(key)
    begins = f"begins to archive to {archive}" if archive else "archives nowhere, since its backups are off"
    return [
        f"{key.name} becomes a primary of its own: it accepts writes and {begins}; nothing ever flows to it from "
        f"{source} again",
        f"make sure that the old primary behind {source} is gone or fenced: applications would write to both",
        # What changes while it does not run is not told to Patroni: oldSpec and newSpec are the same to it then
        # (postgres-operator v1.15.1, pkg/cluster/sync.go, Sync).
        f"{key.name} is promoted by the operator that runs now, without a restart of its pod; one that starts only "
        "later does not do it any more (then: patronictl edit-config -s standby_cluster=null, in the pod)",
    ]


def _left(key: Key, spec: Mapping[str, Any], old: Mapping[str, Any]) -> list[str]:
    """Says which Secrets a database no longer needs: nothing is deleted without a word."""
    return [
        f"Secret {key.namespace}/{name} {_STAYS_BEHIND}"
        for name in sorted(_own_secrets(old) - _own_secrets(spec))
        if name
    ]


def _own_secrets(spec: Mapping[str, Any]) -> set[str]:
    references = [secret_reference(one) for one in spec.get("env") or ()]
    volumes = [(one.get("volumeSource") or {}).get("secret") or {} for one in spec.get("additionalVolumes") or ()]
    return {str(one.get("name") or "") for one in references} | {str(one.get("secretName") or "") for one in volumes}


_STAYS_BEHIND = (
    "stays, with what it holds; delete it by hand once the pods have restarted and no archive needs its keys"
)


def _variables(key: Key, archives: Archives) -> Sequence[str]:
    # What comes from the operator alone is said there, of all databases at once.
    if archives.follows(key):
        return ()
    live, desired = archives.live[key]["spec"], archives.desired[key]["spec"]
    was, is_now = ({**_by_operator(one), **_literals(one)} for one in (live, desired))
    # What the operator has made of spec.standby stays, as the custom resource's own.
    return [name for name in archives.changed_variables(key) if name not in is_now or was.get(name) != is_now[name]]


def _by_operator(spec: Mapping[str, Any]) -> dict[str, str]:
    return {name: str(one["value"]) for name, one in standby_entries(spec.get("standby")).items()}


def _literals(spec: Mapping[str, Any]) -> dict[str, str]:
    return {
        str(one.get("name")): str(one.get("value") or "")
        for one in spec.get("env") or ()
        if isinstance(one, Mapping) and "valueFrom" not in one
    }


def _differs(path: str, spec: Mapping[str, Any], old: Mapping[str, Any]) -> bool:
    return bool(_at(spec, path) != _at(old, path))


_TOLD = ("pod_environment_configmap", "pod_environment_secret")
_MOUNTED = ("additional_secret_mount", "additional_secret_mount_path")


def _settings(data: Mapping[str, str], old: Mapping[str, str], archives: Archives) -> list[str]:
    effects = []
    if any((data.get(name) or "") != (old.get(name) or "") for name in _TOLD):
        effects += operator_effects(archives)
    if archives.live and any((data.get(name) or "") != (old.get(name) or "") for name in _MOUNTED):
        change = "mounted into them" if data.get(_MOUNTED[0]) else "mounted no more"
        what = f"the certificate of the object store's authority is {change}"
        effects.append(f"rolling restart of the pods of {_all(len(archives.live))}: {what}")
    for name in ("pod_environment_secret", "additional_secret_mount"):
        if archives.live and old.get(name) and data.get(name) != old[name]:
            effects.append(f"Secret {old[name]} in each namespace with a database {_STAYS_BEHIND}")
    image, image_before = data.get("docker_image"), old.get("docker_image")
    count = sum(1 for one in archives.live.values() if not _at(one.get("spec") or {}, "dockerImage"))
    if image != image_before and count:
        effects.append(f"rolling restart of {_all(count)} (image {image_before or 'of the operator'} -> {image})")
    return effects


def _all(count: int) -> str:
    return f"all {count} databases" if count > 1 else "the one database"


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
