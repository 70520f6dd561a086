"""Archives that meet: one store under several names, prefixes of others, one inside another, clones."""

from __future__ import annotations

import pytest

import planton
from planton.cluster.planning.inventory import database_facts
from planton.translate.archive import ArchiveIdentity, identity, store_name
from planton.translate.effective_archive import archive_address, archive_of, clone_environment, is_broken
from planton.translate.existing import Existing, ExistingDatabase
from tests.manifests import database, operator
from tests.translate.test_set import in_namespace, problems

R2 = "https://account.r2.cloudflarestorage.com"
KEYS = "credentials: {access_key_id: {value: AKID00000000}, secret_access_key: {value: secret-of-mine}}\n"


def own(endpoint: str, prefix: str, *, bucket: str = "backups-b", style: str = "") -> str:
    """Writes a store of a database's own."""
    store = f"storage: {{bucket_name: {bucket}, s3_compatible: {{endpoint: {endpoint}, region: r{style}}}}}\n"
    return f"{KEYS}{store}s3_prefix: {prefix}"


def in_amazon(prefix: str) -> str:
    return f"{KEYS}storage: {{bucket_name: backups-b, aws_s3: {{region: eu-west-1}}}}\ns3_prefix: {prefix}"


def live(name: str = "theirs", namespace: str = "foreign", version: str = "17", **environment: str) -> ExistingDatabase:
    return ExistingDatabase(namespace, name, version, environment)


def against(text: str, *databases: ExistingDatabase) -> list[str]:
    return problems(text, Existing(from_cluster=True, databases=databases))


@pytest.mark.parametrize(
    ("endpoint", "store"),
    [
        ("", ""),
        ("https://s3.amazonaws.com", ""),
        ("https://s3.eu-west-1.amazonaws.com/", ""),
        ("https://s3-eu-west-1.amazonaws.com", ""),
        ("https://s3.dualstack.eu-west-1.amazonaws.com", ""),
        ("https://s3-fips.dualstack.us-gov-west-1.amazonaws.com", ""),
        ("https://s3.cn-north-1.amazonaws.com.cn", ""),
        ("https://bucket.s3.eu-west-1.amazonaws.com", ""),
        ("https://bucket.vpce-1a2b.s3.eu-west-1.vpce.amazonaws.com", ""),
        ("S3.Amazonaws.com.", ""),
        ("https://storage.googleapis.com", "storage.googleapis.com"),
        ("https://bucket.storage.googleapis.com:443", "storage.googleapis.com"),
        ("https://storage.europe-west3.rep.googleapis.com", "storage.googleapis.com"),
        ("https://commondatastorage.googleapis.com", "storage.googleapis.com"),
        (R2, "account.r2.cloudflarestorage.com"),
        ("https://bucket.account.r2.cloudflarestorage.com", "account.r2.cloudflarestorage.com"),
        ("https://account.eu.r2.cloudflarestorage.com", "account.eu.r2.cloudflarestorage.com"),
        ("https://Minio.Example.org:443/", "minio.example.org"),
        ("http://minio.example.org:80", "minio.example.org"),
        ("http://minio.example.org:9000", "minio.example.org:9000"),
        ("https://minio.example.org/s3/", "minio.example.org/s3"),
        ("http://minio.minio.svc.cluster.local:9000", "minio.minio.svc:9000"),
        ("https://[::1]:9000", "[::1]:9000"),
        ("https://user@minio.example.org", "minio.example.org"),
        # No store of Amazon's, though it looks like one.
        ("https://s3.amazonaws.com.example.org", "s3.amazonaws.com.example.org"),
        ("https://notamazonaws.com", "notamazonaws.com"),
        ("::::", "::::"),
    ],
)
def test_the_one_form_of_a_store(endpoint: str, store: str) -> None:
    assert store_name(endpoint, "bucket") == store
    assert store_name(store, "bucket") == store


def test_identity_fills_in_what_is_known_and_leaves_the_rest() -> None:
    made = identity("s3://b//x/$(SCOPE)/$(PGVERSION)/", "", scope="db-a", version="17", namespace="n")
    assert made == ArchiveIdentity("", "s3://b/x/db-a/17")
    # A version that is not known is no empty path, which would lie around every other one.
    made = identity("s3://b/$(SCOPE)/$(PGVERSION)", "", scope="db-a", version="", namespace="n")
    assert made.prefix == "s3://b/db-a/$(PGVERSION)"
    assert made.above() == [ArchiveIdentity("", "s3://b/db-a"), ArchiveIdentity("", "s3://b")]
    assert identity("gs://b/x", "", scope="", version="", namespace="").store == "storage.googleapis.com"


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("https://minio.example.org", "https://minio.example.org"),
        ("https://minio.example.org", "https://backups-b.minio.example.org"),
        ("http://minio.example.org", "https://minio.example.org"),
    ],
)
def test_one_store_under_two_names_is_one_store(first: str, second: str) -> None:
    text = operator() + database("a", backup=own(first, "/x")) + database("b", backup=own(second, "/x"))
    (problem,) = problems(text)
    assert "has the same archive as PostgresKubernetes/a" in problem
    other = own(second, "/x", bucket="other-bucket")
    assert planton.render(
        planton.loads(operator() + database("a", backup=own(first, "/x")) + database("b", backup=other))
    )


