"""A recognisable value in every field that holds a credential: it is in the data of Secrets and nowhere else."""

from __future__ import annotations

import base64
import copy
import io
import json
from typing import Any, Literal

import pytest

import planton
from planton import yaml_writer
from planton.errors import ManifestError
from planton.manifest.redaction import without_credentials
from planton.translate.beginning import beginning_of
from planton.translate.database_facts import backup_of
from planton.translate.existing import Existing, ExistingSecret
from planton.translate.secret_values import Credentials, Reference, SecretValues
from planton.types import PostgresKubernetes, SecretValue
from tests.keys import certificate, private_key
from tests.manifest.support import everything_told

Config = dict[str, Any]

MARK = "SENTINEL"
PGP = private_key(f"{MARK}/pgp")
CERTIFICATE = certificate(f"{MARK}/certificate")
# 32 bytes that are recognisable as they are written and as they are meant.
LIBSODIUM = base64.b64encode(f"{MARK}/libsodium".ljust(32, "x").encode()).decode()

# Key of a Secret -> what is found where the manifest says it is.
FOUND = {
    "id": f"{MARK}/id/0001",
    "key": f"{MARK}/secret/0002",
    "pgp": PGP,
    "passphrase": f"{MARK} passphrase",
    "libsodium": LIBSODIUM,
    "authority": CERTIFICATE,
}
SOURCES = ("environment_variable", "file", "secret", "other-namespace", "value")


def field(source: str, what: str) -> Config:
    if source == "value":
        return {"value": FOUND[what]}
    if source == "environment_variable":
        return {"environment_variable": f"STORE_{what.upper()}"}
    if source == "file":
        return {"file": f"keys/{what}"}
    secret: Config = {"name": "bucket", "key": what}
    return {"secret": secret if source == "secret" else {**secret, "namespace": "elsewhere"}}


def values(namespaces: tuple[str, ...] = ("postgres-operator", "orders", "elsewhere")) -> SecretValues:
    found: dict[Reference, str] = {}
    for what, value in FOUND.items():
        found[Reference("environment variable", f"STORE_{what.upper()}")] = value
        found[Reference("file", f"keys/{what}")] = value
        for namespace in namespaces:
            found[Reference("Secret", f"{namespace}/bucket", what)] = value
    return SecretValues(found)


def config(source: str, method: str) -> Config:
    # A key of encryption is taken by reference only.
    key_source = "file" if source == "value" else source
    encryptions: dict[str, Config] = {
        "libsodium": {"libsodium": {"key": field(key_source, "libsodium"), "transform": "base64"}},
        "pgp": {"pgp": {"key": field(key_source, "pgp"), "passphrase": field(key_source, "passphrase")}},
    }
    return {
        "storage": {
            "bucket_name": "a-bucket",
            "s3_compatible": {"endpoint": "https://minio.example.com"},
            "certificate_authority": field(source, "authority"),
        },
        "credentials": {"access_key_id": field(source, "id"), "secret_access_key": field(source, "key")},
        "encryption": encryptions[method],
    }


def operator(source: str, method: str, **more: Any) -> str:
    return document(
        "PostgresOperatorKubernetes",
        "postgres-operator",
        {"backup_config": {"backup_schedule": "0 2 * * *", **config(source, method), **more}},
    )


def r2() -> str:
    keys = {"access_key_id": FOUND["id"], "secret_access_key": FOUND["key"]}
    place = {"cloudflare_account_id": "account", "bucket_name": "a-bucket"}
    spec = {"backup_config": {"backup_schedule": "0 2 * * *", "r2_config": {**place, **keys}}}
    return document("PostgresOperatorKubernetes", "postgres-operator", spec)


def database(source: str, method: str, **more: Any) -> str:
    return document("PostgresKubernetes", "orders", {"backup_config": {**config(source, method), **more}})


def beginning(kind: str, source: str, method: str, own: str = "") -> str:
    """A clone or a standby whose own archive and source have credentials of the same kind."""
    place = {"cluster_name": "db-source", "version": "16", **config(source, method)}
    spec = {"backup_config": config(own or source, method), kind: {"source": {"archive": place}}}
    return document("PostgresKubernetes", "orders", spec)


def document(kind: str, name: str, spec: Config) -> str:
    head = {"apiVersion": "kubernetes.project-planton.org/v1", "kind": kind, "metadata": {"name": name}}
    return json.dumps({**head, "spec": spec}) + "\n---\n"


