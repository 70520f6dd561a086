"""Encryption and a private authority come and go: planton killed at every write, and the running operator made to look.

The operator reads the backup ConfigMap and the storage Secret at every sync, but what it is told of them, and the mount
of files, at its start only. So after each single write a sync is provoked, and every template that there ever was is
held against rules that are said here by hand.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from sandbox import Sandbox
from tests.e2e.thirty import ELSEWHERE, FOREIGN, KEYS, PLAIN, R2, City, database, expect, operator
from tests.e2e.watching import Object, Place, digest_of, place_of
from tests.keys import certificate

pytestmark = [pytest.mark.cluster, pytest.mark.slow, pytest.mark.xdist_group("encryption-switch")]

MERGE = "application/merge-patch+json"
POSTGRESQL = "/apis/acid.zalan.do/v1"
DATABASES = ((PLAIN[0], f"db-{PLAIN[1]}"), FOREIGN[0])
LOOKED = re.compile("cluster has been (created|updated|synced)|could not (create|update|sync) cluster:")
ENCRYPTED = "encryption: {libsodium: {transform: hex, key: {environment_variable: TEST_SODIUM}}}"
KEY, TRANSFORM, PREFIX, AUTHORITY = (
    "WALG_LIBSODIUM_KEY",
    "WALG_LIBSODIUM_KEY_TRANSFORM",
    "WALG_S3_PREFIX",
    "WALG_S3_CA_CERT_FILE",
)
SODIUM = {KEY: "5e" * 32, TRANSFORM: "hex"}
STORAGE = "r2-postgres-backup-credentials"
OLD, NEW, LAST = (f"s3://backups/{path}/$(SCOPE)/$(PGVERSION)" for path in ("backups", "encrypted", "clear"))
AT_NEW, AT_LAST = (f"s3_prefix_template: {path}/$(SCOPE)/$(PGVERSION)" for path in ("encrypted", "clear"))
CERTIFICATE = certificate("the only one")
FOLDER = "/etc/planton/backup-files"


class Switches:
    """Two databases, one of somebody else's, whose operator is changed one write at a time."""

    def __init__(self, city: City) -> None:
        self.city = city
        city.apply(operator())
        city.make_foreign(FOREIGN[0])
        self.recording = city.record()
        self.keys = city.new_keys()
        city.environment["TEST_SODIUM"] = SODIUM[KEY]
        (city.folder / "ca.crt").write_text(CERTIFICATE)
        self.recording.rules.files.add(digest_of({"ca.crt": CERTIFICATE}))
        # By hand, what the storage Secret may hold. No key of it ever changes, so that its generation does not.
        for more in ({}, SODIUM, {**SODIUM, AUTHORITY: f"{FOLDER}/ca.crt"}):
            expect(self.recording, 0, {**self.keys, **more})
        self.checked = 0

    def text(self, *parts: str) -> str:
        return operator(*parts, KEYS) + database(PLAIN)

    def all_have(self, wanted: Mapping[str, Any], *missing: str) -> bool:
        found = self.city.environments()
        values = [found.get(place, {}) for place in DATABASES]
        return all(one and wanted.items() <= one.items() and not one.keys() & set(missing) for one in values)

    def goes_to(self, text: str, wanted: Mapping[str, Any], *missing: str, **options: Any) -> int:
        """Applies with a kill after each write, each time under the eyes of the operator; gives the number of kills."""
        kills = self.city.kills
        while self.city.run(text, after=1, **options):
            self.touch()
        self.city.until(lambda: self.collected() and self.all_have(wanted, *missing), str(wanted))
        assert not self.city.plan(text).changed
        self.recording.check()
        return self.city.kills - kills

    def begins_at(self, text: str, wanted: Mapping[str, Any], *missing: str) -> None:
        """Brings about the state in which a test begins, whatever the one before has left."""
        self.city.apply(text, **FORCED)
        self.city.until(lambda: self.collected() and self.all_have(wanted, *missing), str(wanted))
        for _ in self.templates():
            pass

    def collected(self) -> bool:
        """Lets go of what a garbage collector would have let go of; always true."""
        self.city.collect_orphans()
        return True

    def touch(self) -> None:
        """Makes the operator look at the databases, and waits until it has."""
        looks = self.looks()
        for namespace, name in DATABASES:
            path = f"{POSTGRESQL}/namespaces/{namespace}/postgresqls/{name}"
            body = {"metadata": {"annotations": {"touched": str(self.city.kills)}}}
            self.city.api.request("PATCH", path, body, content_type=MERGE)

        def has_looked() -> bool:
            self.city.collect_orphans()
            now = self.looks()
            return all(now[place] > looks[place] for place in DATABASES)

        self.city.until(has_looked, "the operator's look at the databases")

    def looks(self) -> dict[Place, int]:
        """How often the operator has gone through each, by its log (v1.15.1, pkg/controller/postgresql.go)."""
        lines = [line for line in self.city.sandbox.operator_log().splitlines() if LOOKED.search(line)]
        return {place: sum("/".join(place) in line for line in lines) for place in DATABASES}

    def templates(self) -> Iterator[tuple[str, dict[str, Any], set[str]]]:
        """Gives what each template that there has been since the last time has: place, variables, mounts of Secrets."""
        for revision, one in self.recording.versions("StatefulSet"):
            if revision <= self.checked:
                continue
            self.checked = revision
            spec = one["spec"]["template"]["spec"]
            (container,) = [each for each in spec["containers"] if each["name"] == "postgres"]
            sources = {each["name"]: each["secret"]["secretName"] for each in spec["volumes"] if "secret" in each}
            mounts = {f"{sources.get(each['name'])} {each['mountPath']}" for each in container["volumeMounts"]}
            yield f"{'/'.join(place_of(one))} at {revision}", variables(container), mounts


