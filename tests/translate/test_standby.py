"""What a standby becomes, what its promotion leaves, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

import planton
from planton.rendering import Rendering
from planton.translate.beginning import standby_entries
from planton.translate.existing import Existing, ExistingDatabase, ExistingSecret
from planton.translate.generation import STANDBY_GENERATION
from planton.translate.names import GENERATION_ANNOTATION
from planton.translate.secret_fields import secret_places
from planton.translate.secret_values import Credentials, Reference, SecretValues
from tests.keys import certificate
from tests.manifests import database, operator
from tests.store.walg import Spilo, settings_of
from tests.translate.beginnings import (
    TARGET,
    alive,
    beginning,
    by_name,
    by_place,
    env_of,
    problems,
    rendered,
    resource,
    secret_of,
    secrets_of,
    with_live,
)

STORAGE = "r2-postgres-backup-credentials"
ORDERS = database("orders", spec='version: "16"')
FROM_OPERATOR = {
    "STANDBY_AWS_ACCESS_KEY_ID": (STORAGE, "AWS_ACCESS_KEY_ID"),
    "STANDBY_AWS_SECRET_ACCESS_KEY": (STORAGE, "AWS_SECRET_ACCESS_KEY"),
    "STANDBY_AWS_ENDPOINT": "https://account.r2.cloudflarestorage.com",
    "STANDBY_AWS_REGION": "auto",
    "STANDBY_AWS_S3_FORCE_PATH_STYLE": "true",
    "STANDBY_WALG_DISABLE_S3_SSE": "true",
}
PREFIX = "s3://postgres-backups/backups/db-orders/16"
# postgres-operator v1.15.1, generateStandbyEnvironment, by hand.
BY_OPERATOR = {
    "STANDBY_METHOD": "STANDBY_WITH_WALE",
    "STANDBY_WALE_S3_PREFIX": PREFIX,
    "STANDBY_WAL_BUCKET_SCOPE_PREFIX": "",
}
FAR = """\
storage:
  bucket_name: far-bucket
  s3_compatible: {endpoint: "https://minio.far.example.com"}
  certificate_authority: {file: ca.pem}
