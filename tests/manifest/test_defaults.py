"""Defaults come from the options on the fields, and never touch what is said."""

from __future__ import annotations

import pytest
from google.protobuf.descriptor import Descriptor

from planton.manifest import loads, prepare, violations
from planton.manifest._tables import is_repeated
from planton.manifest.defaults import fill
from planton.types import (
    CREATED_WHEN_ABSENT_OPTION,
    DEFAULT_CONTAINER_RESOURCES_OPTION,
    DEFAULT_OPTION,
    ContainerResources,
    PostgresKubernetes,
    PostgresOperatorKubernetes,
)
from tests.manifest.support import DATABASE, OPERATOR, OPERATOR_HEAD, database, only, operator, problems, spec

Size = tuple[str, str, str, str]


def sizes(resources: ContainerResources) -> Size:
    return resources.limits.cpu, resources.limits.memory, resources.requests.cpu, resources.requests.memory


def test_a_database_that_says_nothing() -> None:
    container = database(DATABASE).spec.container
    assert (container.replicas, container.disk_size) == (1, "1Gi")
    assert sizes(container.resources) == ("1000m", "1Gi", "50m", "100Mi")
    spec_ = database(DATABASE).spec
    assert not spec_.HasField("version")
    assert not spec_.HasField("ingress")
    assert not spec_.HasField("backup_config")


def test_an_operator_that_says_nothing() -> None:
    spec_ = operator(OPERATOR_HEAD + "spec: {}").spec
    assert sizes(spec_.container.resources) == ("1000m", "1Gi", "50m", "100Mi")
    assert spec_.operator_version == "1.15.1"
    assert not spec_.HasField("backup_config")


def test_backups_of_an_operator() -> None:
    config = operator(OPERATOR).spec.backup_config
    assert config.s3_prefix_template == "backups/$(SCOPE)/$(PGVERSION)"
    assert (config.enable_wal_g_backup, config.enable_wal_g_restore, config.enable_clone_wal_g_restore) == (
        True,
        True,
        True,
    )


def test_what_is_said_wins_also_when_it_is_false_or_zero() -> None:
    assert database(spec("container: {replicas: 0}")).spec.container.replicas == 0
    config = operator(OPERATOR + "    enable_wal_g_backup: false\n").spec.backup_config
    assert not config.enable_wal_g_backup
    assert config.enable_wal_g_restore
    # An explicit empty text is not filled either: it is refused.
    assert only(OPERATOR + '    s3_prefix_template: ""\n').path == "spec.backup_config.s3_prefix_template"
    assert only(spec('container: {disk_size: ""}')).path == "spec.container.disk_size"


def test_an_empty_backup_config_of_a_database_stays_empty() -> None:
    config = database(spec("backup_config: {}")).spec
    assert config.HasField("backup_config")
    assert not config.backup_config.ListFields()


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ("{}", ("1000m", "1Gi", "50m", "100Mi")),
        ("{limits: {}, requests: {}}", ("1000m", "1Gi", "50m", "100Mi")),
        ("{limits: {cpu: '2'}}", ("2", "1Gi", "50m", "100Mi")),
        ("{limits: {memory: 4Gi}}", ("1000m", "4Gi", "50m", "100Mi")),
        ("{requests: {cpu: 200m}}", ("1000m", "1Gi", "200m", "100Mi")),
        # A default request above a given limit is lowered to it.
        ("{limits: {cpu: 20m}}", ("20m", "1Gi", "20m", "100Mi")),
        ("{limits: {memory: 50Mi}}", ("1000m", "50Mi", "50m", "50Mi")),
        ("{limits: {memory: 104857599Ki}}", ("1000m", "104857599Ki", "50m", "100Mi")),
        ("{limits: {memory: 100M}}", ("1000m", "100M", "50m", "100M")),
        # A default limit below a given request is raised to it.
        ("{requests: {cpu: '3'}}", ("3", "1Gi", "3", "100Mi")),
        ("{requests: {memory: 2Gi}}", ("1000m", "2Gi", "50m", "2Gi")),
        ("{requests: {memory: 1.1G}}", ("1000m", "1.1G", "50m", "1.1G")),
        # As much as the default is neither.
        ("{requests: {cpu: '1'}}", ("1000m", "1Gi", "1", "100Mi")),
        ("{limits: {cpu: '0.05'}}", ("0.05", "1Gi", "50m", "100Mi")),
        # Both given stay.
        ("{limits: {cpu: '4'}, requests: {cpu: '2'}}", ("4", "1Gi", "2", "100Mi")),
        ("{limits: {cpu: 10m}, requests: {memory: 9Gi}}", ("10m", "9Gi", "10m", "9Gi")),
    ],
)
def test_resources_fill_field_by_field(lines: str, expected: Size) -> None:
    text = f"container:\n  resources: {lines}"
    assert sizes(database(spec(text)).spec.container.resources) == expected
    indented = "".join(f"  {line}\n" for line in text.splitlines())
    assert sizes(operator(f"{OPERATOR_HEAD}spec:\n{indented}").spec.container.resources) == expected


