"""What values may be: the rules on the fields and the checks beside them, each with its path and its remedy."""

from __future__ import annotations

import pytest

from planton.kinds import KINDS
from planton.manifest import dumps, loads, prepare, violations
from planton.manifest.checks import CHECKS
from planton.types import PostgresKubernetes, PostgresOperatorKubernetes
from tests.manifest.support import (
    BACKUP_CONFIG,
    DATABASE,
    OPERATOR,
    OPERATOR_HEAD,
    metadata,
    only,
    operator,
    problems,
    set_path,
    spec,
)


def complaints(path: str, value: object) -> list[str]:
    """Sets a field of a database that is right otherwise."""
    message = PostgresKubernetes()
    message.metadata.name = "orders"
    message.spec.SetInParent()
    set_path(message, path, value)
    found = violations([message])
    assert all(problem.path == path for problem in found), found
    return [problem.message for problem in found]


def operator_complaints(path: str, value: object) -> list[str]:
    message = operator(OPERATOR)
    set_path(message, path, value)
    found = violations([message])
    assert all(problem.path == path for problem in found), found
    return [problem.message for problem in found]


LABEL = (
    "must be a Kubernetes label value: at most 63 letters, digits, '-', '_' and '.', beginning and ending with a "
    "letter or digit"
)


# Metadata


@pytest.mark.parametrize("name", ["a", "0", "a-b", "a--b", "1a", "a" * 49])
def test_names(name: str) -> None:
    assert complaints("metadata.name", name) == []


@pytest.mark.parametrize(
    "name", ["A", "a_b", "a.b", "-a", "a-", "a" * 50, "a b", "a\n", "é", "٣", "a" * 100_000, "a\0"]
)
def test_names_that_are_none(name: str) -> None:
    assert complaints("metadata.name", name) == [
        "must be an RFC 1123 label of at most 49 characters: lower-case letters, digits and '-', beginning and ending "
        "with a letter or digit"
    ]


def test_no_name() -> None:
    assert complaints("metadata.name", "") == ["is missing or empty"]


@pytest.mark.parametrize("field", ["id", "org", "env"])
def test_what_becomes_a_label(field: str) -> None:
    for value in ("", "a", "A_b.c-0", "a" * 63):
        assert complaints(f"metadata.{field}", value) == []
    for value in ("a" * 64, "_a", "a-", "a b", "a/b", "a\n", "ä"):
        assert complaints(f"metadata.{field}", value) == [LABEL]


@pytest.mark.parametrize("name", ["default", "kube-system", "kube-x"])
def test_namespaces_of_kubernetes_only_by_explicit_label(name: str) -> None:
    text = DATABASE.replace("orders", name)
    problem = only(text)
    assert problem.path == "metadata.name"
    assert "would also be the database's namespace" in problem.message
    assert loads(text.replace("spec", "  labels: {kubernetes.project-planton.org/namespace: elsewhere}\nspec"))
    # The operator's namespace does not come from its name.
    assert loads(OPERATOR.replace("name: postgres-operator", f"name: {name}"))


def test_a_namespace_of_kubernetes_by_explicit_label_is_taken() -> None:
    assert loads(metadata("labels: {kubernetes.project-planton.org/namespace: kube-system}"))


@pytest.mark.parametrize("value", ["A", "a_b", "a.b", "", "-a", "a" * 64])
def test_the_namespace_label_is_a_namespace(value: str) -> None:
    problem = only(metadata(f"labels:\n  kubernetes.project-planton.org/namespace: '{value}'"))
    assert problem.path == 'metadata.labels["kubernetes.project-planton.org/namespace"]'
    assert problem.origin.line == 6
    is_label_value = value not in ("-a", "a" * 64)
    assert problem.message.startswith("must be the name of a namespace" if is_label_value else LABEL)


