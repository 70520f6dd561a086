"""Every kind of store, from the manifest to a real S3 server, by nothing but what the operator gave to the pods."""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from textwrap import indent

import pytest

from sandbox import Sandbox
from tests.api import Api, eventually
from tests.cluster.conftest import SETTINGS
from tests.e2e.stores import ACCOUNT, CLOUDS, KINDS, PRIVATE, SERVERS, Pod, World, pod_of, world
from tests.e2e.support import planton
from tests.manifests import database
from tests.store.walg import Spilo, UnusableError

pytestmark = [pytest.mark.cluster, pytest.mark.xdist_group("e2e-stores")]

SHORT = "r2-short"
"""The form of the original: `r2_config`."""

# Kind of the operator's store -> kinds of stores of its databases' own; each operator has one database without any.
OPERATORS: dict[str, tuple[str, ...]] = {
    SHORT: ("r2", "r2-eu", "minio", "aws-none"),
    "minio": ("aws", "plain", "google", "virtual", "minio"),
    "aws-kms": ("minio", "google", "aws", "aws-none", "virtual-secret"),
    "virtual": ("r2", "ceph", "walled", "aws-kms"),
    "walled": ("aws", "minio", "plain", "r2-eu"),
    "plain": ("google", "aws", "minio"),
}
INHERITS = "inherits"
DATABASES = [(operator, own) for operator, owns in OPERATORS.items() for own in (INHERITS, *owns)]
SPILO: tuple[Spilo, ...] = ("4.0", "4.1")

each_database = pytest.mark.parametrize(("operator", "own"), DATABASES, ids=[f"{b}-over-{a}" for a, b in DATABASES])
each_spilo = pytest.mark.parametrize("spilo", SPILO)
each_override = pytest.mark.parametrize(
    ("operator", "own"),
    [one for one in DATABASES if one[1] != INHERITS],
    ids=[f"{b}-over-{a}" for a, b in DATABASES if b != INHERITS],
)


def server_of(kind: str) -> str:
    return "r2" if kind == SHORT else KINDS[kind].server


def name_of(operator: str, own: str) -> str:
    return f"{own}-over-{operator}"


def operator_manifest(where: World, kind: str) -> str:
    config = 'backup_schedule: "0 2 * * *"\n'
    bucket = f"{kind}-of-operator"
    if kind == SHORT:
        where.servers["r2"].create_bucket(bucket)
        config += f"r2_config:\n  cloudflare_account_id: {ACCOUNT}\n  bucket_name: {bucket}\n"
        config += f'  access_key_id: "{where.content("r2", "id")}"\n'
        config += f'  secret_access_key: "{where.content("r2", "secret")}"\n'
    else:
        config += where.storage(kind, bucket) + where.credentials(kind)
    text = "apiVersion: kubernetes.project-planton.org/v1\nkind: PostgresOperatorKubernetes\n"
    text += f'metadata:\n  name: postgres-operator\nspec:\n  container: {{}}{indent(SETTINGS, "  ")}    workers: "8"\n'
    return f"{text}  backup_config:\n{indent(config, '    ')}---\n"


def manifests(where: World, operator: str) -> str:
    text = operator_manifest(where, operator) + database(name_of(operator, INHERITS))
    for own in OPERATORS[operator]:
        name = name_of(operator, own)
        text += database(name, backup=where.storage(own, name) + where.credentials(own))
    return text


@dataclass
class Seen:
    """Servers, and what the pods of each database see."""

    where: World
    pods: dict[tuple[str, str], Pod]

    def __getitem__(self, which: tuple[str, str]) -> Pod:
        return self.pods[which]


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seen]:
    """Applies one operator after the other, each with its databases, and reads what the real operator made of them."""
    folder = tmp_path_factory.mktemp("stores")
    with world(folder) as where, Sandbox.start() as sandbox, pytest.MonkeyPatch.context() as patch:
        api = Api(sandbox.kubeconfig)
        where.fill_vault(api)
        pods: dict[tuple[str, str], Pod] = {}
        for operator, owns in OPERATORS.items():
            path: Path = folder / f"{operator}.yaml"
            path.write_text(manifests(where, operator))
            for name, value in where.variables.items():
                patch.setenv(name, value)
            done = planton(sandbox, "apply", "--skip-check", "-f", str(path))
            assert done.returncode == 0, done.stdout + done.stderr
            for own in (INHERITS, *owns):
                name = name_of(operator, own)
                made = f"/apis/apps/v1/namespaces/{name}/statefulsets/db-{name}"
                found = eventually(lambda path=made: api.get(path), f"StatefulSet of {name}")  # type: ignore[misc]
                pods[operator, own] = pod_of(api, name, found)
            for own in (INHERITS, *owns):
                # The next operator would spend its time on what was read already.
                name = name_of(operator, own)
                api.request("delete", f"/apis/acid.zalan.do/v1/namespaces/{name}/postgresqls/db-{name}")
        yield Seen(where, pods)