@pytest.mark.parametrize("amount", ["1e9", "9999x", "99.99999", "9" * 30])
def test_a_wrong_amount_does_not_spread(amount: str) -> None:
    found = problems(spec(f"container: {{resources: {{requests: {{cpu: '{amount}', memory: '{amount}'}}}}}}"))
    assert [problem.path[-12:] for problem in found] == ["requests.cpu", "uests.memory"]


def test_what_resources_lack_is_remembered_and_not_shared() -> None:
    text = spec("container:\n  resources:\n    limits: {cpu: 25m}")
    first, second = (database(text).spec.container.resources for _ in range(2))
    assert sizes(first) == sizes(second) == ("25m", "1Gi", "25m", "100Mi")
    first.limits.memory = "2Gi"
    first.requests.cpu = "1m"
    assert sizes(second) == ("25m", "1Gi", "25m", "100Mi")
    assert sizes(database(text).spec.container.resources) == ("25m", "1Gi", "25m", "100Mi")


def test_filling_twice_is_filling_once() -> None:
    for text in (DATABASE, OPERATOR, spec("container: {resources: {limits: {cpu: 20m}}}")):
        once = loads(text)
        assert prepare(once) == once


def test_apiversion_and_kind_are_filled_in_messages_made_in_python() -> None:
    message = PostgresKubernetes()
    fill(message)
    assert (message.api_version, message.kind) == ("kubernetes.project-planton.org/v1", "PostgresKubernetes")
    message.kind = "Other"
    fill(message)
    assert message.kind == "Other"


def test_every_default_on_a_field_is_filled_and_right() -> None:
    """Walks the descriptors, so that a default on a new field cannot be forgotten."""

    def walk(descriptor: Descriptor, message: object) -> int:
        found = 0
        for field in descriptor.fields:
            options = field.GetOptions()
            value = getattr(message, field.name)
            if options.HasExtension(DEFAULT_OPTION):
                text = options.Extensions[DEFAULT_OPTION]
                assert str(value).lower() == text.lower() or str(value) == text, field.full_name
                found += 1
            if options.HasExtension(DEFAULT_CONTAINER_RESOURCES_OPTION):
                assert value == options.Extensions[DEFAULT_CONTAINER_RESOURCES_OPTION]
                found += 1
            if options.Extensions[CREATED_WHEN_ABSENT_OPTION]:
                assert message.HasField(field.name)  # type: ignore[attr-defined]
            if field.message_type is None or field.message_type.GetOptions().map_entry:
                continue
            # Nothing is filled into what is absent, as all but one of the stores are.
            if not is_repeated(field) and message.HasField(field.name):  # type: ignore[attr-defined]
                found += walk(field.message_type, value)
        return found

    one, other = PostgresKubernetes(), PostgresOperatorKubernetes()
    one.spec.backup_config.storage.s3_compatible.SetInParent()
    other.spec.backup_config.storage.s3_compatible.SetInParent()
    fill(one)
    fill(other)
    assert walk(PostgresKubernetes.DESCRIPTOR, one) == 5
    assert walk(PostgresOperatorKubernetes.DESCRIPTOR, other) == 8
    one.spec.ClearField("backup_config")
    one.metadata.name = "a"
    assert violations([one]) == []
