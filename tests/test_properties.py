"""What holds for any message of either kind: it dumps, loads and renders the same twice, and nothing changes it."""

from __future__ import annotations

import copy
from typing import Literal

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

import planton
from planton.translate.existing import Existing
from planton.translate.secret_fields import secret_fields
from planton.translate.secret_values import Reference, SecretValues, reference_of
from planton.translate.store import Store, store_of
from planton.types import PostgresKubernetes, PostgresOperatorKubernetes, Resource
from tests.backup_strategies import CERTIFICATE
from tests.keys import private_key
from tests.strategies import databases, operators
from tests.thorough import examples
from tests.translate import spilo_model

forms: st.SearchStrategy[Literal["yaml", "json"]] = st.sampled_from(["yaml", "json"])
either = st.one_of(operators(), databases())
slow_ok = settings(max_examples=examples(150), deadline=None, suppress_health_check=[HealthCheck.too_slow])


@slow_ok
@given(either, forms)
def test_dump_and_load_give_an_equal_message(message: Resource, form: Literal["yaml", "json"]) -> None:
    (first,) = planton.loads(planton.dumps([message], format=form))
    text = planton.dumps([first], format=form)
    (second,) = planton.loads(text)
    assert first == second
    assert planton.dumps([second], format=form) == text


@slow_ok
@given(either)
def test_rendering_is_the_same_twice_and_changes_nothing(message: Resource) -> None:
    before = copy.deepcopy(message)
    first = planton.render([message])
    second = planton.render([message])
    assert list(first) == list(second)
    assert message == before
    (loaded,) = planton.loads(planton.dumps([message]))
    assert list(planton.render([loaded])) == list(first)


@slow_ok
@given(operators(), databases())
def test_a_database_renders_alike_beside_its_operator_and_with_the_platform_read_back(
    operator: Resource, database: Resource
) -> None:
    operator.metadata.name, database.metadata.name = "postgres-operator", "orders"
    try:
        together = planton.render([operator, database])
    except planton.ManifestError as error:
        pytest.fail(str(error))
    for item in planton.render([database], together.platform):
        assert item in list(together)


def found_for(message: Resource, namespace: str, transform: str) -> dict[Reference, str]:
    """Puts something of the right form wherever a message refers to."""
    libsodium = "00" * 32 if transform == "hex" else "A" * 43 + "="
    forms = {
        "certificate_authority": CERTIFICATE,
        "libsodium.key": libsodium,
        "pgp.key": private_key(),
        "pgp.passphrase": "two words",
        "credentials.access_key_id": "access-key",
        "credentials.secret_access_key": "secret-key",
    }
    found: dict[Reference, str] = {}
    for path, value in secret_fields(message):
        (form,) = [text for end, text in forms.items() if path.endswith(end)]
        if (reference := reference_of(value, namespace)) is not None:
            assume(found.setdefault(reference, form) == form)
    return found


def store_in(config: object) -> Store | None:
    storage = getattr(config, "storage", None)
    return store_of(storage) if storage is not None and storage.bucket_name else None


@slow_ok
@given(operators(), databases(), st.sampled_from(["1.15.1", "2.0.1"]))
def test_wal_g_gets_one_store_and_all_that_belongs_to_it(
    operator: PostgresOperatorKubernetes, database: PostgresKubernetes, version: str
) -> None:
    assume(operator.spec.HasField("backup_config"))
    operator.metadata.name, database.metadata.name = "postgres-operator", "orders"
    operator.metadata.ClearField("labels")
    database.metadata.ClearField("labels")
    operator.spec.operator_version = version
    database.spec.version = "16"
    if version == "2.0.1":
        # Spilo 4.1 has no such switch.
        operator.spec.backup_config.ClearField("enable_wal_g_restore")
        if database.spec.HasField("backup_config"):
            database.spec.backup_config.ClearField("enable_restore")
    prepared = planton.loads(planton.dumps([operator, database]))
    found: dict[Reference, str] = {}
    for message, namespace in zip(prepared, ("postgres-operator", "orders"), strict=True):
        config = message.spec.backup_config
        for reference, value in found_for(message, namespace, config.encryption.libsodium.transform).items():
            assume(found.setdefault(reference, value) == value)
    rendering = planton.render(prepared, existing=Existing(values=SecretValues(found)))
    environment = spilo_model.pod_environment(rendering, "db-orders", "orders")
    archive = spilo_model.archive(environment, spilo_model.SPILO[version])
    if archive is None:
        return
    configs = [message.spec.backup_config for message in prepared]
    own, inherited = store_in(configs[1]), store_in(configs[0])
    files = spilo_model.mounted_files(rendering, "db-orders", "orders")
    assert not archive.authority or files[archive.authority] == CERTIFICATE
    assert archive.cipher == (configs[configs[1].HasField("encryption")].encryption.WhichOneof("method") or "").replace(
        "none", ""
    )
    store = own or inherited
    if store is None:
        assert archive.endpoint.endswith(".r2.cloudflarestorage.com")
        return
    assert (archive.endpoint, archive.region, archive.path_style) == (
        store.endpoint,
        store.region,
        store.force_path_style,
    )
    assert (archive.encryption, archive.kms_key) == (store.server_side_encryption, store.kms_key_id)
    assert (archive.proxy, bool(archive.authority)) == (store.proxy, store.certificate_authority is not None)
    assert archive.prefix.startswith(f"s3://{store.bucket}/") or database.spec.backup_config.s3_prefix
