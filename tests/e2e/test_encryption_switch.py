"""Encryption and a private authority come and go: planton killed at every write, and the running operator made to look.

The operator reads the backup ConfigMap and the storage Secret at every sync, but what it is told of them, and the mount
of files, at its start only. So after each single write a sync is provoked, and every template that there ever was is
held against rules that are said here by hand. Each test brings its databases to archives that there have never been, so
that a change needs exactly the words that the test is about; without them nothing is written.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import pytest

from planton.errors import RefusedError
from tests.e2e.thirty import ELSEWHERE, FOREIGN, KEYS, PLAIN, R2, City, database, expect, operator, started
from tests.e2e.watching import STORAGE, Object, Place, digest_of, place_of
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
WITH_SODIUM, WITH_CERTIFICATE = f"{STORAGE}-libsodium", f"{STORAGE}-libsodium-ca"
RECORD = "/configmaps/planton-archives"
MOST_WRITES = 20
CERTIFICATE = certificate("the only one")
FOLDER = "/etc/planton/backup-files"


class Archive(NamedTuple):
    """An archive of each database, as a manifest says it and as pods see it."""

    line: str
    prefix: str


class Template(NamedTuple):
    """What the operator has made once.

    Attributes:
        where: Its place and its revision.
        values: Variables of the pods; a reference is (Secret, key).
        mounts: Of Secrets, each with its path.
        is_between: Whether it was made while the operator had read the backup ConfigMap only, and not yet the name of
            the Secret that goes with it: a known limit (docs/architecture.md).
    """

    where: str
    values: dict[str, Any]
    mounts: set[str]
    is_between: bool


class Told(NamedTuple):
    """Which storage Secret goes with the backup ConfigMap, and which one the operator's configuration names."""

    announced: str
    configured: str


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
        # By hand, what each storage Secret may hold. No key ever changes, so that there is one generation.
        expect(self.recording, 0, self.keys, STORAGE)
        expect(self.recording, 0, {**self.keys, **SODIUM}, WITH_SODIUM)
        expect(self.recording, 0, {**self.keys, **SODIUM, AUTHORITY: f"{FOLDER}/ca.crt"}, WITH_CERTIFICATE)
        self.checked = 0
        self._numbers = itertools.count(1)
        self._touches = itertools.count(1)

    def new_archive(self) -> Archive:
        """Gives one to which no database has ever written."""
        path = f"archive-{next(self._numbers)}/$(SCOPE)/$(PGVERSION)"
        return Archive(f"s3_prefix_template: {path}", f"s3://backups/{path}")

    def text(self, *parts: str) -> str:
        return operator(*parts, KEYS) + database(PLAIN)

    def all_have(self, wanted: Mapping[str, Any], *missing: str) -> bool:
        found = self.city.environments()
        values = [found.get(place, {}) for place in DATABASES]
        return all(one and wanted.items() <= one.items() and not one.keys() & set(missing) for one in values)

    def told(self) -> Told:
        settings = self.city.get("/api/v1/namespaces/postgres-operator/configmaps/postgres-operator")["data"]
        backup = self.city.get("/api/v1/namespaces/postgres-operator/configmaps/postgres-pod-backup-config")
        platform = json.loads(backup["metadata"]["annotations"]["planton.ai/backup-platform"])
        return Told(platform["secret_name"], settings["pod_environment_secret"])

    def refuses(self, text: str, says: str, **options: Any) -> None:
        """Checks that an apply is refused, and writes nothing."""
        before = self.city.writes()
        with pytest.raises(RefusedError) as raised:
            self.city.apply(text, **options)
        assert says in str(raised.value)
        assert self.city.writes() == before

    def goes_to(self, text: str, wanted: Mapping[str, Any], *missing: str, word: str = "") -> list[Told]:
        """Applies with a kill after each write, each time under the eyes of the operator.

        Args:
            text: The manifests.
            wanted: What pods have at the end.
            missing: What they do not have then.
            word: The option without which the apply is refused; empty for none. What was begun with it is finished
                without it, as soon as pods can be told.

        Returns:
            What was told when it was killed, time after time.
        """
        found: list[Told] = []
        uncounted: tuple[str, ...] = ()
        before, kills = self.told(), self.city.kills
        for _ in range(MOST_WRITES):
            is_begun = self.told().announced != before.announced
            if word and not is_begun:
                self.refuses(text, f"--{word.replace('_', '-')}")
            options = {word: True} if word and not is_begun else {}
            if not self.city.run(text, after=1, uncounted=uncounted, **options):
                break
            # The record says when an archive was left, so that whoever tries again may write it again.
            uncounted = (RECORD,)
            found.append(self.told())
            self.touch()
        else:
            pytest.fail(f"not done after {MOST_WRITES} writes")
        assert self.city.kills >= kills + 2
        self.city.until(lambda: self.all_have(wanted, *missing), str(wanted))
        assert not self.city.plan(text).changed
        self.recording.check(finished=True)
        return found

    def begins_at(self, text: str, wanted: Mapping[str, Any], *missing: str) -> None:
        """Brings about the state in which a test begins, whatever the one before has left; with a new archive."""
        self.city.apply(text)
        self.city.until(lambda: self.all_have(wanted, *missing), str(wanted))
        self.recording.check()
        for _ in self.templates():
            pass

    def touch(self) -> None:
        """Makes the operator look at the databases, and waits until it has."""
        looks = self.looks()
        for namespace, name in DATABASES:
            path = f"{POSTGRESQL}/namespaces/{namespace}/postgresqls/{name}"
            # Another one each time, also after a run that wrote the record alone and was not killed: what stays as it
            # is makes no event.
            body = {"metadata": {"annotations": {"touched": str(next(self._touches))}}}
            self.city.api.request("PATCH", path, body, content_type=MERGE)

        def has_looked() -> bool:
            now = self.looks()
            return all(now[place] > looks[place] for place in DATABASES)

        self.city.until(has_looked, "the operator's look at the databases")

    def looks(self) -> dict[Place, int]:
        """How often the operator has gone through each, by its log (v1.15.1, pkg/controller/postgresql.go)."""
        lines = [line for line in self.city.sandbox.operator_log().splitlines() if LOOKED.search(line)]
        return {place: sum("/".join(place) in line for line in lines) for place in DATABASES}

    def templates(self) -> Iterator[Template]:
        """Gives each template that there has been since the last time."""
        for revision, one in self.recording.versions("StatefulSet"):
            if revision <= self.checked:
                continue
            self.checked = revision
            spec = one["spec"]["template"]["spec"]
            (container,) = [each for each in spec["containers"] if each["name"] == "postgres"]
            sources = {each["name"]: each["secret"]["secretName"] for each in spec["volumes"] if "secret" in each}
            mounts = {f"{sources.get(each['name'])} {each['mountPath']}" for each in container["volumeMounts"]}
            where = f"{'/'.join(place_of(one))} at {revision}"
            yield Template(where, variables(container), mounts, revision in self.recording.between)