@each_spilo
@each_database
def test_the_store_is_reached(seen: Seen, operator: str, own: str, spilo: Spilo) -> None:
    kind = operator if own == INHERITS else own
    server = seen.where.servers[server_of(kind)]
    bucket = f"{operator}-of-operator" if own == INHERITS else name_of(operator, own)
    client = seen[operator, own].client(seen.where, spilo)
    prefix = f"backups/db-{name_of(operator, own)}/17"
    stem = uuid.uuid4().hex
    names = sorted(f"basebackups_005/{stem}-{number}" for number in range(3))
    before = server.keys(bucket)
    by_name, by_proxy = len(seen.where.names.seen), len(seen.where.proxy.seen)
    for name in names:
        client.put(name, name.encode())
    assert client.list() == names
    assert server.keys(bucket) == sorted([*before, *(f"{prefix}/{name}" for name in names)])
    assert [client.get(name) for name in names] == [name.encode() for name in names]
    client.delete(names[0])
    assert client.list() == names[1:]
    client.delete(*names[1:])
    assert client.list() == []
    assert server.keys(bucket) == before
    proxied = kind != SHORT and KINDS[kind].proxied
    assert (len(seen.where.names.seen) > by_name, len(seen.where.proxy.seen) > by_proxy) == (not proxied, proxied)
    server.check()


@each_spilo
@each_database
def test_with_exactly_these_settings(seen: Seen, operator: str, own: str, spilo: Spilo) -> None:
    kind = operator if own == INHERITS else own
    given = KINDS["r2" if kind == SHORT else kind]
    name = server_of(kind)
    server = seen.where.servers[name]
    settings = seen[operator, own].client(seen.where, spilo).settings
    assert settings.bucket == (f"{operator}-of-operator" if own == INHERITS else name_of(operator, own))
    assert settings.path == f"backups/db-{name_of(operator, own)}/17"
    assert settings.endpoint == (f"https://{server.host}" if name in CLOUDS else server.endpoint)
    assert (settings.region, settings.path_style) == (server.region, server.virtual_host_domain is None)
    assert (settings.access_key_id, settings.secret_access_key) == (server.access_key_id, server.secret_access_key)
    private = (server.certificate_authority_pem or "").strip() if name in PRIVATE else None
    assert (settings.certificate_authority.strip() if settings.certificate_authority else None) == private
    assert (settings.encryption, settings.encryption_key_id) == (given.encryption, given.kms_key)
    assert settings.proxy == (seen.where.proxy.url if given.proxied else "")


@each_override
def test_nothing_of_the_operator_shines_through(seen: Seen, operator: str, own: str) -> None:
    """Not in what wal-g makes of it, and not in a single variable of the pod either."""
    theirs, ours = server_of(operator), server_of(own)
    foreign = {f"{operator}-of-operator", "/etc/planton/backup-files"}
    if theirs != ours:
        server = seen.where.servers[theirs]
        foreign |= {server.host, server.access_key_id, server.secret_access_key}
    given = KINDS["r2" if operator == SHORT else operator]
    if given.kms_key and not KINDS[own].kms_key:
        foreign |= {given.kms_key, "aws:kms"}
    if given.proxied and not KINDS[own].proxied:
        foreign |= {seen.where.proxy.url, "intern.example"}
    environment = seen[operator, own].environment
    assert [(name, text) for name, value in environment.items() for text in foreign if text in value] == []


