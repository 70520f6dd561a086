"""New keys for thirty databases: watched at every revision, killed at every write, with the real operator.

A rotation writes the source, a copy in each of ten namespaces, the ConfigMap and the operator's Deployment; with new
keys of the one database that has its own, its Secret and its custom resource too. The real operator takes a while for
thirty databases, so that it is away while planton is killed, and looks at what has come of it at the end.
"""

from __future__ import annotations

import base64
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import planton
from planton.errors import ConflictError, WaitError
from tests.api import Api
from tests.cluster.conftest import words
from tests.e2e.thirty import (
    ELSEWHERE,
    FOREIGN,
    KEYS,
    OFF,
    OWN,
    PLAIN,
    R2,
    ROOT,
    City,
    databases,
    expect,
    operator,
    started,
)
from tests.e2e.watching import (
    ANNOTATION,
    BACKUP,
    GENERATION,
    MARK,
    OPERATOR,
    OWN_GENERATION,
    STORAGE,
    Object,
    Recording,
)

pytestmark = [pytest.mark.cluster, pytest.mark.slow]

OWN_SECRET = "db-own-backup-credentials"
MERGE = "application/merge-patch+json"
NUMBERS = {
    rf'"{ANNOTATION}": "\d+"': '"generation"',
    rf'"{GENERATION}": "\d+"': '"generation"',
    rf'"{OWN_GENERATION}", "value": "\d+"': '"generation"',
    r'"planton.ai/configuration-checksum": "\w+"': '"checksum"',
    r'"AWS_(ACCESS_KEY_ID|SECRET_ACCESS_KEY)": "[\w+/=]+"': '"key"',
}


def own(city: City) -> tuple[int, str]:
    """Generation and key of the database that has its own."""
    secret = city.secret(OWN[0], OWN_SECRET)
    generation = int((secret["metadata"].get("annotations") or {}).get(ANNOTATION, 0))
    return generation, base64.b64decode(secret["data"]["AWS_ACCESS_KEY_ID"]).decode()


def install(city: City, text: str) -> Recording:
    """Brings backups to databases that are there, some of them others'; from then on everything is recorded."""
    city.apply(operator())
    for place in FOREIGN:
        city.make_foreign(place)
    recording = city.record()
    expect(recording, 0, city.new_keys())
    city.new_keys("TEST_OWN")
    city.apply(text)
    return recording


def no_key_but_in_secrets(city: City) -> None:
    marks = (MARK, base64.b64encode(MARK.encode()).decode())
    for obj in Api(city.sandbox.kubeconfig).everything():
        assert obj["kind"] == "Secret" or not any(mark in str(obj) for mark in marks), obj["metadata"]["name"]
    log = city.sandbox.operator_log()
    assert not any(mark in log for mark in marks)


@pytest.fixture
def city(tmp_path: Path) -> Iterator[City]:
    with started(tmp_path) as made:
        yield made


@pytest.mark.xdist_group("rotation-thirty")
def test_thirty_databases(city: City) -> None:
    text = operator(R2, KEYS) + databases(9, 3)
    recording = install(city, text)
    city.until(lambda: len(city.environments()) == 30, "StatefulSets", seconds=120)
    recording.check()

    # Undisturbed, under the eyes of the operator; the database with keys of its own keeps them.
    before = city.get(f"/apis/apps/v1/namespaces/{OPERATOR}/deployments/{OPERATOR}")["metadata"]["generation"]
    expect(recording, 1, city.new_keys())
    assert city.run(text) == 13
    assert (city.generation(), own(city)[0]) == (1, 0)
    after = city.get(f"/apis/apps/v1/namespaces/{OPERATOR}/deployments/{OPERATOR}")["metadata"]["generation"]
    assert after > before, "the operator was not restarted"
    assert not city.apply(text).changed
    recording.check()

    with city.stand_in():
        # Both kinds of keys at once: two writes more. What it comes to is what all that are killed must come to.
        expect(recording, 2, city.new_keys())
        mine = city.new_keys("TEST_OWN")
        writes = city.run(text)
        assert writes == 15
        assert own(city) == (1, mine["AWS_ACCESS_KEY_ID"])
        undisturbed = city.made(NUMBERS)
        for number in range(1, writes + 2):
            expect(recording, 2 + number, city.new_keys())
            mine = city.new_keys("TEST_OWN")
            before, after = (number, 0) if number <= writes else (0, writes)
            assert city.run(text, before=before, after=after) == number - 1
            city.apply(text)
            assert city.generation() == 2 + number
            assert own(city) == (1 + number, mine["AWS_ACCESS_KEY_ID"])
            assert city.made(NUMBERS) == undisturbed
        assert not city.apply(text).changed
        recording.check()
    assert city.kills == 16
    city.until_told(30, {GENERATION: "18"})
    told = city.environments()
    assert {place for place, values in told.items() if OWN_GENERATION in values} == {(OWN[0], f"db-{OWN[1]}")}
    assert told[OWN[0], f"db-{OWN[1]}"][OWN_GENERATION] == "17"
    assert told[OFF[0], f"db-{OFF[1]}"]["WALG_S3_PREFIX"] == ""
    recording.check(finished=True)
    city.check_deeds()
    no_key_but_in_secrets(city)
    print(f"{recording.revisions} revisions, {city.kills} kills")


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[City, Recording, str]]:
    """Eight databases in six namespaces, three of them others', and no operator to wait for."""
    with started(tmp_path_factory.mktemp("town")) as made:
        text = operator(R2, KEYS) + databases(5, 1)
        recording = install(made, text)
        made.until(lambda: len(made.environments()) == 8, "StatefulSets")
        with made.stand_in():
            yield made, recording, text


