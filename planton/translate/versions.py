"""Versions that belong together: operator, Spilo image, and what they can do.

Sources: the operator's charts at v1.15.1 and v2.0.1 (default `docker_image`), its CRD (enum of
`spec.postgresql.version`), and Spilo's `configure_spilo.py` at 4.0-p3 and 4.1-p2.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

DEFAULT_POSTGRES_VERSION = "17"
"""Major version of a new database that does not say one."""


@dataclass(frozen=True, slots=True)
class OperatorVersion:
    """One version of the operator with its Spilo.

    Attributes:
        version: Version of the operator.
        image: Image of the operator.
        spilo_image: Image of the database pods (`docker_image`).
        postgres_versions: Major versions of PostgreSQL that its CRD accepts.
        has_restore_switch: Whether its Spilo reads USE_WALG_RESTORE: 4.1 and later do not.
        has_role_setting: Whether it knows `irsa_role_arn`, and its wal-g takes such a role: wal-g 3.0.5 of Spilo 4.0
            fails at every call where a pod has AWS_ROLE_ARN (wal-g issue 1810, mended in 3.0.6).
        uses_configmaps_by_default: The code's default of `kubernetes_use_configmaps`.
    """

    version: str
    image: str
    spilo_image: str
    postgres_versions: tuple[str, ...]
    has_restore_switch: bool
    has_role_setting: bool
    uses_configmaps_by_default: bool


OPERATOR_VERSIONS: Mapping[str, OperatorVersion] = MappingProxyType(
    {
        one.version: one
        for one in (
            OperatorVersion(
                version="1.15.1",
                image="ghcr.io/zalando/postgres-operator:v1.15.1",
                spilo_image="ghcr.io/zalando/spilo-17:4.0-p3",
                postgres_versions=("13", "14", "15", "16", "17"),
                has_restore_switch=True,
                has_role_setting=False,
                uses_configmaps_by_default=False,
            ),
            OperatorVersion(
                version="2.0.1",
                image="ghcr.io/zalando/postgres-operator:v2.0.1",
                spilo_image="ghcr.io/zalando/spilo-18:4.1-p2",
                postgres_versions=("14", "15", "16", "17", "18"),
                has_restore_switch=False,
                has_role_setting=True,
                uses_configmaps_by_default=True,
            ),
        )
    }
)
"""The known pairs, by version of the operator."""