@each_override
def test_other_keys_are_refused(seen: Seen, operator: str, own: str) -> None:
    """The keys of the operator's store, were they taken for a store of one's own, would be found out."""
    theirs = seen.where.servers[server_of(operator)]
    server = seen.where.servers[server_of(own)]
    pod = seen[operator, own]
    if theirs is not server:
        keys = {"AWS_ACCESS_KEY_ID": theirs.access_key_id, "AWS_SECRET_ACCESS_KEY": theirs.secret_access_key}
        wrong = pod.changed(keys).client(seen.where)
        with pytest.raises(Exception, match=r"XAdminUserNotFound|InvalidAccessKeyId"):
            wrong.put("wrong", b"")
    forged = pod.changed({"AWS_SECRET_ACCESS_KEY": server.secret_access_key[::-1]})
    with pytest.raises(Exception, match="SignatureDoesNotMatch"):
        forged.client(seen.where).put("wrong", b"")
    assert not [key for key in server.keys(name_of(operator, own)) if key.endswith("wrong")]


def refusal(seen: Seen, which: tuple[str, str], **changes: str | None) -> str:
    """Gives why the store is not reached with other variables."""
    with pytest.raises(Exception, match=r"\w") as caught:
        seen[which].changed(changes).client(seen.where).put("never", b"")
    return str(caught.value)


def test_each_variable_is_needed(seen: Seen) -> None:
    """Without any one of them these tests fail: for the very reason that it is there for."""
    minio, virtual, aws = ("aws-kms", "minio"), ("minio", "virtual"), ("minio", "aws")
    walled, inherits = ("virtual", "walled"), ("minio", INHERITS)
    for which, name, reason in (
        (minio, "AWS_ENDPOINT", "amazonaws.com"),
        (inherits, "AWS_ENDPOINT", "amazonaws.com"),
        (virtual, "AWS_REGION", "AuthorizationHeaderMalformed"),
        (("aws-kms", "google"), "AWS_REGION", "AuthorizationHeaderMalformed"),
        (aws, "AWS_REGION", "AWS_REGION is missing"),
        (minio, "WALG_S3_CA_CERT_FILE", "UnknownIssuer"),
        (inherits, "WALG_S3_CA_CERT_FILE", "UnknownIssuer"),
        (virtual, "WALE_S3_ENDPOINT", "objects.storage.example"),
        (walled, "https_proxy", "walled.storage.example"),
        (minio, "AWS_ACCESS_KEY_ID", "AWS_ACCESS_KEY_ID is missing"),
        (minio, "AWS_SECRET_ACCESS_KEY", "AWS_SECRET_ACCESS_KEY is missing"),
        (inherits, "USE_WALG_BACKUP", "USE_WALG_BACKUP"),
        (inherits, "WALG_S3_PREFIX", "WALG_S3_PREFIX"),
    ):
        for value in (None, ""):
            assert reason in refusal(seen, which, **{name: value}), (which, name)


def test_the_certificate_has_to_be_mounted(seen: Seen) -> None:
    """Where it is said to be: at the operator's place, and at the database's."""
    for which in (("minio", INHERITS), ("aws-kms", "minio"), ("minio", "minio"), ("aws-kms", "virtual-secret")):
        pod = seen[which]
        path = pod.environment["WALG_S3_CA_CERT_FILE"]
        assert path in pod.files
        elsewhere = {("/elsewhere" + one if one == path else one): text for one, text in pod.files.items()}
        for files in ({}, elsewhere):
            with pytest.raises(UnusableError, match="there is no file"):
                replace(pod, files=files).client(seen.where)
    # With the operator's authority in the place of its own, a database's store would not be trusted.
    pod = seen["minio", "virtual"]
    theirs = seen["minio", INHERITS].environment["WALG_S3_CA_CERT_FILE"]
    assert theirs in pod.files
    assert "UnknownIssuer" in refusal(seen, ("minio", "virtual"), WALG_S3_CA_CERT_FILE=theirs)


def test_a_secret_of_others_gives_only_what_is_meant(seen: Seen) -> None:
    for pod in seen.pods.values():
        assert "further" not in pod.environment
        assert "nobody's business" not in {*pod.environment.values(), *pod.files.values()}


def test_every_kind_is_there() -> None:
    owns = set(itertools.chain.from_iterable(OPERATORS.values()))
    assert owns == set(KINDS)
    assert {KINDS[own].keys for own in owns} == {"value", "environment_variable", "file", "secret"}
    assert {KINDS[own].authority for own in owns} == {"", "environment_variable", "file", "secret"}
    # What the databases' own stores overrule: an authority, encryption, virtual hosts, a proxy, plain HTTP.
    assert set(OPERATORS) == {SHORT, "minio", "aws-kms", "virtual", "walled", "plain"}
    assert set(SERVERS) == {KINDS[own].server for own in owns}
