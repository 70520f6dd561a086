"""How archives are reached: of a live database by its custom resource and its operator, of a lost one by the record."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from planton.cluster.api.resources import CONFIG_MAP, SECRET, Key
from planton.cluster.api.server import Server, in_parallel, results
from planton.cluster.backups.archives import Archives, version_of
from planton.translate.archive_access import READING_VARIABLES, ArchiveAccess
from planton.translate.archive_record import RECORD_CONFIGMAP, LeftArchive, left_archives
from planton.translate.backup import CERTIFICATE, FILES_PATH
from planton.translate.effective_archive import archive_address
from planton.translate.left_access import (
    BESIDE_KEYS,
    CREDENTIAL_VARIABLES,
    Said,
    access_of_left,
    facts_of_left,
    places_of,
    reading_facts,
)
from planton.translate.names import FILES_SECRET, is_storage_secret
from planton.translate.pod_variables import entries_that_count, layered
from planton.translate.reading_facts import ReadingFacts
from planton.translate.secret_values import Credentials, secret_text
from planton.translate.store import CERTIFICATE_VARIABLE


def live_facts(server: Server, archives: Archives, key: Key) -> ReadingFacts | None:
    """Gathers how the archive of a live database is reached, as its pods are told now. No credential is in it.

    Args:
        server: The API server.
        archives: What databases inherit and say themselves.
        key: Identity of its custom resource.

    Returns:
        The facts; None for a database without an archive, or with one that is not reached by the S3 API.

    Raises:
        ClusterError: The server refused.
    """
    live = archives.live[key]
    said = _said(archives, key, live)
    literal = {name: one.value for name, one in said.items() if one.value is not None}
    if not archive_address(literal, key.namespace)[0].startswith("s3://"):
        return None
    reading = {name: one for name, one in said.items() if name in READING_VARIABLES}
    beside, empty = _beside(server, reading)
    path = beside.get(CERTIFICATE_VARIABLE) or (reading.get(CERTIFICATE_VARIABLE) or Said("")).value or ""
    return reading_facts(
        reading,
        scope=key.name,
        version=version_of(live),
        namespace=key.namespace,
        beside=beside,
        empty=empty,
        certificate=_certificate(path, live, key.namespace),
    )


def inherited_facts(server: Server, archives: Archives) -> ReadingFacts | None:
    """Gathers what a database without settings of its own is told by its operator.

    Args:
        server: The API server.
        archives: What databases inherit and say themselves.

    Returns:
        The facts, with the operator's own Secret; None without an operator that has backups.

    Raises:
        ClusterError: The server refused.
    """
    if not archives.namespace or not archives.before:
        return None
    said = _inherited(archives, archives.namespace)
    reading = {name: one for name, one in said.items() if name in READING_VARIABLES}
    beside, empty = _beside(server, reading)
    path = beside.get(CERTIFICATE_VARIABLE) or (reading.get(CERTIFICATE_VARIABLE) or Said("")).value or ""
    certificate = _certificate(path, {}, archives.namespace)
    return reading_facts(
        reading, scope="", version="", namespace="", beside=beside, empty=empty, certificate=certificate
    )


def _said(archives: Archives, key: Key, live: Mapping[str, Any]) -> dict[str, Said]:
    own: dict[str, Said] = {}
    for name, entry in entries_that_count(live):
        source = entry.get("valueFrom")
        if source is None:
            own[name] = Said(str(entry.get("value") or ""))
            continue
        reference = source.get("secretKeyRef") if isinstance(source, Mapping) else None
        place = ""
        if isinstance(reference, Mapping) and reference.get("name") and reference.get("key"):
            place = f"{key.namespace}/{reference['name']}/{reference['key']}"
        own[name] = Said(None, place)
    return layered(own, _inherited(archives, key.namespace))


def _inherited(archives: Archives, namespace: str) -> dict[str, Said]:
    secret = archives.secret_name_before
    copied = {name: Said(None, f"{namespace}/{secret}/{name}") for name in archives.secret_before if secret}
    return layered(copied, {name: Said(str(value)) for name, value in archives.before.items()})


def _beside(server: Server, reading: Mapping[str, Said]) -> tuple[dict[str, str], frozenset[str]]:
    """Reads what stands in Secrets beside the keys and is no credential; and which keys are empty there."""
    wanted = {name: one.secret.split("/", 2) for name, one in reading.items() if one.secret}
    if not any(name in BESIDE_KEYS or name == _PASSPHRASE for name in wanted):
        return {}, frozenset()
    secrets = _read(server, {(place[0], place[1]) for place in wanted.values()})
    texts = {
        name: text
        for name, (space, secret, item) in wanted.items()
        if (text := secret_text(secrets[space, secret].get(item))) is not None
    }
    beside = {name: text for name, text in texts.items() if name in BESIDE_KEYS}
    return beside, frozenset(name for name, text in texts.items() if name in CREDENTIAL_VARIABLES and not text)


_PASSPHRASE = "WALG_PGP_KEY_PASSPHRASE"


def _read(server: Server, places: Iterable[tuple[str, str]]) -> dict[tuple[str, str], Mapping[str, object]]:
    wanted = sorted(set(places))
    found = results(in_parallel(lambda place: server.get(Key(SECRET, *place)), wanted))
    return {place: (one or {}).get("data") or {} for place, one in zip(wanted, found, strict=True)}


def _certificate(path: str, live: Mapping[str, Any], namespace: str) -> str:
    """Finds the Secret that is mounted where the certificate of the store's authority is."""
    if not path:
        return ""
    for volume in (live.get("spec") or {}).get("additionalVolumes") or ():
        if not isinstance(volume, Mapping):
            continue
        source = (volume.get("volumeSource") or {}).get("secret") or {}
        mounted = str(volume.get("mountPath") or "").rstrip("/")
        if mounted and source.get("secretName") and path.startswith(f"{mounted}/"):
            return f"{namespace}/{source['secretName']}/{path.removeprefix(f'{mounted}/')}"
    return f"{namespace}/{FILES_SECRET}/{CERTIFICATE}" if path == f"{FILES_PATH}/{CERTIFICATE}" else ""


