"""From no backups through one store after the other: thirty databases watched and killed, a few with the operator."""

from __future__ import annotations

import base64
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.support import OPERATORS_OWN
from tests.e2e.thirty import (
    FOREIGN,
    KEYS,
    PLAIN,
    R2,
    City,
    database,
    databases,
    expect,
    operator,
    started,
)
from tests.e2e.watching import BETWEEN, GENERATION, MARK, STORAGE, digest_of
from tests.keys import certificate

pytestmark = [pytest.mark.cluster, pytest.mark.slow]

CERTIFICATE = certificate()
MINIO = "storage:\n  bucket_name: backups\n  s3_compatible: {endpoint: 'https://minio.example.com:9000'}\n"
MINIO += "  certificate_authority: {file: 'CERTIFICATE'}"
AWS = "storage: {bucket_name: other-backups, aws_s3: {region: eu-central-1}}"
IDENTITY = "credentials: {cloud_identity: {}}"
VAULT_KEYS = """
credentials:
  access_key_id: {secret: {namespace: vault, name: bucket, key: id}}
  secret_access_key: {secret: {namespace: vault, name: bucket, key: secret}}
"""
OVERRIDING = ("town-0", "critical")
OVERRIDES = "s3_prefix: s3://compliance/critical/$(PGVERSION)\nbackup_schedule: '0 */6 * * *'"
HANDMADE = {"AWS_ACCESS_KEY_ID": f"{MARK}id-of-the-vault", "AWS_SECRET_ACCESS_KEY": f"{MARK}secret-of-the-vault"}

# What a database that inherits has at each station, by hand from runtime.md and postgres-operator's ConfigMap route.
IN_ALL = {
    "BACKUP_SCHEDULE": "0 2 * * *",
    "CLONE_USE_WALG_RESTORE": "true",
    "USE_WALG_BACKUP": "true",
    "USE_WALG_RESTORE": "true",
}
REFERENCES = {
    "AWS_ACCESS_KEY_ID": (STORAGE, "AWS_ACCESS_KEY_ID"),
    "AWS_SECRET_ACCESS_KEY": (STORAGE, "AWS_SECRET_ACCESS_KEY"),
}
ON_R2 = {
    **IN_ALL,
    **REFERENCES,
    "AWS_ENDPOINT": "https://account.r2.cloudflarestorage.com",
    "AWS_REGION": "auto",
    "AWS_S3_FORCE_PATH_STYLE": "true",
    "WALG_DISABLE_S3_SSE": "true",
    "WALG_S3_PREFIX": "s3://backups/backups/$(SCOPE)/$(PGVERSION)",
}
# What is of use with the mount only stands in the Secret, whose name says so. It is a new one: so its keys are.
AUTHORITY = {"WALG_S3_CA_CERT_FILE": "/etc/planton/backup-files/ca.crt"}
ON_MINIO = {
    **ON_R2,
    **{name: (f"{STORAGE}-ca", name) for name in (*REFERENCES, *AUTHORITY)},
    "AWS_ENDPOINT": "https://minio.example.com:9000",
    "AWS_REGION": "us-east-1",
}
WITH_IDENTITY = {
    **IN_ALL,
    "AWS_REGION": "eu-central-1",
    "WALG_S3_PREFIX": "s3://other-backups/backups/$(SCOPE)/$(PGVERSION)",
    "WALG_S3_SSE": "AES256",
}
# The Secret of R2 once more, with other keys in it.
ON_AWS = {**WITH_IDENTITY, **REFERENCES, GENERATION: "1"}
BY_VAULT = {**ON_AWS, GENERATION: "2"}
SWITCHED_OFF = {key: value for key, value in BY_VAULT.items() if key != "WALG_S3_PREFIX"} | {"USE_WALG_BACKUP": "false"}


@dataclass(frozen=True)
class Station:
    """One state of the operator's manifest.

    Attributes:
        parts: What its backup_config says.
        environment: What a database that inherits everything has then.
        keys: Whether it comes with keys that there have never been: `new`, `vault`, or empty for no change.
        further: What stands beside them in the Secret.
    """

    parts: tuple[str, ...]
    environment: Mapping[str, Any]
    keys: str = ""
    further: Mapping[str, str] = field(default_factory=dict)


STATIONS = {
    "R2": Station((R2, KEYS), ON_R2, "new"),
    "MinIO": Station((MINIO, KEYS), ON_MINIO, "new", AUTHORITY),
    "AWS": Station((AWS, KEYS), ON_AWS, "new"),
    "identity": Station((AWS, IDENTITY), WITH_IDENTITY),
    "vault": Station((AWS, VAULT_KEYS), BY_VAULT, "vault"),
    "off": Station((AWS, VAULT_KEYS, "enable_wal_g_backup: false"), SWITCHED_OFF),
    "on": Station((AWS, VAULT_KEYS), BY_VAULT),
}