def test_the_style_of_requests_tells_no_archives_apart() -> None:
    first = own("https://minio.example.org", "/x", style=", force_path_style: false")
    text = operator() + database("a", backup=first) + database("b", backup=own("https://minio.example.org", "/x"))
    assert "has the same archive as" in problems(text)[0]


@pytest.mark.parametrize("endpoint", ["https://s3.eu-west-1.amazonaws.com", "https://backups-b.s3.amazonaws.com/", ""])
def test_amazon_by_its_region_and_by_an_endpoint(endpoint: str) -> None:
    theirs = live(WALG_S3_PREFIX="s3://backups-b/x/", AWS_ENDPOINT=endpoint)
    (problem,) = against(operator() + database("a", backup=in_amazon("/x")), theirs)
    assert "has the same archive as the live database foreign/theirs" in problem


def test_a_store_of_its_own_against_the_operators() -> None:
    same = "storage: {bucket_name: postgres-backups, cloudflare_r2: {cloudflare_account_id: account}}\n"
    mine = f"{KEYS}{same}s3_prefix: /backups/db-b/17"
    (problem,) = problems(operator() + database("b") + database("a", backup=mine))
    assert "has the same archive as PostgresKubernetes/b" in problem
    europe = mine.replace("account}", "account, jurisdiction: eu}")
    assert planton.render(planton.loads(operator() + database("b") + database("a", backup=europe)))


@pytest.mark.parametrize(
    "environment",
    [
        {"WALG_S3_PREFIX": "s3://postgres-backups/backups/db-orders/17/"},
        # Without the switch of wal-g it is wal-e's address that counts.
        {
            "WALE_S3_PREFIX": "s3://postgres-backups/backups/$(SCOPE)/17",
            "WALG_S3_PREFIX": "",
            "USE_WALG_BACKUP": "false",
        },
        {"WALE_S3_PREFIX": "s3://postgres-backups/backups/db-orders/$(PGVERSION)", "WALG_S3_PREFIX": ""},
    ],
)
def test_databases_of_others_name_their_archive_in_several_ways(environment: dict[str, str]) -> None:
    (problem,) = against(operator() + database(), live("db-orders", **environment))
    assert "has the same archive as the live database foreign/db-orders" in problem


def test_an_archive_by_the_name_of_a_bucket() -> None:
    theirs = live(WALG_S3_PREFIX="", WAL_S3_BUCKET="postgres-backups", AWS_ENDPOINT=R2)
    taken = database(backup="s3_prefix: /spilo/foreign-theirs/wal/17")
    assert "has the same archive as the live database foreign/theirs" in against(operator() + taken, theirs)[0]
    theirs = live(
        WALG_S3_PREFIX="", WAL_S3_BUCKET="postgres-backups", WAL_BUCKET_SCOPE_PREFIX="", WAL_BUCKET_SCOPE_SUFFIX="/uid"
    )
    taken = database(backup="s3_prefix: /spilo/theirs/uid/wal/17")
    assert "has the same archive as the live database foreign/theirs" in against(operator() + taken, theirs)[0]


