"""What is refused whatever the server would say to it."""

from __future__ import annotations

from planton.cluster.api.resources import POSTGRESQL, Key
from planton.cluster.changes import PlanOptions
from planton.cluster.planning.normalise import parse_quantity
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
        *_standby(key, desired["spec"], live.get("spec") or {}),
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


def major_upgrade(before: str, after: str) -> str:
    """Says what a raised version does, and what it does not.

    The operator passes it on as PGVERSION and, with major_version_upgrade_mode off, does no more (postgres-operator
    v1.15.1, pkg/cluster/majorversionupgrade.go). Spilo goes on with the version that it finds in the data directory
    (configure_spilo.py at 4.0-p3 and 4.1-p2).

    Args:
        before: Version that the database has.
        after: Version that it would get.

    Returns:
        The words, without a full stop.
    """
    return (
        f"its pods restart with PGVERSION={after}, and that is all the operator does; the data stays at PostgreSQL "
        f"{before} until /scripts/inplace_upgrade.py is run in the pod of the primary, and until then the WAL of "
        f"{before} goes to the archive of {after}"
    )


def _version(key: Key, desired: KubernetesObject, live: KubernetesObject, options: PlanOptions) -> list[str]:
    before, after = versions(desired, live)
    if not before or not after or before == after:
        return []
    if before.isdecimal() and after.isdecimal() and int(after) < int(before):
        return [f"{key.subject}: PostgreSQL {before} cannot become {after}: there is no way back to an older version"]
    if options.allow_version_change:
        return []
    return [
        f"{key.subject}: PostgreSQL {before} would become {after}: {major_upgrade(before, after)}. Back up first, then "
        "say so with --allow-version-change"
    ]


def _volume(key: Key, desired: KubernetesObject, live: KubernetesObject) -> list[str]:
    before_text = str((live.get("volume") or {}).get("size") or "")
    after_text = str((desired.get("volume") or {}).get("size") or "")
    if before_text == after_text:
        return []
    before, after = parse_quantity(before_text), parse_quantity(after_text)
    if before is None or after is None or after >= before:
        return []
    return [
        f"{key.subject}: the volume is {before_text} and cannot shrink to {after_text}: Kubernetes only lets volumes "
        "grow. Clone the database into a smaller one instead; until then write the old size, or leave its manifest out"
    ]


def _standby(key: Key, desired: KubernetesObject, live: KubernetesObject) -> list[str]:
    after, before = desired.get("standby"), live.get("standby")
    if not after or after == before:
        return []
    if not before:
        return [
            f"{key.subject}: it is a primary, and as a standby it would be demoted, stop to accept writes, and lose "
            "its data to that of the source. Make a standby with another name"
        ]
    return [
        f"{key.subject}: it follows {_followed(before)}, and would follow {_followed(after)}: its data would belong to "
        "neither. Make a new standby with another name, and delete this one"
    ]


def _followed(standby: KubernetesObject) -> str:
    return str(
        next((standby[name] for name in ("s3_wal_path", "gs_wal_path", "standby_host") if standby.get(name)), "?")
    )