class Journey:
    """A cluster on its way, with everything recorded."""

    def __init__(self, city: City, few: bool) -> None:
        self.city = city
        self.set = databases(5, 1) if few else databases(9, 3).replace("town-0-2", OVERRIDING[1])
        self.set = self.set.replace(database(OVERRIDING), "") + database(OVERRIDING, OVERRIDES)
        self.certificate = city.folder / "ca.crt"
        self.certificate.write_text(CERTIFICATE)
        city.apply(operator())
        for place in FOREIGN:
            city.make_foreign(place)
        data = {"id": HANDMADE["AWS_ACCESS_KEY_ID"], "secret": HANDMADE["AWS_SECRET_ACCESS_KEY"], "more": f"{MARK}more"}
        encoded = {name: base64.b64encode(value.encode()).decode() for name, value in data.items()}
        city.api.request("POST", "/api/v1/namespaces", {"metadata": {"name": "vault"}})
        city.api.request("POST", "/api/v1/namespaces/vault/secrets", {"metadata": {"name": "bucket"}, "data": encoded})
        city.new_keys("TEST_OWN")
        city.apply(operator() + self.set)
        self.recording = city.record()
        self.recording.rules.files.add(digest_of({"ca.crt": CERTIFICATE}))
        # With another set of keys a Secret has another name, of which the operator hears with its restart.
        self.recording.rules.limits.add(BETWEEN)

    def text(self, station: Station) -> str:
        return operator(*station.parts).replace("CERTIFICATE", str(self.certificate)) + self.set

    def prepare(self, station: Station) -> str:
        if station.keys:
            keys = HANDMADE if station.keys == "vault" else self.city.new_keys()
            (name, _) = station.environment["AWS_ACCESS_KEY_ID"]
            expect(self.recording, int(station.environment.get(GENERATION, 0)), {**keys, **station.further}, name)
        return self.text(station)


@pytest.fixture
def city(tmp_path: Path) -> Iterator[City]:
    with started(tmp_path) as made, made.garbage_collected():
        yield made


@pytest.mark.xdist_group("migration-thirty")
def test_thirty_databases_killed_on_the_way(city: City) -> None:
    journey = Journey(city, few=False)
    assert len(city.get("/apis/acid.zalan.do/v1/postgresqls")["items"]) == 30
    with city.stand_in():
        for name, station in STATIONS.items():
            text = journey.prepare(station)
            # One kill after the other, each run going on from where the one before was killed.
            for before, after in ((0, 2), (6, 0), (0, 3)):
                city.run(text, before=before, after=after, allow_archive_reuse=True)
                journey.recording.check()
            city.apply(text, allow_archive_reuse=True)
            told = city.get("/api/v1/namespaces/postgres-operator/configmaps/postgres-pod-backup-config")["data"]
            wanted = {key: value for key, value in station.environment.items() if isinstance(value, str)}
            assert told == wanted, name
            assert not city.plan(text).changed, name
            journey.recording.check(finished=True)
    # Only where something but the switch changes there are nine writes to be killed at.
    assert city.kills >= 15
    assert journey.recording.limited[BETWEEN]
    city.check_deeds()
    print(f"{journey.recording.revisions} revisions, {city.kills} kills")


def tables(station: Station) -> dict[tuple[str, str], Mapping[str, Any]]:
    """What one that inherits, one that overrides, and one of somebody else's have."""
    overriding = dict(station.environment)
    if "WALG_S3_PREFIX" in overriding:
        overriding |= {"WALG_S3_PREFIX": "s3://compliance/critical/$(PGVERSION)", "BACKUP_SCHEDULE": "0 */6 * * *"}
    return {
        (PLAIN[0], f"db-{PLAIN[1]}"): station.environment,
        (OVERRIDING[0], f"db-{OVERRIDING[1]}"): overriding,
        FOREIGN[0]: station.environment,
        FOREIGN[1]: station.environment,
    }


def differing(city: City, station: Station) -> dict[str, Any]:
    found = city.environments()
    wrong: dict[str, Any] = {}
    for place, wanted in tables(station).items():
        values = {
            key: value for key, value in found.get(place, {"": "no StatefulSet"}).items() if key not in OPERATORS_OWN
        }
        if values != wanted:
            names = {key for key in {*values, *wanted} if values.get(key) != wanted.get(key)}
            wrong["/".join(place)] = {key: (values.get(key), wanted.get(key)) for key in sorted(names)}
    return wrong


def mounts(city: City, place: tuple[str, str]) -> set[str]:
    found = city.get(f"/apis/apps/v1/namespaces/{place[0]}/statefulsets/{place[1]}")
    volumes = found["spec"]["template"]["spec"].get("volumes") or ()
    return {one["secret"]["secretName"] for one in volumes if "secret" in one}


@pytest.mark.xdist_group("migration-operator")
def test_what_the_operator_makes_of_each_station(city: City) -> None:
    journey = Journey(city, few=True)
    stations = {"none": Station((), {}), **STATIONS}
    for number, (name, station) in enumerate(stations.items()):
        text = journey.prepare(station)
        if name != "none":
            city.run(text, before=2 + number, allow_archive_reuse=True)
        city.apply(text, allow_archive_reuse=True)
        end = time.monotonic() + 120
        while wrong := differing(city, station):
            assert time.monotonic() < end, (name, wrong)
            time.sleep(0.3)
        assert mounts(city, FOREIGN[0]) == ({"postgres-backup-files"} if name == "MinIO" else set())
        journey.recording.check(finished=True)
    assert journey.recording.limited[BETWEEN]
    city.check_deeds()
    print(f"{journey.recording.revisions} revisions, {city.kills} kills")