@pytest.mark.parametrize(
    ("environment", "address"),
    [
        ({}, ("", "")),
        ({"WALG_S3_PREFIX": "s3://a", "USE_WALG_BACKUP": "TRUE", "WALE_S3_PREFIX": "s3://b"}, ("s3://a", "")),
        ({"WALG_S3_PREFIX": "s3://a", "WALE_S3_PREFIX": "s3://b"}, ("s3://b", "")),
        ({"WALG_S3_PREFIX": "s3://a", "WAL_S3_BUCKET": "b", "USE_WALG_BACKUP": "true"}, ("s3://a", "")),
        ({"WAL_S3_BUCKET": "b"}, ("s3://b/spilo/n-$(SCOPE)/wal/$(PGVERSION)", "")),
        ({"WALG_GS_PREFIX": "gs://b/x"}, ("gs://b/x", "")),
        ({"WAL_GS_BUCKET": "b"}, ("gs://b/spilo/n-$(SCOPE)/wal/$(PGVERSION)", "")),
        # A prefix of S3 comes first.
        ({"WALG_GS_PREFIX": "gs://b/x", "WALG_S3_PREFIX": "s3://a"}, ("s3://a", "")),
        ({"WALG_S3_PREFIX": "s3://a", "WALE_S3_ENDPOINT": "https+path://e:9000"}, ("s3://a", "https://e:9000")),
        ({"WALG_S3_PREFIX": "s3://a", "WALG_S3_ENDPOINT": "http+virtualhost://e"}, ("s3://a", "http://e")),
        (
            {"WALG_S3_PREFIX": "s3://a", "WALE_S3_ENDPOINT": "https+path://e", "AWS_ENDPOINT": "https://f"},
            ("s3://a", "https://f"),
        ),
        ({"WALG_S3_PREFIX": "s3://a", "WALE_S3_ENDPOINT": "e:9000"}, ("s3://a", "e:9000")),
    ],
)
def test_addresses_as_spilo_computes_them(environment: dict[str, str], address: tuple[str, str]) -> None:
    assert archive_address(environment, "n") == address


def test_the_default_namespace_stands_before_no_scope() -> None:
    assert archive_address({"WAL_S3_BUCKET": "b"}, "default")[0] == "s3://b/spilo/$(SCOPE)/wal/$(PGVERSION)"


def test_what_fails_for_ever() -> None:
    assert is_broken({"WALG_S3_PREFIX": "s3://a"})
    assert not is_broken({"WALG_S3_PREFIX": "s3://a", "WALE_S3_PREFIX": "s3://b"})
    assert not is_broken({"WALG_S3_PREFIX": "s3://a", "USE_WALG_BACKUP": "True"})
    assert not is_broken({"WALG_S3_PREFIX": ""})


def test_an_archive_inside_another_one() -> None:
    outer, inner = database("a", backup="s3_prefix: /x/y"), database("b", backup="s3_prefix: /x/y/z")
    (problem,) = problems(operator() + outer + inner)
    assert "has its archive inside that of PostgresKubernetes/a" in problem
    assert "wal-g deletes old backups in everything below an archive's prefix" in problem
    (problem,) = problems(operator() + inner + outer)
    assert "has its archive around that of PostgresKubernetes/b" in problem
    beside = database("b", backup="s3_prefix: /x/yz")
    assert planton.render(planton.loads(operator() + outer + beside))


def test_a_whole_bucket_lies_around_everything_in_it() -> None:
    theirs = live(WALG_S3_PREFIX="s3://postgres-backups/")
    assert "has its archive inside that of the live database" in against(operator() + database(), theirs)[0]


def test_an_operator_that_brings_live_databases_into_one_another() -> None:
    inner = live("inner", WALG_S3_PREFIX="s3://postgres-backups/backups/outer/17/deep")
    found = against(operator(), inner, live("outer"))
    (problem,) = [one for one in found if "archives of which one lies inside the other" in one]
    assert "gives the live databases foreign/inner and foreign/outer archives" in problem


def test_a_live_database_without_a_version_is_no_reason_to_fall_over() -> None:
    nothing = ExistingDatabase("foreign", "bare")
    assert planton.render(
        planton.loads(operator() + database()), existing=Existing(from_cluster=True, databases=(nothing,))
    )


def clones(**more: str) -> list[str]:
    clone = {"CLONE_METHOD": "CLONE_WITH_WALE", "CLONE_SCOPE": "source", **more}
    theirs = live("clone", WALG_S3_PREFIX="s3://postgres-backups/source/17", AWS_ENDPOINT=R2, **clone)
    existing = Existing(from_cluster=True, databases=(theirs,))
    return [one.message for one in planton.render(planton.loads(operator() + database()), existing=existing).warnings]


def test_a_clone_that_archives_to_its_source() -> None:
    (warning,) = clones(CLONE_WALG_S3_PREFIX="s3://postgres-backups/source/17", CLONE_AWS_ENDPOINT=f"{R2}/")
    assert warning.startswith("the live database foreign/clone archives to where it was cloned from (s3://postgres-")
    (warning,) = clones(CLONE_WALE_S3_PREFIX="s3://postgres-backups/source", CLONE_WALE_S3_ENDPOINT=R2)
    assert "destroy each other" in warning
    assert clones(CLONE_WALG_S3_PREFIX="s3://postgres-backups/elsewhere/17", CLONE_AWS_ENDPOINT=R2) == []
    # Another store; no archive at all; no clone of an archive.
    assert clones(CLONE_WALG_S3_PREFIX="s3://postgres-backups/source/17") == []
    assert clones() == []
    both = {"CLONE_WALG_S3_PREFIX": "s3://postgres-backups/source/17", "CLONE_AWS_ENDPOINT": R2}
    assert clones(**both, CLONE_METHOD="CLONE_WITH_BASEBACKUP") == []