credentials: {access_key_id: {value: FARACCESSKEY0001}, secret_access_key: {file: far.key}}
encryption: {libsodium: {key: {environment_variable: SODIUM}, transform: hex}}
"""
CERTIFICATE = certificate()
VALUES = SecretValues(
    {
        Reference("file", "ca.pem"): CERTIFICATE,
        Reference("file", "far.key"): "far/secret+key-0002",
        Reference("environment variable", "SODIUM"): "ab" * 32,
    }
)
FACTS = Existing(values=VALUES)
STANDBY = operator() + ORDERS + beginning("standby", by_name())


def test_of_a_database_of_the_set() -> None:
    made = rendered(STANDBY)
    assert env_of(resource(made)) == FROM_OPERATOR
    assert resource(made)["spec"]["standby"] == {"s3_wal_path": PREFIX}
    assert resource(made)["spec"]["postgresql"]["version"] == "16"
    (note,) = resource(made)["metadata"]["annotations"].items()
    assert note == (
        "planton.ai/restored-from",
        '{"prefix":"s3://postgres-backups/backups/db-orders/16","version":"16"}',
    )
    assert secrets_of(made) == {STORAGE}


@pytest.mark.parametrize("spilo", ["4.0", "4.1"])
def test_far_away(spilo: Spilo) -> None:
    made = rendered(operator() + beginning("standby", by_place(FAR)), FACTS)
    secret = "db-restored-standby-credentials-libsodium"
    assert env_of(resource(made)) == {
        "STANDBY_AWS_ACCESS_KEY_ID": (secret, "AWS_ACCESS_KEY_ID"),
        "STANDBY_AWS_SECRET_ACCESS_KEY": (secret, "AWS_SECRET_ACCESS_KEY"),
        "STANDBY_AWS_ENDPOINT": "https://minio.far.example.com",
        "STANDBY_AWS_REGION": "us-east-1",
        "STANDBY_AWS_S3_FORCE_PATH_STYLE": "true",
        "STANDBY_WALG_DISABLE_S3_SSE": "true",
        "STANDBY_WALG_LIBSODIUM_KEY": (secret, "WALG_LIBSODIUM_KEY"),
        "STANDBY_WALG_LIBSODIUM_KEY_TRANSFORM": "hex",
        "STANDBY_WALG_S3_CA_CERT_FILE": "/etc/planton/standby-ca/ca.crt",
    }
    assert resource(made)["spec"]["standby"] == {"s3_wal_path": "s3://far-bucket/backups/db-orders/16"}
    assert secret_of(made, secret) == {
        "AWS_ACCESS_KEY_ID": "FARACCESSKEY0001",
        "AWS_SECRET_ACCESS_KEY": "far/secret+key-0002",
        "WALG_LIBSODIUM_KEY": "ab" * 32,
    }
    # The prefix comes from the operator, under the older name.
    environment = {
        "STANDBY_WALE_S3_PREFIX": resource(made)["spec"]["standby"]["s3_wal_path"],
        **{
            name: value if isinstance(value, str) else secret_of(made, value[0])[value[1]]
            for name, value in env_of(resource(made)).items()
        },
    }
    # Spilo 4.0, write_wale_environment: WALG_S3_PREFIX is set to the older one where it is not given.
    environment.setdefault("STANDBY_WALG_S3_PREFIX", environment["STANDBY_WALE_S3_PREFIX"])
    files = {"/etc/planton/standby-ca/ca.crt": CERTIFICATE}
    found = settings_of(environment, files=files, spilo=spilo, variable_prefix="STANDBY_")
    assert (found.bucket, found.path, found.endpoint) == (
        "far-bucket",
        "backups/db-orders/16",
        "https://minio.far.example.com",
    )


def test_what_must_not_be_there() -> None:
    names = set(env_of(resource(rendered(STANDBY))))
    # The first moves the folder away from the one that the operator names in a promotion, the second disables it, and
    # by the prefix alone the operator would take it for a primary.
    assert not names & {"STANDBY_SCOPE", "CLONE_METHOD", "STANDBY_WALG_S3_PREFIX", "STANDBY_WALE_S3_PREFIX"}


@pytest.mark.parametrize(
    ("text", "path", "words"),
    [
        (ORDERS + beginning("standby", by_name(), spec='version: "17"'), "spec.version", "no other version can read"),
        (ORDERS + beginning("standby", by_name(), spec='version: "15"'), "spec.version", "no other version can read"),
        (beginning("standby", by_name("restored")), "spec.standby.source.database.name", "this database itself"),
        (ORDERS + beginning("standby", by_name("ordres")), "spec.standby.source.database.name", "not among"),
        (beginning("standby", by_place("", "db-restored")), "metadata.name", "archive of its own"),
        (
            beginning("standby", by_place(""), backup='s3_prefix: "/backups/db-orders/16"'),
            "spec.backup_config.s3_prefix",
            "archive of its own",
        ),
    ],
)
def test_what_is_refused(text: str, path: str, words: str) -> None:
    found = problems(operator() + text)
    assert [one.path for one in found if words in one.message] == [path]


def test_more_than_one_pod() -> None:
    text = beginning("standby", by_place("")).replace("disk_size: 10Gi", "replicas: 2")
    (problem,) = problems(operator() + text)
    assert (problem.path, problem.message[:9]) == ("spec.container.replicas", "must be 1")


def test_beside_a_clone() -> None:
    both = beginning("clone", by_name(), spec="standby: {source: {database: {name: orders}}}")
    (problem,) = problems(operator() + ORDERS + both)
    assert problem.path == "spec.standby"
    assert "beside clone" in problem.message


def standing(text: str = STANDBY, facts: Existing = FACTS) -> ExistingDatabase:
    return alive(resource(rendered(text, facts)))


def test_added_to_a_primary() -> None:
    plain = alive(resource(rendered(operator() + database("restored"))))
    (problem,) = problems(STANDBY, with_live(plain))
    assert problem.path == "spec.standby"
    assert "would be demoted" in problem.message


def test_the_same_manifest_changes_nothing() -> None:
    made = rendered(STANDBY, with_live(standing()))
    assert resource(made) == resource(rendered(STANDBY))
    assert not [one for one in made.warnings if one.subject.endswith("restored")]


@pytest.mark.parametrize("source", [by_name("other"), by_place(FAR)])
def test_another_source(source: str) -> None:
    text = operator() + ORDERS + database("other", spec='version: "16"') + beginning("standby", source)
    found = problems(text, with_live(standing(), values=VALUES))
    assert [one.path for one in found] == ["spec.standby.source"]
    assert f"instead of {PREFIX}" in found[0].message


def test_another_key_for_the_same_source() -> None:
    text = operator() + beginning("standby", by_place(FAR))
    values = {**VALUES.reveal(), Reference("file", "far.key"): "new/secret+key-0003"}
    made = rendered(text, with_live(standing(text), values=SecretValues(values)))
    assert secret_of(made, "db-restored-standby-credentials-libsodium")["AWS_SECRET_ACCESS_KEY"].startswith("new")
    assert resource(made) == resource(rendered(text, FACTS))


def test_new_keys_for_its_source_restart_its_pods() -> None:
    """wal-g has the keys of the container's start: without a restart it stops following once they are revoked."""
    text = operator() + beginning("standby", by_place(FAR))
    name = "db-restored-standby-credentials-libsodium"
    place = ("restored", name)
    assert place in secret_places(planton.loads(text))
    first = rendered(text, FACTS)
    assert STANDBY_GENERATION not in env_of(resource(first))

    def held(made: Rendering, generation: int = 0) -> ExistingSecret:
        return ExistingSecret(Credentials(dict(secret_of(made, name))), generation)

    def counted(made: Rendering) -> str | None:
        (secret,) = [one for one in made if one["kind"] == "Secret" and one["metadata"]["name"] == name]
        told = env_of(resource(made)).get(STANDBY_GENERATION)
        # One request writes the keys and the number, and the pods are told afterwards.
        assert (secret["metadata"].get("annotations") or {}).get(GENERATION_ANNOTATION) == told
        return str(told) if told else None

    def again(before: Rendering, secret: ExistingSecret | None, values: SecretValues) -> Rendering:
        return rendered(text, with_live(alive(resource(before)), values=values, secrets={place: secret}))

    assert counted(again(first, held(first), VALUES)) is None
    new = SecretValues({**VALUES.reveal(), Reference("file", "far.key"): "new/secret+key-0003"})
    second = again(first, held(first), new)
    assert counted(second) == "1"
    assert counted(again(second, held(second, 1), new)) == "1"
    # Killed in between: the Secret is written, and the pods are not told yet.
    assert counted(again(first, held(second, 1), new)) == "1"
    # Lost and made anew: with what its pods have started nobody knows.
    assert counted(again(second, None, new)) == "2"
    promoted = rendered(operator() + database("restored"), with_live(alive(resource(second))))
    assert env_of(resource(promoted))[STANDBY_GENERATION] == "1"


