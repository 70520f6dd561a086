"""The backup environment of one database's pods: each variable, where it comes from, what it resolves to."""

from __future__ import annotations

from planton.translate.beginning import beginning_of
from planton.translate.existing import Existing
from planton.translate.platform import BackupPlatform
from planton.translate.variables import SPILO_DEFAULTS as SPILO_DEFAULTS
from planton.translate.variables import Variable as Variable
from planton.translate.variables import backup_variables
from planton.translate.variables import effective as effective
from planton.types import PostgresKubernetes


def environment(
    message: PostgresKubernetes, platform: BackupPlatform | None = None, existing: Existing | None = None
) -> list[Variable]:
    """Computes the backup environment of a database's pods, as the operator will make it.

    Args:
        message: The database, with its defaults filled.
        platform: Backup platform, or None without operator-level backups.
        existing: Facts of the cluster.

    Returns:
        The variables, sorted by name; never the value of a Secret.
    """
    existing = existing or Existing()
    beginning = beginning_of(message, platform, existing)
    return backup_variables(message, platform, existing, beginning.variables(), beginning.dropped)