def variables(container: Object) -> dict[str, Any]:
    found = {}
    for entry in container["env"]:
        reference = entry.get("valueFrom", {}).get("secretKeyRef")
        found[entry["name"]] = (reference["name"], reference["key"]) if reference else entry.get("value", "")
    return found


@pytest.fixture(scope="module")
def switches(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Switches]:
    with started(tmp_path_factory.mktemp("switches")) as made, made.garbage_collected():
        yield Switches(made)


MINIO = "storage: {bucket_name: backups, s3_compatible: {endpoint: 'https://minio.example.com:9000'}%s}"
IN_CLEAR = {"AWS_ACCESS_KEY_ID": (STORAGE, "AWS_ACCESS_KEY_ID")}
WITH_KEY = {name: (WITH_SODIUM, name) for name in ("AWS_ACCESS_KEY_ID", KEY, TRANSFORM)}
WITH_AUTHORITY = {name: (WITH_CERTIFICATE, name) for name in ("AWS_ACCESS_KEY_ID", KEY, TRANSFORM, AUTHORITY)}
REUSE, ENCRYPTION = "allow_archive_reuse", "allow_encryption_change"


def test_encryption_comes_with_a_new_archive(switches: Switches) -> None:
    """No word is needed for it, and none for an apply that goes on where another was killed."""
    old, new = switches.new_archive(), switches.new_archive()
    switches.begins_at(switches.text(R2, old.line), {**IN_CLEAR, PREFIX: old.prefix}, KEY)
    # Into the archive of until now it does not come by itself.
    stays = switches.text(R2, old.line, ENCRYPTED)
    switches.refuses(stays, "--allow-encryption-change", **{REUSE: True})
    assert switches.city.plan(stays, **{ENCRYPTION: True}).changed

    wanted = {**WITH_KEY, PREFIX: new.prefix}
    killed = switches.goes_to(switches.text(R2, new.line, ENCRYPTED), wanted, AUTHORITY)
    # Between the two ConfigMaps, too: the new archive is told, and the key is not.
    assert killed[0] == (STORAGE, STORAGE)
    assert (WITH_SODIUM, STORAGE) in killed
    assert killed[-1] == (WITH_SODIUM, WITH_SODIUM)
    seen = list(switches.templates())
    assert any(KEY in one.values for one in seen)
    for one in seen:
        assert (KEY in one.values) == (TRANSFORM in one.values), one.where
        if KEY in one.values:
            assert one.values[PREFIX] == new.prefix, one.where
        elif one.values[PREFIX] != old.prefix:
            assert one.is_between, one.where