class Rotations:
    """Rotates in the town, and knows by hand which generation is next."""

    def __init__(self, town: tuple[City, Recording, str]) -> None:
        self.city, self.recording, self.text = town
        # Whatever the test before has left: the keys that are there now are those of the present generation.
        self.rotate()

    def next_keys(self) -> dict[str, str]:
        keys = self.city.new_keys()
        expect(self.recording, self.city.generation() + 1, keys)
        return keys

    def rotate(self) -> dict[str, str]:
        keys = self.next_keys()
        generation = self.city.generation() + 1
        self.city.apply(self.text, force_conflicts=True)
        self.is_at(generation)
        return keys

    def is_at(self, generation: int) -> None:
        """Checks what is told, that everything is settled, and every revision until now."""
        assert self.city.generation() == generation
        assert not self.city.apply(self.text).changed
        assert self.city.generation() == generation
        self.recording.check(finished=True)

    def version(self) -> int:
        return int(self.city.get("/api/v1/namespaces?limit=1")["metadata"]["resourceVersion"])

    def breaks(self, space: str, method: str, body: Object | None = None) -> Any:
        """Breaks a Secret by hand, as somebody else; gives what ends the excuse once it is mended."""
        start = self.version() + 1
        path = f"/api/v1/namespaces/{space}/secrets/{STORAGE}"
        self.city.api.request(method, path, body, content_type=MERGE if body else "application/json")

        def mended() -> None:
            version = int(self.city.secret(space)["metadata"]["resourceVersion"])
            self.recording.rules.excused.append((space, start, version))

        return mended


@pytest.fixture
def rotations(town: tuple[City, Recording, str]) -> Rotations:
    return Rotations(town)


pytest_town = pytest.mark.xdist_group("rotation-town")


@pytest_town
def test_two_rotations_in_a_row_and_back(rotations: Rotations) -> None:
    city, start = rotations.city, rotations.city.generation()
    first = rotations.rotate()
    rotations.rotate()
    # Back to keys that there have been: pods must restart all the same.
    city.set_keys(first["AWS_ACCESS_KEY_ID"], first["AWS_SECRET_ACCESS_KEY"])
    expect(rotations.recording, start + 3, first)
    city.apply(rotations.text)
    rotations.is_at(start + 3)


@pytest_town
@pytest.mark.parametrize("number", range(1, 10))
def test_a_killed_rotation_that_is_taken_back(rotations: Rotations, number: int) -> None:
    """A pod that started meanwhile has the new keys under the old generation: it must be restarted, too."""
    city = rotations.city
    first = rotations.rotate()
    start = city.generation()
    since = rotations.version()
    rotations.next_keys()
    done = city.run(rotations.text, before=number)
    assert done == number - 1
    new = {
        space
        for space in ("town-0", "town-1", "town-2", "town-3", "town-4", ELSEWHERE, OPERATOR)
        if int(city.secret(space)["metadata"]["resourceVersion"]) > since
    }
    city.set_keys(first["AWS_ACCESS_KEY_ID"], first["AWS_SECRET_ACCESS_KEY"])
    for generation in (start + 1, start + 2):
        expect(rotations.recording, generation, first)
    city.apply(rotations.text)
    assert city.generation() > start or not new - {OPERATOR}
    rotations.is_at(city.generation())


