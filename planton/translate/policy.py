"""Encryption, retention and tuning: what a manifest says of them, and the variables by which wal-g hears of it.

Which names reach wal-g, and in which form: Spilo 4.0-p3 and 4.1 (configure_spilo.py, postgres_backup.sh) and wal-g
v3.0.5 and v3.0.8 (internal/configure.go, internal/config/config.go). A name that is not among them never reaches it,
so that nothing else is offered. A new setting is a field in policy.proto and a row in _TUNING.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from planton import quantity
from planton.types import BackupEncryption, BackupRetention, BackupTuning, SecretValue

DEFAULT_RETENTION = 5
"""BACKUP_NUM_TO_RETAIN where nothing is said: Spilo 4.0-p3, configure_spilo.py (get_placeholders)."""


def _boolean(value: Any) -> str:
    return "true" if value else "false"


def _bytes(value: Any) -> str:
    # wal-g reads a plain number; anything with a unit is 0 to it.
    return str(int(quantity.parse(value)))


_TUNING: Mapping[str, tuple[tuple[str, ...], Callable[[Any], str]]] = MappingProxyType(
    {
        # Base backups on Spilo 4.1 have the second name only, WAL the first one.
        "compression_method": (("WALG_COMPRESSION_METHOD", "WALG_BACKUP_COMPRESSION_METHOD"), str),
        "delta_max_steps": (("WALG_DELTA_MAX_STEPS",), str),
        "delta_origin": (("WALG_DELTA_ORIGIN",), str),
        "upload_concurrency": (("WALG_UPLOAD_CONCURRENCY",), str),
        "download_concurrency": (("WALG_DOWNLOAD_CONCURRENCY",), str),
        "upload_disk_concurrency": (("WALG_UPLOAD_DISK_CONCURRENCY",), str),
        "network_rate_limit": (("WALG_NETWORK_RATE_LIMIT",), _bytes),
        "disk_rate_limit": (("WALG_DISK_RATE_LIMIT",), _bytes),
        "backup_from_replica": (("WALG_BACKUP_FROM_REPLICA",), _boolean),
        "prevent_wal_overwrite": (("WALG_PREVENT_WAL_OVERWRITE",), _boolean),
    }
)
"""Field -> the variables that it sets, and how its value is written."""

ENCRYPTION_VARIABLES = (
    "WALG_LIBSODIUM_KEY",
    "WALG_LIBSODIUM_KEY_TRANSFORM",
    "WALG_PGP_KEY",
    "WALG_PGP_KEY_PASSPHRASE",
)
"""What decides about encryption by wal-g. A PGP key wins over one of libsodium, so that they change together."""

ENCRYPTION_KEYS = frozenset(ENCRYPTION_VARIABLES) - {"WALG_LIBSODIUM_KEY_TRANSFORM"}
"""Those of them that are credentials."""

POLICY_VARIABLES = frozenset(
    ("BACKUP_NUM_TO_RETAIN", "WALG_LIBSODIUM_KEY_TRANSFORM", *(name for names, _ in _TUNING.values() for name in names))
)
"""Names of the variables of retention and tuning, and of encryption what is no credential."""


@dataclass(frozen=True, slots=True)
class Encryption:
    """How wal-g encrypts.

    Attributes:
        method: `libsodium`, `pgp`, or empty for not at all.
        environment: Variables that are no credentials.
        keys: Key of a Secret, which is the name of the variable -> its value in the manifest.
    """

    method: str
    environment: Mapping[str, str] = field(default_factory=dict)
    keys: Mapping[str, SecretValue] = field(default_factory=dict, repr=False)


def encryption_of(message: BackupEncryption) -> Encryption:
    """Reads how wal-g shall encrypt.

    Args:
        message: What a manifest says.

    Returns:
        What it comes to.
    """
    method = message.WhichOneof("method")
    if method == "libsodium":
        libsodium = message.libsodium
        return Encryption(
            "libsodium",
            {"WALG_LIBSODIUM_KEY_TRANSFORM": libsodium.transform},
            {"WALG_LIBSODIUM_KEY": libsodium.key},
        )
    if method == "pgp":
        # An empty passphrase is none: the key stands in the Secret in both cases, so that none goes while pods refer
        # to it.
        passphrase = message.pgp.passphrase if message.pgp.HasField("passphrase") else SecretValue(value="")
        return Encryption("pgp", {}, {"WALG_PGP_KEY": message.pgp.key, "WALG_PGP_KEY_PASSPHRASE": passphrase})
    return Encryption("")


def policy_environment(retention: BackupRetention, tuning: BackupTuning) -> dict[str, str]:
    """Gives the variables of what is said, and of nothing else.

    Args:
        retention: What a manifest says of retention.
        tuning: What it says of wal-g's settings.

    Returns:
        Name -> value, sorted by name.
    """
    environment: dict[str, str] = {}
    if retention.HasField("backups_and_days"):
        environment["BACKUP_NUM_TO_RETAIN"] = str(retention.backups_and_days)
    for name, (variables, written) in _TUNING.items():
        if tuning.HasField(name):  # type: ignore[arg-type]
            value = written(getattr(tuning, name))
            environment.update(dict.fromkeys(variables, value))
    return dict(sorted(environment.items()))
