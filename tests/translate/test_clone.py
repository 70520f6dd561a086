"""What a clone becomes: its variables by hand, its Secrets, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from planton.translate.archive_access import ArchiveAccess, FoundSource
from planton.translate.birth import Birth
from planton.translate.existing import Existing
from planton.translate.secret_values import Credentials, Reference, SecretValues
from tests.keys import certificate
from tests.manifests import ACCESS_KEY, database, operator
from tests.store.walg import Spilo, settings_of
from tests.translate.beginnings import (
    TARGET,
    beginning,
    by_name,
    by_place,
    env_of,
    problems,
    rendered,
    resource,
    secret_of,
    secrets_of,
)

STORAGE = "r2-postgres-backup-credentials"
ORDERS = database("orders", spec='version: "16"')
FROM_OPERATOR = {
    "CLONE_AWS_ACCESS_KEY_ID": (STORAGE, "AWS_ACCESS_KEY_ID"),
    "CLONE_AWS_SECRET_ACCESS_KEY": (STORAGE, "AWS_SECRET_ACCESS_KEY"),
    "CLONE_AWS_ENDPOINT": "https://account.r2.cloudflarestorage.com",
    "CLONE_AWS_REGION": "auto",
    "CLONE_AWS_S3_FORCE_PATH_STYLE": "true",
    "CLONE_METHOD": "CLONE_WITH_WALE",
    "CLONE_SCOPE": "db-orders",
    "CLONE_USE_WALG_RESTORE": "true",
    "CLONE_WALG_DISABLE_S3_SSE": "true",
    "CLONE_WALG_S3_PREFIX": "s3://postgres-backups/backups/db-orders/16",
}
MINIO = """\
storage:
  bucket_name: other-bucket
  s3_compatible: {endpoint: "https://minio.example.com:9000", force_path_style: false, region: eu-test-1}
  certificate_authority: {file: ca.pem}
  proxy: {url: "http://proxy.example.com:3128"}
credentials:
  access_key_id: {value: "OTHERACCESSKEY0001"}
  secret_access_key: {environment_variable: OTHER_SECRET}