@pytest.mark.parametrize("field", ["labels", "annotations"])
def test_keys_of_labels_and_annotations(field: str) -> None:
    for key in ("a", "A.b_c-d", "example.com/a", "a" * 63, "a" * 253 + "/b", "sub.example.com/" + "a" * 63):
        assert loads(metadata(f"{field}:\n  {key}: x")), key
    for key in ("-a", "a-", "a b", "a/b/c", "/a", "a/", "a" * 64, "a" * 254 + "/b", "_x/a", "ä", "", "a\\n", "-.a/b"):
        problem = only(metadata(f'{field}:\n  "{key}": x'))
        assert problem.message.startswith("is not a Kubernetes "), key
        assert problem.origin.line == 6
    assert [type(one) for one in loads(metadata("annotations: {Example.com/a: x}"))] == [PostgresKubernetes]
    assert only(metadata("labels: {Example.com/a: x}")).message.startswith("is not a Kubernetes label key")


@pytest.mark.parametrize("field", ["labels", "annotations"])
@pytest.mark.parametrize("key", ["planton.ai/name", "planton.ai/anything", "app.kubernetes.io/managed-by"])
def test_keys_of_ours(field: str, key: str) -> None:
    problem = only(metadata(f"{field}:\n  {key}: x"))
    assert problem.path == f'metadata.{field}["{key}"]'
    assert problem.message.startswith("is planton's own")


def test_values_of_labels_and_annotations() -> None:
    assert only(metadata("labels: {a: 'b c'}")).message == LABEL
    assert loads(metadata("labels: {a: ''}"))
    assert loads(metadata('annotations: {a: "b c\\n\\0é"}'))
    half = "x" * 140_000
    assert "more than 256 KiB" in only(metadata(f"annotations: {{a: {half}, b: {half}}}")).message


# Sizes


@pytest.mark.parametrize("size", ["1Gi", "1 Gi", "1\tGi", "0.5Ti", "10G", "1024Ki", "00010Gi", "7Ei"])
def test_disk_sizes(size: str) -> None:
    assert complaints("spec.container.disk_size", size) == []


@pytest.mark.parametrize(
    "size",
    ["", "1", "Gi", "1gi", "1GB", "1  Gi", " 1Gi", "1Gi ", "1Gi\n", "1e3Gi", "-1Gi", "+1Gi", ".5Gi", "1.Gi", "1,5Gi",
     "٣Gi", "0Gi", "0.0Gi", "1K", "1k", "1m", "1" * 30 + "Gi", "NaNGi"],
)  # fmt: skip
def test_disk_sizes_that_are_none(size: str) -> None:
    assert complaints("spec.container.disk_size", size) == [
        'must be a size above zero with a unit, such as "10Gi" or "1.5Ti"'
    ]


@pytest.mark.parametrize("size", ["8Ei", "10000P", "9999999999Ti"])
def test_disk_sizes_that_kubernetes_cannot_count(size: str) -> None:
    assert complaints("spec.container.disk_size", size) == ["is more than Kubernetes can count (8Ei)"]


CPU = 'must be an amount of CPU such as "500m", "2" or "0.5" (at most three decimals)'
MEMORY = 'must be an amount of memory with a unit, such as "512Mi" or "2Gi"'


@pytest.mark.parametrize(
    ("item", "value", "message"),
    [
        *(("cpu", value, CPU) for value in ("", "1c", "1.0000", "0.5m", "-1", "1e3", "1 ", "1\n", "٣", "1" * 30)),
        *(("memory", value, MEMORY) for value in ("", "1", "1 Gi", "1gi", "1K", "1e9", "Gi", "1Gi\n", "٣Gi")),
    ],
)
def test_resources_that_are_none(item: str, value: str, message: str) -> None:
    assert complaints(f"spec.container.resources.requests.{item}", value) == [message]


@pytest.mark.parametrize(
    ("lines", "path", "message"),
    [
        ("limits: {cpu: 500m}\nrequests: {cpu: '1'}", "requests.cpu", "is above limits.cpu: raise the limit"),
        ("limits: {memory: 1G}\nrequests: {memory: 1Gi}", "requests.memory", "is above limits.memory: raise the limit"),
        ("limits: {cpu: '0.999'}\nrequests: {cpu: 1000m}", "requests.cpu", "is above limits.cpu: raise the limit"),
        ("limits: {cpu: '0'}", "limits.cpu", "cannot be 0"),
        ("limits: {memory: 0Gi}", "limits.memory", "cannot be 0"),
        ("limits: {memory: 9Ei}", "limits.memory", "is more than Kubernetes can count"),
    ],
)
def test_resources_that_do_not_fit(lines: str, path: str, message: str) -> None:
    indented = "\n".join(f"    {line}" for line in lines.splitlines())
    problem = only(spec(f"container:\n  resources:\n{indented}"))
    assert problem.path == f"spec.container.resources.{path}"
    assert problem.message.startswith(message)
    assert problem.origin.line >= 8
    both = (
        OPERATOR_HEAD
        + "spec:\n  container:\n    resources:\n"
        + "\n".join(f"  {line}" for line in indented.splitlines())
    )
    assert only(both).path == problem.path