@pytest_town
def test_other_keys_after_a_killed_rotation(rotations: Rotations) -> None:
    city, start = rotations.city, rotations.city.generation()
    rotations.next_keys()
    city.run(rotations.text, before=5)
    keys = city.new_keys()
    expect(rotations.recording, start + 1, keys)
    expect(rotations.recording, start + 2, keys)
    city.apply(rotations.text)
    assert city.generation() in (start + 1, start + 2)
    rotations.is_at(city.generation())


@pytest_town
@pytest.mark.parametrize("space", ["town-1", ELSEWHERE])
def test_a_copy_edited_by_hand(rotations: Rotations, space: str) -> None:
    start = rotations.city.generation()
    edited = {"data": {"AWS_ACCESS_KEY_ID": "b3RoZXI=", "MORE": "b3RoZXI="}}
    mended = rotations.breaks(space, "PATCH", edited)
    with pytest.raises(ConflictError) as raised:
        rotations.city.apply(rotations.text)
    assert f"Secret/{space}/{STORAGE}" in str(raised.value)
    assert "b3RoZXI" not in str(raised.value)
    rotations.city.apply(rotations.text, force_conflicts=True)
    mended()
    rotations.is_at(start)
    assert "MORE" not in rotations.city.secret(space)["data"]


@pytest_town
@pytest.mark.parametrize("space", ["town-1", ELSEWHERE])
def test_a_copy_deleted(rotations: Rotations, space: str) -> None:
    start = rotations.city.generation()
    mended = rotations.breaks(space, "DELETE")
    rotations.city.apply(rotations.text)
    mended()
    rotations.is_at(start)


@pytest_town
@pytest.mark.parametrize("same", [True, False])
def test_a_lost_source(rotations: Rotations, same: bool) -> None:
    city, start = rotations.city, rotations.city.generation()
    mended = rotations.breaks(OPERATOR, "DELETE")
    if not same:
        city.new_keys()
    expect(
        rotations.recording,
        start + 1,
        {
            "AWS_ACCESS_KEY_ID": city.environment["TEST_BUCKET_ID"],
            "AWS_SECRET_ACCESS_KEY": city.environment["TEST_BUCKET_SECRET"],
        },
    )
    city.apply(rotations.text)
    mended()
    # Nobody knows what was in it: pods restart rather than run on keys that are no more.
    rotations.is_at(start + 1)


@pytest_town
def test_the_source_edited_by_hand(rotations: Rotations) -> None:
    city, start = rotations.city, rotations.city.generation()
    mended = rotations.breaks(OPERATOR, "PATCH", {"data": {"AWS_ACCESS_KEY_ID": "b3RoZXJvdGhlcg=="}})
    expect(
        rotations.recording,
        start + 1,
        {
            "AWS_ACCESS_KEY_ID": city.environment["TEST_BUCKET_ID"],
            "AWS_SECRET_ACCESS_KEY": city.environment["TEST_BUCKET_SECRET"],
        },
    )
    city.apply(rotations.text, force_conflicts=True)
    mended()
    rotations.is_at(start + 1)


@pytest_town
def test_the_generation_removed_from_the_configmap_by_hand(rotations: Rotations) -> None:
    city, start = rotations.city, rotations.city.generation()
    path = f"/api/v1/namespaces/{BACKUP[0]}/configmaps/{BACKUP[1]}"
    city.api.request("PATCH", path, {"data": {GENERATION: None}}, content_type=MERGE)
    assert city.generation() == 0
    city.apply(rotations.text)
    rotations.is_at(start)


@pytest_town
def test_keys_and_store_at_once(rotations: Rotations) -> None:
    city, start = rotations.city, rotations.city.generation()
    rotations.next_keys()
    text = rotations.text.replace("cloudflare_r2: {cloudflare_account_id: account}", "aws_s3: {region: eu-central-1}")
    assert text != rotations.text
    city.run(text, before=4)
    city.apply(text)
    found = city.get(f"/api/v1/namespaces/{BACKUP[0]}/configmaps/{BACKUP[1]}")["data"]
    assert (found[GENERATION], found["AWS_REGION"]) == (str(start + 1), "eu-central-1")
    assert "AWS_ENDPOINT" not in found
    assert not city.apply(text).changed
    rotations.recording.check()
    city.apply(rotations.text, allow_archive_reuse=True)
    rotations.is_at(start + 1)