"""
CERTIFICATE = certificate()
VALUES = {
    Reference("file", "ca.pem"): CERTIFICATE,
    Reference("environment variable", "OTHER_SECRET"): "other/secret+key-0002",
    Reference("environment variable", "SODIUM"): "ab" * 32,
}
FACTS = Existing(values=SecretValues(VALUES))
MINIO_ENVIRONMENT = {
    "CLONE_AWS_ACCESS_KEY_ID": ("db-restored-clone-credentials", "AWS_ACCESS_KEY_ID"),
    "CLONE_AWS_SECRET_ACCESS_KEY": ("db-restored-clone-credentials", "AWS_SECRET_ACCESS_KEY"),
    "CLONE_AWS_ENDPOINT": "https://minio.example.com:9000",
    "CLONE_AWS_REGION": "eu-test-1",
    "CLONE_AWS_S3_FORCE_PATH_STYLE": "false",
    "CLONE_METHOD": "CLONE_WITH_WALE",
    "CLONE_SCOPE": "db-orders",
    "CLONE_USE_WALG_RESTORE": "true",
    "CLONE_WALE_S3_ENDPOINT": "https+virtualhost://minio.example.com:9000",
    "CLONE_WALG_DISABLE_S3_SSE": "true",
    "CLONE_WALG_S3_CA_CERT_FILE": "/etc/planton/clone-ca/ca.crt",
    "CLONE_WALG_S3_PREFIX": "s3://other-bucket/backups/db-orders/16",
    "CLONE_https_proxy": "http://proxy.example.com:3128",
    "CLONE_no_proxy": "169.254.169.254,localhost,127.0.0.1,.svc,.cluster.local",
}


def env(text: str, existing: Existing | None = None) -> dict[str, Any]:
    return env_of(resource(rendered(text, existing)))


def test_latest_of_a_database_of_the_set() -> None:
    text = operator() + ORDERS + beginning("clone", by_name())
    assert env(text) == FROM_OPERATOR
    made = rendered(text)
    assert resource(made)["spec"]["postgresql"]["version"] == "16"
    assert "standby" not in resource(made)["spec"]
    assert "additionalVolumes" not in resource(made)["spec"]
    assert secrets_of(made) == {STORAGE}
    (note,) = resource(made)["metadata"]["annotations"].items()
    assert note == (
        "planton.ai/restored-from",
        '{"prefix":"s3://postgres-backups/backups/db-orders/16","version":"16"}',
    )


def test_at_a_time() -> None:
    text = operator() + ORDERS + beginning("clone", by_name(), target=f'"{TARGET}"')
    # PostgreSQL refuses a Z in recovery_target_time.
    assert env(text) == {**FROM_OPERATOR, "CLONE_TARGET_TIME": TARGET.replace("Z", "+00:00")}
    assert env(text.replace(TARGET, "2026-11-22T10:14:35+02:00"))["CLONE_TARGET_TIME"] == "2026-11-22T10:14:35+02:00"
    note = resource(rendered(text))["metadata"]["annotations"]["planton.ai/restored-from"]
    assert Birth.from_json(note) == Birth("s3://postgres-backups/backups/db-orders/16", TARGET, version="16")


def test_what_the_operator_says_of_clones_does_not_count() -> None:
    text = operator(backup="enable_clone_wal_g_restore: false") + ORDERS + beginning("clone", by_name())
    assert env(text)["CLONE_USE_WALG_RESTORE"] == "true"


def test_its_own_settings_stay_beside_those_of_its_source() -> None:
    own = 's3_prefix: "/restored"\nbackup_schedule: "0 5 * * *"\nenable_clone: true'
    text = operator() + ORDERS + beginning("clone", by_name(), backup=own)
    mine = {"BACKUP_SCHEDULE": "0 5 * * *", "WALG_S3_PREFIX": "s3://postgres-backups/restored"}
    assert env(text) == {**FROM_OPERATOR, **mine}


def test_without_backups_of_its_own() -> None:
    text = operator() + ORDERS + beginning("clone", by_name(), backup="enable_backup: false")
    assert env(text) == {**FROM_OPERATOR, "USE_WALG_BACKUP": "false", "WALG_S3_PREFIX": ""}


def test_from_a_store_of_its_own_by_place() -> None:
    text = operator() + beginning("clone", by_place(MINIO))
    assert env(text, FACTS) == MINIO_ENVIRONMENT
    made = rendered(text, FACTS)
    assert resource(made)["spec"]["postgresql"]["version"] == "16"
    assert secrets_of(made) == {STORAGE, "db-restored-clone-credentials", "db-restored-clone-ca"}
    assert secret_of(made, "db-restored-clone-credentials") == {
        "AWS_ACCESS_KEY_ID": "OTHERACCESSKEY0001",
        "AWS_SECRET_ACCESS_KEY": "other/secret+key-0002",
    }
    assert secret_of(made, "db-restored-clone-ca") == {"ca.crt": CERTIFICATE}
    (volume,) = resource(made)["spec"]["additionalVolumes"]
    assert volume == {
        "name": "db-restored-clone-ca",
        "mountPath": "/etc/planton/clone-ca",
        "targetContainers": ["postgres"],
        "volumeSource": {"secret": {"secretName": "db-restored-clone-ca"}},
    }


def test_by_name_from_a_store_of_its_own() -> None:
    source = database("orders", spec='version: "16"', backup=MINIO + 's3_prefix: "/backups/$(SCOPE)/$(PGVERSION)"')
    assert env(operator() + source + beginning("clone", by_name()), FACTS) == MINIO_ENVIRONMENT


def test_both_a_store_of_its_own_and_a_source_in_another() -> None:
    made = rendered(operator() + beginning("clone", by_place(MINIO), backup=MINIO), FACTS)
    mounts = {one["name"]: one["mountPath"] for one in resource(made)["spec"]["additionalVolumes"]}
    assert mounts == {
        "db-restored-store-ca": "/etc/planton/store-ca",
        "db-restored-clone-ca": "/etc/planton/clone-ca",
    }
    own = {name: value for name, value in env_of(resource(made)).items() if not name.startswith("CLONE_")}
    assert own["AWS_ACCESS_KEY_ID"] == ("db-restored-backup-credentials", "AWS_ACCESS_KEY_ID")
    assert own["WALG_S3_PREFIX"] == "s3://other-bucket/backups/$(SCOPE)/$(PGVERSION)"


def test_what_was_not_looked_up_stays_a_reference() -> None:
    made = rendered(operator() + beginning("clone", by_place(MINIO)))
    secrets = {one["metadata"]["name"]: dict(one["data"]) for one in made if one["kind"] == "Secret"}
    assert secrets["db-restored-clone-ca"] == {"ca.crt": "<file ca.pem>"}
    given = secrets["db-restored-clone-credentials"]
    assert given["AWS_SECRET_ACCESS_KEY"] == "<environment variable OTHER_SECRET>"
    assert env_of(resource(made)) == MINIO_ENVIRONMENT


@pytest.mark.parametrize(
    ("encryption", "keys", "secret"),
    [
        ("libsodium: {key: {environment_variable: SODIUM}, transform: hex}", ["LIBSODIUM_KEY"], "libsodium"),
        ("pgp: {key: {file: key.asc}}", ["PGP_KEY", "PGP_KEY_PASSPHRASE"], "pgp"),
    ],
)
def test_encrypted_with_a_key_of_its_own(encryption: str, keys: list[str], secret: str) -> None:
    own = f"encryption: {{{encryption}}}\n"
    for source, before in ((by_name(), database("orders", spec='version: "16"', backup=own)), (by_place(own), "")):
        found = env(operator() + before + beginning("clone", source))
        name = f"db-restored-clone-{secret}"
        ciphers: dict[str, Any] = {f"CLONE_WALG_{key}": (name, f"WALG_{key}") for key in keys}
        if secret == "libsodium":
            ciphers["CLONE_WALG_LIBSODIUM_KEY_TRANSFORM"] = "hex"
        assert found == {**FROM_OPERATOR, **ciphers}


def test_encrypted_by_the_operator() -> None:
    config = "encryption: {libsodium: {key: {environment_variable: SODIUM}, transform: hex}}"
    found = env(operator(backup=config) + ORDERS + beginning("clone", by_name()), FACTS)
    name = f"{STORAGE}-libsodium"
    names = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "WALG_LIBSODIUM_KEY", "WALG_LIBSODIUM_KEY_TRANSFORM")
    assert found == {**FROM_OPERATOR, **{f"CLONE_{key}": (name, key) for key in names}}


def test_a_source_that_does_not_encrypt_under_an_operator_that_does() -> None:
    config = "encryption: {libsodium: {key: {environment_variable: SODIUM}, transform: hex}}"
    for source, before in (
        (by_name(), database("orders", spec='version: "16"', backup="encryption: {none: {}}")),
        (by_place("encryption: {none: {}}"), ""),
    ):
        found = env(operator(backup=config) + before + beginning("clone", source), FACTS)
        assert not [name for name in found if "LIBSODIUM" in name]
    # A store of its own is not the operator's, nor is its key.
    found = env(operator(backup=config) + beginning("clone", by_place(MINIO)), FACTS)
    assert found == MINIO_ENVIRONMENT


def test_the_operators_certificate_is_where_the_operator_mounts_it() -> None:
    config = (
        "backup_schedule: '0 2 * * *'\nstorage:\n  bucket_name: backups\n"
        "  s3_compatible: {endpoint: 'https://minio.example.com'}\n  certificate_authority: {file: ca.pem}\n"
        "credentials: {access_key_id: {value: OTHERACCESSKEY0001}, secret_access_key: {value: OTHERSECRETKEY0001}}\n"
    )
    head = operator(backup=None, spec="backup_config:\n" + "".join(f"  {line}\n" for line in config.splitlines()))
    made = rendered(head + ORDERS + beginning("clone", by_name()), FACTS)
    secret = f"{STORAGE}-ca"
    assert env_of(resource(made))["CLONE_WALG_S3_CA_CERT_FILE"] == (secret, "WALG_S3_CA_CERT_FILE")
    assert secrets_of(made) == {secret, "postgres-backup-files"}
    assert "additionalVolumes" not in resource(made)["spec"]


@pytest.mark.parametrize("spilo", ["4.0", "4.1"])
@pytest.mark.parametrize("store", ["operator", "minio"])
def test_spilo_reaches_what_is_meant(spilo: Spilo, store: str) -> None:
    source = by_place("") if store == "operator" else by_place(MINIO)
    made = rendered(operator() + beginning("clone", source, target=f'"{TARGET}"'), FACTS)
    environment = {
        # Whatever there is of its own, or of the operator, does not reach the source's folder.
        "AWS_ENDPOINT": "https://elsewhere.example.com",
        "WALG_S3_PREFIX": "s3://elsewhere/own",
        **{
            name: value if isinstance(value, str) else secret_of(made, value[0])[value[1]]
            for name, value in env_of(resource(made)).items()
        },
    }
    files = {"/etc/planton/clone-ca/ca.crt": CERTIFICATE}
    found = settings_of(environment, files=files, spilo=spilo, variable_prefix="CLONE_")
    if store == "operator":
        assert (found.bucket, found.path) == ("postgres-backups", "backups/db-orders/16")
        assert (found.region, found.path_style, found.proxy) == ("auto", True, "")
        assert found.access_key_id == ACCESS_KEY
    else:
        assert (found.bucket, found.path) == ("other-bucket", "backups/db-orders/16")
        assert (found.region, found.path_style) == ("eu-test-1", False)
        assert (found.proxy, found.access_key_id) == ("http://proxy.example.com:3128", "OTHERACCESSKEY0001")
        assert found.certificate_authority == CERTIFICATE
    assert found.encryption == ""


def test_the_namespace_of_the_source_is_written_out() -> None:
    head = operator(backup='s3_prefix_template: "$(POD_NAMESPACE)/$(SCOPE)/$(PGVERSION)"')
    place = "labels:\n  kubernetes.project-planton.org/namespace: shop"
    source = database("orders", spec='version: "16"', metadata=place)
    for asked in (by_name(), by_name(namespace="shop")):
        found = env(head + source + beginning("clone", asked))
        assert found["CLONE_WALG_S3_PREFIX"] == "s3://postgres-backups/shop/db-orders/16"
    (problem,) = problems(head + beginning("clone", by_place("")))
    assert problem.path == "spec.clone.source.archive.s3_prefix"
    assert "POD_NAMESPACE" in problem.message
    explicit = env(head + beginning("clone", by_place('s3_prefix: "/shop/$(SCOPE)/$(PGVERSION)"')))
    assert explicit["CLONE_WALG_S3_PREFIX"] == "s3://postgres-backups/shop/db-orders/16"


def test_another_bucket_of_the_operators_store() -> None:
    made = rendered(operator() + beginning("clone", by_place('s3_prefix: "archive-2025/x/$(SCOPE)"')))
    assert env_of(resource(made))["CLONE_WALG_S3_PREFIX"] == "s3://archive-2025/x/db-orders"
    assert not [one for one in made.warnings if one.subject.endswith("restored")]


def test_a_clone_of_a_clone_takes_the_version_through() -> None:
    chain = beginning("clone", by_name("middle")) + beginning("clone", by_name(), name="middle") + ORDERS
    made = rendered(operator() + chain)
    assert resource(made)["spec"]["postgresql"]["version"] == "16"
    assert env_of(resource(made))["CLONE_WALG_S3_PREFIX"] == "s3://postgres-backups/backups/db-middle/16"


@pytest.mark.parametrize(
    ("text", "path", "words"),
    [
        (ORDERS + beginning("clone", by_name("order")), "spec.clone.source.database.name", "give its manifest too"),
        (ORDERS + beginning("clone", by_name(namespace="shop")), "spec.clone.source.database.name", "not among"),
        (beginning("clone", by_name("restored")), "spec.clone.source.database.name", "nothing is restored in place"),
        (
            database("orders", backup="enable_backup: false") + beginning("clone", by_name()),
            "spec.clone.source.database.name",
            "its backups are off",
        ),
        (
            ORDERS
            + database("orders", metadata="labels:\n  kubernetes.project-planton.org/namespace: shop")
            + beginning("clone", by_name()),
            "spec.clone.source.database.name",
            "orders, shop",
        ),
        (ORDERS + beginning("clone", by_name(), spec='version: "15"'), "spec.version", "no way back"),
        (
            ORDERS + beginning("clone", by_name(), backup="enable_clone: false"),
            "spec.backup_config.enable_clone",
            "remove this line",
        ),
        (
            beginning("clone", by_place(""), backup='s3_prefix: "/backups/db-orders/16"'),
            "spec.backup_config.s3_prefix",
            "its source",
        ),
        (
            beginning("clone", by_place(""), backup='s3_prefix: "/backups/db-orders/16/new"'),
            "spec.backup_config.s3_prefix",
            "lies inside",
        ),
        (
            beginning("clone", by_place(""), backup='s3_prefix: "/backups/db-orders"'),
            "spec.backup_config.s3_prefix",
            "lies around",
        ),
        (beginning("clone", by_place("", cluster="db-restored")), "metadata.name", "archive of its own"),
    ],
)
def test_what_is_refused(text: str, path: str, words: str) -> None:
    found = problems(operator() + text)
    assert [one.path for one in found if words in one.message] == [path]
    assert {one.subject for one in found if one.path == path} == {"PostgresKubernetes/restored"}


def test_without_an_operator() -> None:
    (problem,) = problems(beginning("clone", by_place("")))
    assert (problem.path, "storage" in problem.message) == ("spec.clone.source.archive.storage", True)
    made = rendered(beginning("clone", by_place(MINIO)), FACTS)
    assert env_of(resource(made)) == MINIO_ENVIRONMENT


def test_a_higher_version_is_an_upgrade_after_the_restore() -> None:
    made = rendered(operator() + ORDERS + beginning("clone", by_name(), spec='version: "17"'))
    assert resource(made)["spec"]["postgresql"]["version"] == "17"
    assert env_of(resource(made))["CLONE_WALG_S3_PREFIX"].endswith("/16")
    (warning,) = [one for one in made.warnings if one.path == "spec.version"]
    assert "pg_upgrade" in warning.message


def live(name: str, **more: Any) -> Existing:
    """Facts of a cluster with one database whose archive was looked up."""
    access = ArchiveAccess(
        namespace=name,
        scope=f"acid-{name}",
        version="15",
        prefix=f"s3://theirs/spilo/acid-{name}/wal/15",
        environment={"AWS_ENDPOINT": "https://theirs.example.com", "AWS_REGION": "us-east-1"},
        references={"AWS_ACCESS_KEY_ID": "pod-secret/id", "AWS_SECRET_ACCESS_KEY": "pod-secret/AWS_SECRET_ACCESS_KEY"},
        contents=Credentials({"AWS_ACCESS_KEY_ID": "THEIRACCESSKEY01", "AWS_SECRET_ACCESS_KEY": "their/secret+key1"}),
        **more,
    )
    return Existing(from_cluster=True, sources={("", name): FoundSource(access)})


def test_a_live_database_of_somebody_else() -> None:
    made = rendered(operator() + beginning("clone", by_name("theirs")), live("theirs"))
    secret = "db-restored-clone-credentials"
    assert env_of(resource(made)) == {
        "CLONE_AWS_ACCESS_KEY_ID": (secret, "AWS_ACCESS_KEY_ID"),
        "CLONE_AWS_SECRET_ACCESS_KEY": (secret, "AWS_SECRET_ACCESS_KEY"),
        "CLONE_AWS_ENDPOINT": "https://theirs.example.com",
        "CLONE_AWS_REGION": "us-east-1",
        "CLONE_METHOD": "CLONE_WITH_WALE",
        "CLONE_SCOPE": "acid-theirs",
        "CLONE_USE_WALG_RESTORE": "true",
        "CLONE_WALG_S3_PREFIX": "s3://theirs/spilo/acid-theirs/wal/15",
    }
    assert secret_of(made, secret)["AWS_ACCESS_KEY_ID"] == "THEIRACCESSKEY01"
    assert resource(made)["spec"]["postgresql"]["version"] == "15"


def test_a_certificate_that_nobody_can_read_is_no_clone_without_it() -> None:
    facts = live("theirs")
    (source,) = facts.sources.values()
    assert source.access is not None
    source.access.environment["WALG_S3_CA_CERT_FILE"] = "/tls/ca.crt"  # type: ignore[index]
    (problem,) = problems(operator() + beginning("clone", by_name("theirs")), facts)
    assert problem.path == "spec.clone.source"
    assert "WALG_S3_CA_CERT_FILE" in problem.message


def test_a_database_that_nobody_knows_in_a_cluster() -> None:
    lacking = "is neither here nor there"
    facts = Existing(from_cluster=True, sources={("", "gone"): FoundSource(None, lacking)})
    (problem,) = problems(operator() + beginning("clone", by_name("gone")), facts)
    assert problem.message == f'("gone") {lacking}'


@pytest.mark.parametrize("where", ["literal", "Secret"])
@pytest.mark.parametrize("kind", ["clone", "standby"])
def test_a_proxys_password_of_somebody_else_is_not_written_into_a_custom_resource(where: str, kind: str) -> None:
    proxy = "http://user:sentinel/9@proxy.example.com:3128"
    facts = live("theirs")
    (source,) = facts.sources.values()
    access = source.access
    assert access is not None
    if where == "literal":
        access = replace(access, environment={**access.environment, "https_proxy": proxy})
    else:
        references = {**access.references, "https_proxy": "theirs/proxy"}
        contents = Credentials({**access.contents.reveal(), "https_proxy": proxy})
        access = replace(access, references=references, contents=contents)
    facts = Existing(from_cluster=True, sources={("", "theirs"): FoundSource(access)})
    assert "sentinel" not in repr(facts.sources)
    (problem,) = problems(operator() + beginning(kind, by_name("theirs")), facts)
    assert problem.path == f"spec.{kind}.source"
    assert "https_proxy of it, without the user that stands in it, is not known" in problem.message
    assert "sentinel" not in problem.message