def test_a_clone_by_its_own_section() -> None:
    section = {
        "cluster": "source",
        "timestamp": "2026-01-01T00:00:00+00:00",
        "s3_wal_path": "s3://postgres-backups/s/17",
    }
    made = clone_environment({**section, "s3_endpoint": R2, "s3_secret_access_key": "never"})
    assert "never" not in made.values()
    theirs = ExistingDatabase(
        "foreign", "clone", "17", {"WALG_S3_PREFIX": "s3://postgres-backups/s/17", "AWS_ENDPOINT": R2}, clone=made
    )
    existing = Existing(from_cluster=True, databases=(theirs,))
    (warning,) = planton.render(planton.loads(operator() + database()), existing=existing).warnings
    assert "archives to where it was cloned from" in warning.message
    # Without a time it is a copy of the live source, and no archive is read.
    assert clone_environment({"cluster": "source", "s3_wal_path": "s3://x/y"}) == {}
    assert clone_environment({"timestamp": "x"}) == {}
    found = archive_of(
        clone_environment({**section, "s3_wal_path": ""}), name="c", namespace="n", version="17", clone=True
    )
    assert found is None


def test_base_backups_from_replicas_that_are_not_there() -> None:
    theirs = ExistingDatabase("foreign", "small", "17", instances=1)
    (problem,) = against(operator(backup="tuning: {backup_from_replica: true}"), theirs)
    assert "would leave the live database foreign/small without base backups" in problem
    assert "spec.backup_config.tuning.backup_from_replica" in problem


@pytest.mark.parametrize(
    "theirs",
    [
        ExistingDatabase("foreign", "big", "17", instances=2),
        # It is stopped, and must not be in the way.
        ExistingDatabase("foreign", "stopped", "17", instances=0),
        ExistingDatabase("foreign", "unknown", "17"),
        ExistingDatabase("foreign", "own", "17", {"WALG_BACKUP_FROM_REPLICA": "false"}, instances=1),
        ExistingDatabase("foreign", "off", "17", {"WALG_S3_PREFIX": "", "USE_WALG_BACKUP": "false"}, instances=1),
        # What it says itself is its own affair.
        ExistingDatabase("foreign", "mine", "17", {"WALG_BACKUP_FROM_REPLICA": "true"}, instances=1),
        ExistingDatabase("orders", "db-orders", "17", instances=1),
    ],
)
def test_base_backups_from_replicas_that_are(theirs: ExistingDatabase) -> None:
    existing = Existing(from_cluster=True, databases=(theirs,))
    made = operator(backup="tuning: {backup_from_replica: true}")
    if theirs.name == "db-orders":
        made += database().replace("disk_size: 10Gi", "disk_size: 10Gi\n    replicas: 2")
    assert planton.render(planton.loads(made), existing=existing)


def test_the_same_name_in_two_namespaces_with_stores_of_their_own() -> None:
    mine = own("https://minio.example.org", "/x/$(SCOPE)")
    first = database("orders", metadata=in_namespace("one"), backup=mine)
    second = database("orders", metadata=in_namespace("two"), backup=mine)
    assert any("has the same archive as" in text for text in problems(operator() + first + second))
    apart = own("https://minio.example.org", "/x/$(POD_NAMESPACE)/$(SCOPE)")
    text = operator() + "".join(
        database("orders", metadata=in_namespace(space), backup=apart) for space in ("one", "two")
    )
    assert planton.render(planton.loads(text))


def test_what_pods_of_a_live_database_really_get() -> None:
    """Of two entries with one name the operator takes the first, in capitals or not."""

    def theirs(name: str, *entries: tuple[str, str]) -> ExistingDatabase:
        env = [{"name": "USE_WALG_BACKUP", "value": "true"}, *({"name": one, "value": what} for one, what in entries)]
        return database_facts({"metadata": {"namespace": "foreign", "name": name}, "spec": {"env": env}})

    prefix = "s3://postgres-backups/shared"
    both = (("WALG_S3_PREFIX", prefix), ("WALG_S3_PREFIX", "s3://postgres-backups/elsewhere"))
    text = operator() + database(backup="s3_prefix: /shared")
    (problem,) = [one for one in against(text, theirs("db-a", *both)) if "the same archive as" in one]
    assert "the live database foreign/db-a" in problem
    elsewhere = Existing(from_cluster=True, databases=(theirs("db-a", *reversed(both)),))
    assert planton.render(planton.loads(text), existing=elsewhere)