def variables(container: Object) -> dict[str, Any]:
    found = {}
    for entry in container["env"]:
        reference = entry.get("valueFrom", {}).get("secretKeyRef")
        found[entry["name"]] = (reference["name"], reference["key"]) if reference else entry.get("value", "")
    return found


@pytest.fixture(scope="module")
def switches(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Switches]:
    with Sandbox.start() as sandbox, pytest.MonkeyPatch.context() as patch:
        made = City(sandbox, tmp_path_factory.mktemp("switches"))
        for name in ("TEST_BUCKET_ID", "TEST_BUCKET_SECRET", "TEST_SODIUM"):
            patch.setenv(name, "")
        yield Switches(made)
        made.close()


MINIO = "storage: {bucket_name: backups, s3_compatible: {endpoint: 'https://minio.example.com:9000'}%s}"
FORCED = {"allow_encryption_change": True, "allow_archive_reuse": True}
"""An apply that was killed between the two ConfigMaps goes on only so: it finds the new archive told, not the key."""
AT_OLD = "s3_prefix_template: backups/$(SCOPE)/$(PGVERSION)"
IN_CLEAR = {"AWS_ACCESS_KEY_ID": (STORAGE, "AWS_ACCESS_KEY_ID")}
WITH_KEY = {name: (f"{STORAGE}-libsodium", name) for name in ("AWS_ACCESS_KEY_ID", KEY, TRANSFORM)}
WITH_AUTHORITY = {name: (f"{STORAGE}-libsodium-ca", name) for name in ("AWS_ACCESS_KEY_ID", KEY, TRANSFORM, AUTHORITY)}


def test_encryption_comes_with_a_new_archive(switches: Switches) -> None:
    switches.begins_at(switches.text(R2, AT_OLD), {**IN_CLEAR, PREFIX: OLD}, KEY)
    wanted = {**WITH_KEY, PREFIX: NEW}
    # The backup ConfigMap, that which names the Secret, and the Deployment, at least.
    kills = switches.goes_to(switches.text(R2, AT_NEW, ENCRYPTED), wanted, AUTHORITY, **FORCED)
    assert kills >= 3
    seen = list(switches.templates())
    assert any(KEY in values for _, values, _ in seen)
    for place, values, _ in seen:
        assert (KEY in values) == (TRANSFORM in values), place
        assert KEY not in values or values[PREFIX] == NEW, place


def test_an_authority_comes_and_goes(switches: Switches) -> None:
    authority = f", certificate_authority: {{file: '{switches.city.folder / 'ca.crt'}'}}"
    public, private = (switches.text(MINIO % more, AT_NEW, ENCRYPTED) for more in ("", authority))
    switches.begins_at(public, {**WITH_KEY, PREFIX: NEW, "AWS_REGION": "us-east-1"}, AUTHORITY)
    assert switches.goes_to(private, WITH_AUTHORITY) >= 2
    seen = list(switches.templates())
    assert any(AUTHORITY in values for _, values, _ in seen)
    switches.goes_to(public, WITH_KEY, AUTHORITY)
    for place, values, mounts in [*seen, *switches.templates()]:
        assert AUTHORITY not in values or f"postgres-backup-files {FOLDER}" in mounts, place
        assert KEY in values, place
        assert TRANSFORM in values, place


@pytest.mark.parametrize("prefix", [NEW, LAST])
def test_encryption_goes(switches: Switches, prefix: str) -> None:
    """From the same archive, or with a new one."""
    switches.begins_at(switches.text(R2, AT_NEW, ENCRYPTED), {**WITH_KEY, PREFIX: NEW}, AUTHORITY)
    text = switches.text(R2, AT_NEW if prefix == NEW else AT_LAST)
    assert switches.goes_to(text, {**IN_CLEAR, PREFIX: prefix}, KEY, TRANSFORM, **FORCED) >= 2
    for place, values, _ in switches.templates():
        assert (KEY in values) == (TRANSFORM in values), place
    # Pods that have not restarted yet still refer to it.
    for space in (PLAIN[0], ELSEWHERE):
        assert KEY in switches.city.secret(space, f"{STORAGE}-libsodium")["data"]
    switches.city.check_deeds()