def test_an_authority_comes_and_goes(switches: Switches) -> None:
    authority = f", certificate_authority: {{file: '{switches.city.folder / 'ca.crt'}'}}"
    archive = switches.new_archive()
    public, private = (switches.text(MINIO % more, archive.line, ENCRYPTED) for more in ("", authority))
    switches.begins_at(public, {**WITH_KEY, PREFIX: archive.prefix, "AWS_REGION": "us-east-1"}, AUTHORITY)
    switches.goes_to(private, WITH_AUTHORITY)
    seen = list(switches.templates())
    assert any(AUTHORITY in one.values for one in seen)
    switches.goes_to(public, WITH_KEY, AUTHORITY)
    for one in [*seen, *switches.templates()]:
        assert AUTHORITY not in one.values or f"postgres-backup-files {FOLDER}" in one.mounts, one.where
        assert KEY in one.values, one.where
        assert TRANSFORM in one.values, one.where


def test_encryption_goes_and_the_archive_stays(switches: Switches) -> None:
    """What is archived so far becomes unreadable: that has to be said."""
    archive = switches.new_archive()
    switches.begins_at(switches.text(R2, archive.line, ENCRYPTED), {**WITH_KEY, PREFIX: archive.prefix}, AUTHORITY)
    text = switches.text(R2, archive.line)
    switches.refuses(text, "--allow-encryption-change", **{REUSE: True})
    killed = switches.goes_to(text, {**IN_CLEAR, PREFIX: archive.prefix}, KEY, TRANSFORM, word=ENCRYPTION)
    assert (STORAGE, WITH_SODIUM) in killed
    check_old_key(switches)


def test_encryption_goes_with_a_new_archive(switches: Switches) -> None:
    """No word is needed for it, but for the way back."""
    old, new = switches.new_archive(), switches.new_archive()
    encrypted = switches.text(R2, old.line, ENCRYPTED)
    switches.begins_at(encrypted, {**WITH_KEY, PREFIX: old.prefix}, AUTHORITY)
    switches.goes_to(switches.text(R2, new.line), {**IN_CLEAR, PREFIX: new.prefix}, KEY, TRANSFORM)
    for one in switches.templates():
        assert (KEY in one.values) == (TRANSFORM in one.values), one.where
        assert KEY in one.values or one.values[PREFIX] == new.prefix, one.where
        assert KEY not in one.values or one.values[PREFIX] == old.prefix or one.is_between, one.where
    switches.refuses(encrypted, "--allow-archive-reuse", **{ENCRYPTION: True})
    assert switches.city.plan(encrypted, **{REUSE: True}).changed
    check_old_key(switches)


def check_old_key(switches: Switches) -> None:
    """Pods that have not restarted yet still refer to it."""
    for space in (PLAIN[0], ELSEWHERE):
        assert KEY in switches.city.secret(space, WITH_SODIUM)["data"]
    switches.city.check_deeds()