SETS = {
    **{
        f"{source}-{method}": operator(source, method) + database(source, method)
        for source in SOURCES
        for method in ("libsodium", "pgp")
    },
    **{
        f"{source}-{method}-{kind}": operator(source, method) + beginning(kind, source, method)
        for source, method, kind in (
            ("value", "pgp", "clone"),
            ("file", "libsodium", "clone"),
            ("secret", "pgp", "standby"),
            ("environment_variable", "libsodium", "standby"),
        )
    },
    "r2": r2() + database("secret", "pgp"),
}


def encoded(text: str) -> set[str]:
    """Gives what is in any base64 of something that holds a text, whatever stands before and behind it."""
    forms = set()
    for shift in range(3):
        form = base64.b64encode(b"\0" * shift + text.encode()).decode()
        # Only the characters that depend on nothing else: six bits each.
        forms.add(form[-(-8 * shift // 6) : 8 * (shift + len(text)) // 6])
    return forms


# As it is, in base64, and in base64 of that: a key of libsodium may be written so itself.
FORMS = {MARK, *encoded(MARK), *(twice for once in encoded(MARK) for twice in encoded(once))}


def is_clean(text: str) -> bool:
    return not any(form in text for form in FORMS)


def test_the_search_finds_what_it_looks_for() -> None:
    for value in FOUND.values():
        for before in ("", "a", "ab"):
            assert not is_clean(before + value)
            assert not is_clean(base64.b64encode((before + value).encode()).decode())
    assert is_clean("postgres-backups")


def existing(found: SecretValues | None = None, **more: Any) -> Existing:
    old = ExistingSecret(Credentials({"AWS_ACCESS_KEY_ID": FOUND["id"], "WALG_PGP_KEY": PGP}), 1)
    secrets = {("postgres-operator", "r2-postgres-backup-credentials"): old}
    return Existing(values=values() if found is None else found, secrets=secrets, generation=1, **more)


# What stands in the operator's Secret besides.
NO_CREDENTIALS = {
    "WALG_LIBSODIUM_KEY_TRANSFORM": "base64",
    "WALG_S3_CA_CERT_FILE": "/etc/planton/backup-files/ca.crt",
}


@pytest.mark.parametrize("name", SETS)
def test_in_secrets_and_nowhere_else(name: str) -> None:
    rendering = planton.render(planton.loads(SETS[name]), existing=existing())
    seen = set()
    for item in rendering:
        if item["kind"] != "Secret":
            assert is_clean(json.dumps(item))
            continue
        assert is_clean(json.dumps({key: value for key, value in item.items() if key != "data"}))
        for key, value in item["data"].items():
            text = base64.b64decode(value, validate=True).decode()
            if key in NO_CREDENTIALS:
                assert text == NO_CREDENTIALS[key]
                continue
            assert MARK in text or MARK in base64.b64decode(text).decode(), key
            seen.add(key)
    wanted = {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"}
    if name != "r2":
        wanted |= {"ca.crt"}
    if "libsodium" in name:
        wanted |= {"WALG_LIBSODIUM_KEY"}
    else:
        wanted |= {"WALG_PGP_KEY", "WALG_PGP_KEY_PASSPHRASE", "ca.crt"}
    assert seen == wanted


@pytest.mark.parametrize("name", SETS)
def test_not_in_what_anything_says_of_itself(name: str) -> None:
    loaded = planton.loads(SETS[name])
    facts = existing()
    rendering = planton.render(loaded, existing=facts)
    assert rendering.platform is not None
    (message,) = [one for one in rendering.manifests if isinstance(one, PostgresKubernetes)]
    backup = backup_of(message, rendering.platform, facts)
    assert backup.credentials
    things = [
        rendering,
        rendering[1:],
        *rendering,
        rendering.platform,
        copy.deepcopy(rendering.platform),
        facts,
        facts.values,
        backup,
        beginning_of(message, rendering.platform, facts),
        loaded,
        rendering.manifests,
        rendering.warnings,
        planton.environment(loaded, "orders", existing=facts),
        rendering.platform.to_json(),
    ]
    for thing in things:
        assert is_clean(f"{thing}{thing!r}"), type(thing)


@pytest.mark.parametrize("form", ["yaml", "json"])
@pytest.mark.parametrize("name", SETS)
def test_not_in_redacted_dumps(name: str, form: Literal["yaml", "json"]) -> None:
    loaded = planton.loads(SETS[name])
    text = planton.dumps(loaded, format=form, redact=True)
    assert is_clean(text)
    stream = io.StringIO()
    planton.dump(loaded, stream, format=form, redact=True)
    assert stream.getvalue() == text
    if not name.startswith(("value", "r2")):
        # References are no secret, and stay what they are.
        assert planton.loads(text) == loaded
    assert all(is_clean(str(without_credentials(message))) for message in loaded)


@pytest.mark.parametrize("name", SETS)
def test_references_stay_references(name: str) -> None:
    loaded = planton.loads(SETS[name])
    before = planton.dumps(loaded)
    planton.render(loaded, existing=existing())
    assert planton.dumps(loaded) == before
    assert planton.loads(before) == loaded
    # And so they do where nobody looked them up.
    unresolved = planton.render(loaded, existing=Existing())
    if name not in ("r2",) and not name.startswith("value"):
        assert is_clean(yaml_writer.documents(unresolved))


def test_every_value_field_is_marked_as_a_credential() -> None:
    value = SecretValue.DESCRIPTOR.fields_by_name
    assert value["value"].GetOptions().debug_redact
    for name in ("environment_variable", "file", "secret"):
        assert not value[name].GetOptions().debug_redact


WRONG: dict[str, tuple[str, str]] = {
    "id": ("a SENTINEL", "b SENTINEL"),
    "key": ("SENTINEL\x07", "SENTINEL key"),
    "pgp": ("SENTINEL", "-----BEGIN PGP PUBLIC KEY BLOCK-----\nSENTINEL"),
    "passphrase": ("SENTINEL\nSENTINEL", "SENTINEL\n\nSENTINEL"),
    "libsodium": ("SENTINEL", "SENTINEL" * 9),
    "authority": ("SENTINEL", "-----BEGIN PRIVATE KEY-----\nSENTINEL"),
}


@pytest.mark.parametrize("what", WRONG)
@pytest.mark.parametrize("place", ["operator", "database", "clone", "standby"])
@pytest.mark.parametrize("which", [0, 1])
def test_not_in_errors(what: str, place: str, which: int) -> None:
    found = dict(values().reveal())
    found[Reference("file", f"keys/{what}")] = WRONG[what][which]
    method = "libsodium" if what == "libsodium" else "pgp"
    text = operator("file" if place == "operator" else "environment_variable", method)
    if place in ("clone", "standby"):
        text += beginning(place, "file", method, own="environment_variable")
    else:
        text += database("file" if place == "database" else "environment_variable", method)
    loaded = planton.loads(text)
    facts = existing(SecretValues(found))
    with pytest.raises(ManifestError) as caught:
        planton.render(loaded, existing=facts)
    (problem,) = caught.value.problems
    assert problem.subject.endswith("postgres-operator" if place == "operator" else "orders")
    where = f"{place}.source.archive" if place in ("clone", "standby") else "backup_config"
    assert problem.path.startswith(f"spec.{where}.")
    for error in (caught.value, caught.value.__cause__, caught.value.__context__):
        if error is not None:
            assert is_clean(everything_told(error))


def test_not_in_the_traceback_of_an_error_in_our_own_code(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever breaks: the local variables of the frames that were at work show nothing.

    What stands in the manifest itself is another matter: the generated classes print it.
    """

    def broken(*_arguments: object, **_named: object) -> None:
        raise RuntimeError("broken")

    loaded = planton.loads(operator("file", "pgp") + beginning("clone", "secret", "libsodium"))
    facts = existing()
    for place in (
        "planton.translate.archive_sources.access_from",
        "planton.translate.beginning.source_reading",
        "planton.translate.source_reading.files_volume",
        "planton.rendering.Rendering",
        "planton.translate.database._postgresql",
        "planton.translate.database_backup._replicas",
        "planton.translate.operator.backup_configmap",
        "planton.translate.collect.ordered",
    ):
        with monkeypatch.context() as patch:
            patch.setattr(place, broken)
            with pytest.raises(RuntimeError) as caught:
                planton.render(loaded, existing=facts)
        assert is_clean(everything_told(caught.value)), place