def secrets_of(facts: ReadingFacts, operator_namespace: str) -> dict[tuple[str, str], tuple[tuple[str, str], ...]]:
    """Says where each Secret is that is needed to read an archive.

    A copy of the operator's storage Secret may go with the last database of its namespace; the operator's own stays.

    Args:
        facts: How the archive is reached.
        operator_namespace: Namespace of the operator; empty without one.

    Returns:
        Namespace and name of each -> the same, and where it is as well, in the order in which to look.
    """
    return {
        (space, name): tuple(dict.fromkeys([(space, name), (operator_namespace, name)]))
        if operator_namespace and (is_storage_secret(name) or name == FILES_SECRET)
        else ((space, name),)
        for space, name in facts.secrets
    }


def read_access(
    server: Server, left: LeftArchive, operator_namespace: str, inherited: ReadingFacts | None = None
) -> ArchiveAccess | None:
    """Says how an archive of the record is reached, with the contents of the Secrets that are still there.

    Args:
        server: The API server.
        left: The archive.
        operator_namespace: Namespace of the operator; empty without one.
        inherited: What `inherited_facts` gave, for archives of which nothing was written down.

    Returns:
        The access; what is in no Secret any more is among its references and not among its contents. None where nobody
        knows any more how its store is reached.

    Raises:
        ClusterError: The server refused.
    """
    facts = facts_of_left(left, inherited)
    if facts is None:
        return None
    places = {name: place.split("/", 2) for name, place in places_of(facts).items()}
    candidates = secrets_of(facts, operator_namespace)
    wanted = {(space, secret) for space, secret, _ in places.values()}
    found = _read(server, {place for one in wanted for place in candidates[one]})
    values: dict[str, str] = {}
    for name, (space, secret, item) in places.items():
        texts = (secret_text(found[place].get(item)) for place in candidates[space, secret])
        text = next((one for one in texts if one is not None), None)
        if text is not None:
            values[name] = text
    certificate = values.pop(CERTIFICATE, "")
    return access_of_left(
        left,
        inherited=inherited,
        contents=Credentials(values),
        certificates=Credentials({CERTIFICATE: certificate} if certificate else {}),
    )


def read_left_archives(
    server: Server, operator_namespace: str, name: str, namespace: str | None = None, *, exact: bool = False
) -> list[LeftArchive]:
    """Finds the archives of a database that is gone, in the record.

    Args:
        server: The API server.
        operator_namespace: Namespace of the operator.
        name: Name of the database (metadata.name), or of its custom resource.
        namespace: Its namespace; None for any.
        exact: Whether the name is that of a custom resource in any case.

    Returns:
        As `planton.translate.archive_record.left_archives`.

    Raises:
        ClusterError: The server refused.
    """
    record = server.get(Key(CONFIG_MAP, operator_namespace, RECORD_CONFIGMAP)) if operator_namespace else None
    return left_archives((record or {}).get("data") or {}, name, namespace, exact=exact)
