"""How an archive is reached and read once the custom resource that said so is gone: what is written down of it.

No credential is in it: of each key, the Secret that has it. What a custom resource says in plain text where a key
belongs, or takes from elsewhere than a Secret, is named as missing and not written down.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from planton.sensitive import has_user
from planton.translate.archive import resolve, store_name
from planton.translate.archive_access import READING_VARIABLES, ArchiveAccess
from planton.translate.archive_record import UNKNOWN, LeftArchive
from planton.translate.backup import CERTIFICATE
from planton.translate.policy import ENCRYPTION_KEYS, ENCRYPTION_VARIABLES
from planton.translate.reading_facts import ReadingFacts
from planton.translate.secret_values import Credentials
from planton.translate.store import CERTIFICATE_VARIABLE

CREDENTIAL_VARIABLES = frozenset({"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", *ENCRYPTION_KEYS})
"""Those of READING_VARIABLES whose values are never written down."""
BESIDE_KEYS = READING_VARIABLES - CREDENTIAL_VARIABLES
"""Those that are no credentials, also where they stand in a Secret beside the keys."""


@dataclass(frozen=True, slots=True)
class Said:
    """What the pods of a database are told of one variable.

    Attributes:
        value: Its literal value; None for what comes from elsewhere.
        secret: `namespace/name/key` where it comes from a Secret; else empty.
    """

    value: str | None = field(repr=False)
    secret: str = ""


def reading_facts(
    said: Mapping[str, Said],
    *,
    scope: str,
    version: str,
    namespace: str,
    beside: Mapping[str, str],
    empty: frozenset[str] = frozenset(),
    certificate: str = "",
) -> ReadingFacts:
    """Puts together what is written down of an archive.

    Args:
        said: What the pods of its database are told, each variable once; only READING_VARIABLES count.
        scope: Name of the database's custom resource.
        version: Major version of PostgreSQL; empty when it is not known.
        namespace: Its namespace.
        beside: Values of BESIDE_KEYS that come from a Secret.
        empty: Variables that come from a Secret and are empty there: as good as not said.
        certificate: `namespace/name/key` of the certificate of the store's authority; empty when there is none.

    Returns:
        The facts, without a credential.
    """
    environment: dict[str, str] = {}
    references: dict[str, str] = {}
    missing = []
    for name in sorted(READING_VARIABLES & said.keys()):
        one = said[name]
        value = beside.get(name) if one.secret and name in BESIDE_KEYS else one.value
        if value is not None:
            value = resolve(value, scope=scope, version=version, namespace=namespace)
        if value is None and one.secret:
            if name not in empty:
                references[name] = one.secret
        elif value is None or (value and (name in CREDENTIAL_VARIABLES or has_user(value))):
            missing.append(name)
        elif value and name != CERTIFICATE_VARIABLE:  # A path in pods that are gone.
            environment[name] = value
    return ReadingFacts(environment, references, certificate, tuple(missing))


def access_of_left(
    left: LeftArchive,
    *,
    inherited: ReadingFacts | None = None,
    contents: Credentials | None = None,
    certificates: Credentials | None = None,
) -> ArchiveAccess | None:
    """Says how an archive of the record is reached.

    Args:
        left: The archive.
        inherited: What a database without settings of its own is told by the operator now: it holds for an archive of
            the same store of which nothing was written down.
        contents: Variable -> its value, read from where `places_of` says.
        certificates: `ca.crt` -> certificate of the store's authority, likewise.

    Returns:
        The access; None where nobody knows any more how its store is reached.
    """
    facts = facts_of_left(left, inherited)
    if facts is None:
        return None
    known = (contents or Credentials({})).reveal()
    return ArchiveAccess(
        namespace=left.namespace,
        scope=left.name,
        version=left.version,
        prefix=left.prefix,
        environment=facts.environment,
        references={name: place.partition("/")[2] for name, place in facts.references.items()},
        contents=Credentials({name: known[name] for name in facts.references if name in known}),
        certificates=certificates or Credentials({}),
    )


_ADDRESSES = frozenset({"AWS_ENDPOINT", "WALE_S3_ENDPOINT"})


def facts_of_left(left: LeftArchive, inherited: ReadingFacts | None = None) -> ReadingFacts | None:
    """Gives what is known of how an archive of the record is reached.

    Args:
        left: The archive.
        inherited: What a database without settings of its own is told by the operator now.

    Returns:
        What was written down; else what the operator says, where it is of the same store; else None. None also where
        its store's address could not be written down.
    """
    if left.reading is not None:
        # An endpoint with a user in it is not written down. Without any the archive would be looked for at Amazon.
        return None if _ADDRESSES & {*left.reading.missing} else left.reading
    bucket = left.prefix.removeprefix("s3://").partition("/")[0]
    if inherited is None or store_name(inherited.environment.get("AWS_ENDPOINT", ""), bucket) != left.store:
        return None
    return _encrypted_as(inherited, left.encryption.partition(" ")[0])


def _encrypted_as(inherited: ReadingFacts, method: str) -> ReadingFacts:
    """Takes away keys for encryption that the archive was not written with: wal-g would decrypt what is in clear."""
    if method == UNKNOWN:
        return inherited
    prefix = f"WALG_{method.upper()}_" if method else ""
    others = {name for name in ENCRYPTION_VARIABLES if not prefix or not name.startswith(prefix)}
    references = {name: place for name, place in inherited.references.items() if name not in others}
    missing = [f"{prefix}KEY"] * bool(prefix and f"{prefix}KEY" not in references)
    return replace(
        inherited,
        environment={name: value for name, value in inherited.environment.items() if name not in others},
        references=references,
        missing=tuple(sorted({*inherited.missing, *missing} - others)),
    )


def places_of(facts: ReadingFacts) -> dict[str, str]:
    """Gives the places in Secrets that have to be read to read an archive.

    Whoever may write the record may write anything into it. So a key of a Secret counts only where it has the name of
    the variable that it is for, as in all of planton's Secrets: no other value of a Secret is ever sent to a store.

    Args:
        facts: What is known of the archive.

    Returns:
        Variable, or `ca.crt` -> `namespace/name/key`.
    """
    places = {name: place for name, place in facts.references.items() if place.rpartition("/")[2] == name}
    if facts.certificate.rpartition("/")[2] == CERTIFICATE:
        places[CERTIFICATE] = facts.certificate
    return places