def pod(city: City, place: tuple[str, str], name: str, env: dict[str, str]) -> None:
    """Makes a pod of a database as a StatefulSet would, or makes it anew."""
    namespace, database = place
    pods = f"/api/v1/namespaces/{namespace}/pods"
    city.sandbox.stub_pod(namespace, f"any-{name}", {"any": "pod"})  # For the service account that pods need.
    city.api.request("DELETE", f"{pods}/any-{name}?gracePeriodSeconds=0")
    if any(one["metadata"]["name"] == name for one in city.get(pods)["items"]):
        city.api.request("DELETE", f"{pods}/{name}?gracePeriodSeconds=0")
    entries = [{"name": key, "value": value} for key, value in env.items()]
    containers = [{"name": "postgres", "image": "stub.invalid/never-runs:1", "env": entries}]
    labels = {"application": "spilo", "cluster-name": database}
    body = {"metadata": {"name": name, "labels": labels}, "spec": {"containers": containers}}
    city.api.request("POST", pods, body)


@pytest_town
def test_pods_on_old_keys(rotations: Rotations) -> None:
    city, text = rotations.city, operator(R2, KEYS) + databases(5, 1)
    generation = city.generation()
    place = (PLAIN[0], f"db-{PLAIN[1]}")
    for namespace, name in city.environments():
        path = f"/apis/acid.zalan.do/v1/namespaces/{namespace}/postgresqls/{name}/status"
        city.api.request("PATCH", path, {"status": {"PostgresClusterStatus": "Running"}}, content_type=MERGE)
    # The operator is away: its templates are as old as the pods. One is brought up to date by hand.
    for namespace, name in city.environments():
        path = f"/apis/apps/v1/namespaces/{namespace}/statefulsets/{name}"
        own_generation = str(own(city)[0])
        entries = [{"name": GENERATION, "value": str(generation)}]
        if name == f"db-{OWN[1]}" and own_generation != "0":
            entries.append({"name": OWN_GENERATION, "value": own_generation})
        containers = [{"name": "postgres", "env": entries}]
        body = {"spec": {"template": {"spec": {"containers": containers}}}}
        city.api.request("PATCH", path, body, content_type="application/strategic-merge-patch+json")
    pod(city, place, "db-plain-0", {GENERATION: str(generation)})
    pod(city, place, "db-plain-1", {GENERATION: str(generation - 1)})
    pod(city, FOREIGN[0], "legacy-0-0", {})

    def status() -> str:
        file = city.folder / "status.yaml"
        file.write_text(text)
        command = [sys.executable, "-m", "planton", "status", "-f", str(file), "--kubeconfig", str(city.kubeconfig)]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60).stdout

    assert "db-plain-1" in status()
    with pytest.raises(WaitError) as raised:
        city.apply(text, wait=True, timeout=4.0)
    said = str(raised.value)
    assert "db-plain-1" in said
    assert "db-plain-0" not in said
    assert "legacy-0-0" in said, "the operator's set answers for the databases of others, too"
    assert f"generation {generation}" in said
    pod(city, place, "db-plain-1", {GENERATION: str(generation)})
    pod(city, FOREIGN[0], "legacy-0-0", {GENERATION: str(generation)})
    result = city.apply(text, wait=True, timeout=20.0)
    assert set(words(result).values()) <= {"unchanged", "skipped"}
    assert not result.old_credentials
    assert "db-plain-1 not restarted" not in status()
    for namespace, name in ((place[0], "db-plain-0"), (place[0], "db-plain-1"), (ELSEWHERE, "legacy-0-0")):
        city.api.request("DELETE", f"/api/v1/namespaces/{namespace}/pods/{name}?gracePeriodSeconds=0")


@pytest_town
def test_nothing_was_deleted_and_nothing_told(rotations: Rotations) -> None:
    rotations.city.check_deeds()
    no_key_but_in_secrets(rotations.city)


def test_manifests_are_as_the_figures_say() -> None:
    messages = planton.loads(operator(R2, KEYS) + databases(9, 3))
    assert len(messages) == 28
    assert len({one.metadata.labels["kubernetes.project-planton.org/namespace"] for one in messages[1:]}) == 9