@pytest.mark.parametrize(
    "lines",
    ["limits: {cpu: '1'}\n    requests: {cpu: 1000m}", "limits: {memory: 1Gi}\n    requests: {memory: 1024Mi}",
     "requests: {cpu: '0', memory: 0Mi}"],
)  # fmt: skip
def test_resources_that_fit(lines: str) -> None:
    assert loads(spec(f"container:\n  resources:\n    {lines}"))


# The rest of a database


def test_versions() -> None:
    for version in ("13", "17", "18"):
        assert complaints("spec.version", version) == []
    for version in ("12", "19", "17.1", "", "17\n"):
        assert complaints("spec.version", version) == [
            'must be a major version of PostgreSQL in quotes, from "13" to "18"'
        ]


def test_ingress() -> None:
    problem = only(spec("ingress: {enabled: true}"))
    assert problem.path == "spec.ingress"
    assert problem.message == "enabled is true, so dns_domain has to be given: the host name is made of it"
    assert len(problems(spec("ingress: {enabled: true, dns_domain: [x]}"))) == 1
    assert loads(spec("ingress: {enabled: true, dns_domain: db.example.com}"))
    for domain in ("Example.com", "a..b", ".a", "a.", "-a.b", "a" * 64 + ".b", "a b", "a.b\n", "a." * 95 + "b"):
        assert complaints("spec.ingress.dns_domain", domain) == [
            "must be a domain name of at most 189 characters in lower case, such as example.com"
        ], domain


def test_address_ranges() -> None:
    good = spec("ingress: {allowed_source_ranges: [10.0.0.0/8, '2001:db8::/32', 192.0.2.1/32]}")
    assert loads(good)
    found = problems(spec("ingress:\n  allowed_source_ranges:\n  - 10.0.0.0\n  - '10.0.0.0/33'\n  - '10.0.0.0/8\n\n'"))
    assert [(problem.path[-3:], problem.origin.line) for problem in found] == [("[0]", 8), ("[1]", 9), ("[2]", 10)]
    assert found[0].message == 'must be an address range in CIDR form, such as "203.0.113.0/24"'
    assert only(spec("ingress: {allowed_source_ranges: [10.0.0.0/8, 10.0.0.0/8]}")).message == "has an item twice"


# The rest of an operator


def test_operator_versions() -> None:
    assert operator_complaints("spec.operator_version", "2.0.1") == []
    assert operator_complaints("spec.operator_version", "1.0.0") == [
        'must be one of the versions that planton knows: "1.15.1" or "2.0.1"'
    ]


@pytest.mark.parametrize("field", ["cloudflare_account_id", "bucket_name"])
def test_every_field_of_the_bucket_is_required(field: str) -> None:
    assert operator_complaints(f"spec.backup_config.r2_config.{field}", "") == ["is missing or empty"]


@pytest.mark.parametrize("field", ["access_key_id", "secret_access_key"])
def test_keys_of_the_bucket_are_required_unless_they_are_elsewhere(field: str) -> None:
    (message,) = operator_complaints(f"spec.backup_config.r2_config.{field}", "")
    assert message.startswith("is missing or empty (or give credentials")


def test_a_schedule_and_a_bucket_are_required() -> None:
    found = problems(OPERATOR_HEAD + "spec:\n  backup_config: {}\n")
    assert {(problem.path, problem.message, problem.origin.line) for problem in found} == {
        (
            "spec.backup_config.storage",
            "is required: the object store and its bucket (or r2_config, the short form for Cloudflare R2)",
            6,
        ),
        ("spec.backup_config.backup_schedule", "is missing or empty", 6),
    }


