"""What a change does beyond its object, in words.

Which change of a custom resource restarts pods: postgres-operator v1.15.1, pkg/cluster/cluster.go
(compareStatefulSetWith) and pkg/cluster/sync.go (syncStatefulSet).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from planton.cluster.normalise import parse_quantity
from planton.cluster.safety import versions
from planton.translate.contract import KubernetesObject
from planton.translate.names import BACKUP_CONFIGMAP, OPERATOR, OPERATOR_SELECTOR

# Fields of spec that end up in the containers of the pods.
_RESTARTING = (
    "env",
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


def effects_of(after: KubernetesObject, before: KubernetesObject | None) -> tuple[str, ...]:
    """Says what a change does.

    Args:
        after: The object as it would be.
        before: The object as it is; None when it is new.

    Returns:
        Sentences without a full stop; empty when nothing beyond the object changes.
    """
    kind = after.get("kind")
    if kind == "postgresql":
        return tuple(_database(after, before))
    if kind == "Deployment" and before is not None:
        return tuple(_operator(after, before))
    if kind == "ConfigMap" and before is not None and after["metadata"]["name"] == BACKUP_CONFIGMAP:
        return tuple(_platform(after.get("data") or {}, before.get("data") or {}))
    if kind == "ConfigMap" and before is not None and after["metadata"]["name"] == OPERATOR:
        images = [(one.get("data") or {}).get("docker_image") for one in (before, after)]
        return () if images[0] == images[1] else ("the pods of all databases restart with another image",)
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


def _database(after: KubernetesObject, before: KubernetesObject | None) -> list[str]:
    name = after["metadata"]["name"]
    spec = after["spec"]
    old: KubernetesObject = (before or {}).get("spec") or {}
    effects = []
    if spec.get("numberOfInstances") == 0 and old.get("numberOfInstances") != 0:
        effects.append(f"{name} runs no pod: it is stopped, and nothing is archived")
    if before is None:
        return effects
    earlier, later = versions(spec, old)
    if earlier and later and earlier != later:
        effects.append(
            f"major upgrade of {name} from PostgreSQL {earlier} to {later}: its pods restart, and until the upgrade "
            "has run the old server archives into the new version's prefix"
        )
    if any(_at(spec, path) != _at(old, path) for path in _RESTARTING):
        effects.append(f"rolling restart of the pods of {name}")
    if _instances(spec) != _instances(old) and _instances(spec) > 0:
        effects.append(f"{name} has {_instances(spec)} instead of {_instances(old)} pods")
    if _grows(spec, old):
        effects.append(f"the volumes of {name} grow, which cannot be undone")
    return [*effects, *_backups(name, _env(spec), _env(old))]


def _backups(name: str, env: Mapping[str, str], old: Mapping[str, str]) -> list[str]:
    effects = []
    off = env.get("WALG_S3_PREFIX") == ""
    was_off = old.get("WALG_S3_PREFIX") == ""
    if off and not was_off:
        effects.append(f"backups of {name} stop")
    elif was_off and not off:
        effects.append(f"backups of {name} begin")
    elif env.get("WALG_S3_PREFIX") != old.get("WALG_S3_PREFIX"):
        effects.append(f"the archive of {name} moves: what is in the old place stays there, and restores need it")
    return effects


def _platform(data: Mapping[str, str], old: Mapping[str, str]) -> list[str]:
    who = "the databases that inherit them from the operator"
    if old.get("WALG_S3_PREFIX") and not data.get("WALG_S3_PREFIX"):
        return [f"backups of {who} stop"]
    if data.get("WALG_S3_PREFIX") and not old.get("WALG_S3_PREFIX"):
        return [f"backups of {who} begin"]
    if any(data.get(name) != old.get(name) for name in ("WALG_S3_PREFIX", "AWS_ENDPOINT", "AWS_REGION")):
        return [f"the archives of {who} move: what is in the old place stays there, and restores need it"]
    return []


def _at(spec: Mapping[str, Any], path: str) -> Any:
    value: Any = spec
    for part in path.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def _env(spec: Mapping[str, Any]) -> dict[str, str]:
    return {
        str(one.get("name")): str(one.get("value", "")) for one in spec.get("env") or () if isinstance(one, Mapping)
    }


def _instances(spec: Mapping[str, Any]) -> int:
    return int(spec.get("numberOfInstances") or 0)


def _grows(spec: Mapping[str, Any], old: Mapping[str, Any]) -> bool:
    now, then = (parse_quantity((one.get("volume") or {}).get("size")) for one in (spec, old))
    return now is not None and then is not None and now > then
