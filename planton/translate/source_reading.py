"""What the pods of a clone or a standby are given to read the archive of their source.

Spilo takes nothing for it from the variables of the database's own archive: each name stands there again with CLONE_
or STANDBY_ before it, and what has no such twin is not there for wal-g (Spilo 4.0-p3, configure_spilo.py,
write_wale_environment with its `prefix`; 4.1 likewise). So all that decides about reading is written out; an empty
value is not, since there is nothing that it would overrule.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from planton.sensitive import has_user
from planton.translate.archive_access import ArchiveAccess
from planton.translate.backup import CERTIFICATE
from planton.translate.contract import KubernetesObject
from planton.translate.names import source_files_secret, source_secret
from planton.translate.platform import BackupPlatform
from planton.translate.policy import ENCRYPTION_KEYS
from planton.translate.secret_values import Credentials, Reference
from planton.translate.store import CERTIFICATE_VARIABLE

_KEYS = frozenset({"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"})
_ROLE = "eks.amazonaws.com/role-arn"
# Where the cloud's webhook mounts it: https://github.com/aws/amazon-eks-pod-identity-webhook (README).
_TOKEN_FILE = "/var/run/secrets/eks.amazonaws.com/serviceaccount/token"


@dataclass(frozen=True, slots=True)
class SourceReading:
    """What pods are given for one source.

    Attributes:
        entries: Variable with its prefix -> its entry in `spec.env`.
        secrets: Name -> contents of the database's own Secrets for it.
        volumes: Entries of `spec.additionalVolumes` for it.
        lacking: What should be there and is not known, in words.
        sources: Key of those Secrets -> `namespace/name/key` of the Secret from which the source itself has it.
    """

    entries: Mapping[str, KubernetesObject]
    secrets: Mapping[str, Credentials] = field(default_factory=dict)
    volumes: tuple[KubernetesObject, ...] = ()
    lacking: tuple[str, ...] = ()
    sources: Mapping[str, str] = field(default_factory=dict)


def files_volume(secret: str, path: str) -> KubernetesObject:
    """Makes the volume of a Secret whose keys are mounted as files.

    The operator sees a change of an additional volume by its name only (postgres-operator v1.15.1,
    pkg/cluster/cluster.go, compareVolumeMounts): so the volume has that of the Secret.

    Args:
        secret: Name of the Secret.
        path: Where it is mounted.

    Returns:
        An entry of `spec.additionalVolumes`.
    """
    return {
        "name": secret,
        "mountPath": path,
        "targetContainers": ["postgres"],
        "volumeSource": {"secret": {"secretName": secret}},
    }


def literal(name: str, value: str) -> KubernetesObject:
    """Makes an entry of `spec.env` with a value.

    Args:
        name: Name of the variable.
        value: Its value.

    Returns:
        The entry.
    """
    return {"name": name, "value": value}


def _reference(name: str, secret: str, key: str) -> KubernetesObject:
    return {"name": name, "valueFrom": {"secretKeyRef": {"name": secret, "key": key}}}


def source_reading(access: ArchiveAccess, kind: str, name: str, platform: BackupPlatform | None) -> SourceReading:
    """Says by what the pods of a database read the archive of another one.

    Where the source takes a key from the operator's storage Secret, so do they: a copy of it is in every namespace.
    Any other key goes into a Secret of the database's own.

    Args:
        access: How the source is reached.
        kind: `clone` or `standby`.
        name: metadata.name of the database that reads.
        platform: Backup platform of its operator, or None without one.

    Returns:
        What they are given.
    """
    prefix = f"{kind.upper()}_"
    entries: dict[str, KubernetesObject] = {}
    own: set[str] = set()
    lacking: list[str] = []

    def add_literal(variable: str, value: str) -> None:
        if has_user(value):
            # Others may have a proxy's password there; in a custom resource everybody reads it.
            lacking.append(f"{variable} of it, without the user that stands in it,")
        elif value:
            entries[prefix + variable] = literal(prefix + variable, value)

    for variable, value in access.environment.items():
        if variable != CERTIFICATE_VARIABLE:
            add_literal(variable, value)
    # Names alone: what breaks shows the local variables of its frames.
    known, elsewhere = frozenset(access.contents.reveal()), frozenset(access.contents.unresolved)
    path = access.environment.get(CERTIFICATE_VARIABLE, "")
    for variable in sorted({*access.references, *known, *elsewhere}):
        secret, _, key = access.references.get(variable, "").partition("/")
        if platform is not None and secret and secret == platform.secret_name and key in platform.secret_keys:
            entries[prefix + variable] = _reference(prefix + variable, secret, key)
        elif variable == CERTIFICATE_VARIABLE:
            path = access.contents.reveal().get(variable, "unknown")
        elif variable not in _KEYS | ENCRYPTION_KEYS:
            # What stands beside a key in its Secret, such as the form of the key, is no credential.
            if variable not in known:
                lacking.append(f"{variable} of it")
            else:
                add_literal(variable, access.contents.reveal()[variable])
        elif variable in known | elsewhere:
            own.add(variable)
        else:
            lacking.append(f"{variable} of it")
    secrets: dict[str, Credentials] = {}
    if own:
        method = "pgp" if "WALG_PGP_KEY" in own else "libsodium" if "WALG_LIBSODIUM_KEY" in own else ""
        secret = source_secret(name, kind, keys=bool(own & _KEYS), encryption=method)
        secrets[secret] = access.contents.only(own)
        entries.update({prefix + one: _reference(prefix + one, secret, one) for one in own})
    volumes: list[KubernetesObject] = []
    if path and not access.certificates:
        lacking.append(f"the file of {CERTIFICATE_VARIABLE} of it")
    elif path:
        files, mount = source_files_secret(name, kind), f"/etc/planton/{kind}-ca"
        secrets[files] = access.certificates
        volumes.append(files_volume(files, mount))
        entries[prefix + CERTIFICATE_VARIABLE] = literal(prefix + CERTIFICATE_VARIABLE, f"{mount}/{CERTIFICATE}")
    entries.update(_identity(prefix, entries, platform))
    return SourceReading(
        entries=dict(sorted(entries.items())),
        secrets=secrets,
        sources={one: place for one in sorted(own) if (place := _place(access, one))},
        volumes=tuple(volumes),
        lacking=tuple(lacking),
    )


def _place(access: ArchiveAccess, variable: str) -> str:
    """Says in which Secret of its source a key stands; empty where that is not known, or can be a key itself."""
    secret, _, key = access.references.get(variable, "").partition("/")
    if not (access.namespace and secret and key):
        return ""
    reference = Reference("Secret", f"{access.namespace}/{secret}", key)
    return f"{reference.name}/{reference.key}" if reference.is_showable else ""


def _identity(
    prefix: str, entries: Mapping[str, KubernetesObject], platform: BackupPlatform | None
) -> Mapping[str, KubernetesObject]:
    """Gives the role by which a cloud knows the pods, where there are no keys.

    The cloud adds its variables without a prefix, and Spilo passes on only those with one. For a standby the operator
    that knows `irsa_role_arn` adds them itself (postgres-operator v2.0.1, k8sres.go, generateStandbyEnvironment), and
    of a second entry of the same name it would know nothing.
    """
    role = platform.service_account_annotations.get(_ROLE, "") if platform is not None else ""
    if not role or prefix != "CLONE_" or f"{prefix}AWS_ACCESS_KEY_ID" in entries:
        return {}
    given = {"AWS_ROLE_ARN": role, "AWS_WEB_IDENTITY_TOKEN_FILE": _TOKEN_FILE}
    return {prefix + name: literal(prefix + name, value) for name, value in given.items()}