@pytest.mark.parametrize("key", ["key\n", " key", "k y", "ké", "key\t", "\0"])
def test_keys_with_white_space(key: str) -> None:
    for field in ("access_key_id", "secret_access_key"):
        (message,) = operator_complaints(f"spec.backup_config.r2_config.{field}", key)
        assert message.startswith("must be printable ASCII without white space")


def test_account_ids() -> None:
    for value in ("a.b", "a/b", "-a", "a" * 64, "a\n", "https://a"):
        (message,) = operator_complaints("spec.backup_config.r2_config.cloudflare_account_id", value)
        assert message.startswith("must be a Cloudflare account id")


@pytest.mark.parametrize("value", ["ab", "a" * 64, "A-b", "a_b", "s3://abc", "abc/def", "-abc", "abc-", "abc\n"])
def test_bucket_names_that_are_none(value: str) -> None:
    (message,) = operator_complaints("spec.backup_config.r2_config.bucket_name", value)
    assert message.startswith("must be a bucket's name alone: 3 to 63 lower-case letters")


@pytest.mark.parametrize("value", ["a..b", "a.-b", "10.0.0.1", "xn--abc", "abc-s3alias"])
def test_bucket_names_that_s3_keeps(value: str) -> None:
    (message,) = operator_complaints("spec.backup_config.r2_config.bucket_name", value)
    assert message.startswith("the name of a bucket cannot")


def test_an_operator_without_backups() -> None:
    assert loads(OPERATOR_HEAD + "spec: {}\n")
    assert loads(OPERATOR_HEAD + "spec: {operator_settings: {resync_period: 10m}}\n")


def test_wrong_apiversion_and_kind_in_python() -> None:
    message = PostgresOperatorKubernetes(api_version="v2", kind="Other")
    message.metadata.name = "a"
    message.spec.SetInParent()
    assert [problem.path for problem in violations([message])] == ["apiVersion", "kind"]


def test_every_kind_has_its_checks() -> None:
    assert set(CHECKS) == set(KINDS)


def test_checked_messages_stay_right() -> None:
    loaded = loads(OPERATOR_HEAD + BACKUP_CONFIG + "---\n" + DATABASE)
    assert prepare(loaded) == loaded


def test_keys_too_short_to_be_hidden_are_refused() -> None:
    assert loads(OPERATOR.replace("AKIDSENTINEL", "8letters"))
    for key, field in (("AKIDSENTINEL", "access_key_id"), ("SECRETSENTINEL", "secret_access_key")):
        problem = only(OPERATOR.replace(key, "7letter"))
        assert (problem.path, problem.message) == (
            f"spec.backup_config.r2_config.{field}",
            "must have at least 8 characters",
        )


def test_what_planton_fills_in_is_not_proposed_as_a_place() -> None:
    assert (
        only(DATABASE.replace("{}", "{name: x}")).message == "is not a field of this place; it belongs under metadata"
    )


@pytest.mark.parametrize(
    ("wrong", "place"),
    [
        ("storage: {cloudflare_account_id: x}", "spec.backup_config.storage.cloudflare_r2"),
        ("storage: {region: x}", "spec.backup_config.storage.aws_s3 or spec.backup_config.storage.s3_compatible"),
        ("transform: hex", "spec.backup_config.encryption.libsodium"),
        (
            "key_id: x\n    value: x",
            "spec.backup_config.storage.certificate_authority or spec.backup_config.credentials.access_key_id or "
            "spec.backup_config.credentials.secret_access_key",
        ),
    ],
)
def test_a_field_at_the_wrong_place_is_sent_to_the_nearest_one(wrong: str, place: str) -> None:
    found = problems(OPERATOR + f"    {wrong}\n")
    assert f"is not a field of this place; it belongs under {place}" in [problem.message for problem in found]


def test_the_mask_of_redacted_output_is_no_key() -> None:
    found = problems(dumps(loads(OPERATOR), redact=True))
    assert [problem.message for problem in found] == ["is what stands for a key in redacted output: write the key"] * 2