def test_its_source_is_gone() -> None:
    text = operator() + beginning("standby", by_name())
    made = rendered(text, with_live(standing()))
    assert resource(made) == resource(rendered(STANDBY))
    (warning,) = [one for one in made.warnings if one.subject.endswith("restored")]
    assert warning.message.endswith("The standby goes on as it is")


@pytest.mark.parametrize("text", [STANDBY, operator() + beginning("standby", by_place(FAR))])
def test_promotion_leaves_the_pods_what_they_have(text: str) -> None:
    before = resource(rendered(text, FACTS))
    promoted = resource(rendered(operator() + database("restored"), with_live(alive(before))))
    assert "standby" not in promoted["spec"]
    made_by_operator = {**BY_OPERATOR, "STANDBY_WALE_S3_PREFIX": before["spec"]["standby"]["s3_wal_path"]}
    # What the operator writes for spec.standby is what the custom resource says from now on, and nothing else changes.
    assert env_of(promoted) == {**env_of(before), **made_by_operator}
    rest = {key: value for key, value in before["spec"].items() if key not in ("standby", "env")}
    assert {key: value for key, value in promoted["spec"].items() if key != "env"} == rest
    # And so it stays.
    again = resource(rendered(operator() + database("restored"), with_live(alive(promoted))))
    assert again == promoted


def test_a_promoted_one_is_a_primary() -> None:
    promoted = resource(rendered(operator() + database("restored"), with_live(standing())))
    (problem,) = problems(STANDBY, with_live(alive(promoted)))
    assert problem.path == "spec.standby"
    grown = database("restored").replace("disk_size: 10Gi", "replicas: 3")
    assert resource(rendered(operator() + grown, with_live(alive(promoted))))["spec"]["numberOfInstances"] == 3


def test_a_standby_of_another_kind_is_not_made_up() -> None:
    assert standby_entries({"standby_host": "10.0.0.1"}) == {}
    assert standby_entries(None) == {}


def test_a_standby_cannot_become_a_clone() -> None:
    made = rendered(
        operator() + ORDERS + beginning("clone", by_name(), target=f'"{TARGET}"'), with_live(standing(), values=VALUES)
    )
    assert not [name for name in env_of(resource(made)) if name.startswith("CLONE_")]
    assert [one.path for one in made.warnings if one.subject.endswith("restored")] == ["spec.clone"]


def test_the_environment_has_what_the_operator_adds() -> None:
    def names(text: str, **more: Any) -> dict[str, Any]:
        found = planton.environment(planton.loads(text), "restored", **more)
        return {one.name: one.resolved for one in found if one.name.startswith("STANDBY_")}

    literals = {name: value for name, value in FROM_OPERATOR.items() if isinstance(value, str)}
    keys = dict.fromkeys(name for name, value in FROM_OPERATOR.items() if not isinstance(value, str))
    assert names(STANDBY) == {**literals, **keys, **BY_OPERATOR}
    after = names(operator() + database("restored"), existing=with_live(standing()))
    assert after == names(STANDBY)
