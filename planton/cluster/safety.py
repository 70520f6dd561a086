"""What is refused whatever the server would say to it."""

from __future__ import annotations

from planton.cluster._resources import POSTGRESQL, Key
from planton.cluster.changes import PlanOptions
from planton.cluster.normalise import parse_quantity
from planton.translate.contract import KubernetesObject


def refusals(key: Key, desired: KubernetesObject, live: KubernetesObject, options: PlanOptions) -> list[str]:
    """Finds what must not be done to an object that exists.

    Args:
        key: Its identity.
        desired: What would be sent.
        live: What is there.
        options: What is allowed.

    Returns:
        Reasons with their remedies; empty when nothing is wrong.
    """
    if key.resource is not POSTGRESQL:
        return []
    return [
        *_version(key, desired["spec"], live.get("spec") or {}, options),
        *_volume(key, desired["spec"], live.get("spec") or {}),
    ]


def versions(desired: KubernetesObject, live: KubernetesObject) -> tuple[str, str]:
    """Gives the PostgreSQL versions of a database.

    Args:
        desired: spec that would be sent.
        live: spec that is there.

    Returns:
        Its version now and then; empty where none is set.
    """
    before = str((live.get("postgresql") or {}).get("version") or "")
    after = str((desired.get("postgresql") or {}).get("version") or "")
    return before, after


def _version(key: Key, desired: KubernetesObject, live: KubernetesObject, options: PlanOptions) -> list[str]:
    before, after = versions(desired, live)
    if not before or not after or before == after:
        return []
    if before.isdecimal() and after.isdecimal() and int(after) < int(before):
        return [f"{key.subject}: PostgreSQL {before} cannot become {after}: there is no way back to an older version"]
    if options.allow_version_change:
        return []
    return [
        f"{key.subject}: PostgreSQL {before} would become {after}, which is a major upgrade: "
        "back up first, then say so with --allow-version-change"
    ]


def _volume(key: Key, desired: KubernetesObject, live: KubernetesObject) -> list[str]:
    before_text = str((live.get("volume") or {}).get("size") or "")
    after_text = str((desired.get("volume") or {}).get("size") or "")
    before, after = parse_quantity(before_text), parse_quantity(after_text)
    if before is None or after is None or after >= before:
        return []
    return [
        f"{key.subject}: the volume is {before_text} and cannot shrink to {after_text}: Kubernetes only lets volumes "
        "grow. Clone the database into a smaller one instead"
    ]
