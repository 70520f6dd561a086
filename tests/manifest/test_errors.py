"""What is wrong with a text is said all at once, with its place, and without a value."""

from __future__ import annotations

import pytest

from planton.errors import Origin
from tests.manifest.support import DATABASE, OPERATOR_HEAD, metadata, only, problems, spec

FIVE_MISTAKES = """\
apiVersion: kubernetes.project-planton.org/v1
kind: PostgresKubernetes
metadata:
  name: Orders
spec:
  container:
    replicas: "2"
    disk_sise: 10Gi
  backupConfig:
    enableBackup: yes
    backup_schedule: "@daily"
"""


def test_five_mistakes_are_five_errors() -> None:
    found = problems(FIVE_MISTAKES, file="orders.yaml")
    assert [(problem.origin.line, problem.path) for problem in found] == [
        (4, "metadata.name"),
        (7, "spec.container.replicas"),
        (8, "spec.container.disk_sise"),
        (10, "spec.backupConfig.enableBackup"),
        (11, "spec.backupConfig.backup_schedule"),
    ]
    assert [problem.message for problem in found] == [
        "must be an RFC 1123 label of at most 49 characters: lower-case letters, digits and '-', "
        "beginning and ending with a letter or digit",
        "must be a whole number without quotes",
        "is not a field that planton knows; did you mean disk_size?",
        "must be true or false, written so: readers of YAML disagree on the other forms",
        'must be five fields: write "0 0 * * *" for it',
    ]
    assert str(found[1]) == (
        "orders.yaml:7 (document 1): PostgresKubernetes: spec.container.replicas: must be a whole number without quotes"
    )


def test_problems_of_all_documents_in_their_order() -> None:
    text = f"{spec('x: 1')}---\n{DATABASE}---\n[]\n---\n{FIVE_MISTAKES}---\n{spec('version: 17')}"
    found = problems(text)
    assert [problem.origin.document for problem in found] == [1, 3, 4, 4, 4, 4, 4, 5]
    assert [problem.origin.line for problem in found] == [6, 14, 19, 22, 23, 25, 26, 33]
    assert found[-1].subject == "PostgresKubernetes/orders"
    assert found[-1].origin == Origin("<text>", 5, 33)


# The head


def test_everything_missing() -> None:
    assert [(problem.path, problem.message) for problem in problems("{a: 1}")] == [
        ("kind", "is missing: write one of PostgresOperatorKubernetes, PostgresKubernetes"),
        ("apiVersion", "is missing: write kubernetes.project-planton.org/v1"),
        ("metadata", "is missing"),
        ("spec", "is missing"),
    ]


@pytest.mark.parametrize(
    ("take", "path", "message"),
    [
        (
            "apiVersion: kubernetes.project-planton.org/v1\n",
            "apiVersion",
            "is missing: write kubernetes.project-planton.org/v1",
        ),
        ("kind: PostgresKubernetes\n", "kind", "is missing: write one of"),
        ("metadata:\n  name: orders\n", "metadata", "is missing"),
        ("spec: {}\n", "spec", "is missing"),
        ("name: orders", "metadata", "has no value"),
    ],
)
def test_each_missing_part(take: str, path: str, message: str) -> None:
    assert take in DATABASE
    problem = only(DATABASE.replace(take, ""))
    assert problem.path == path
    assert problem.message.startswith(message)


def test_a_name_that_is_missing() -> None:
    problem = only(DATABASE.replace("  name: orders", "  slug: orders"))
    assert (problem.path, problem.origin.line, problem.message) == ("metadata.name", 3, "is missing or empty")
    assert problem.subject == "PostgresKubernetes"


def test_a_wrong_api_version() -> None:
    problem = only(DATABASE.replace("org/v1", "org/v1beta1"))
    assert (problem.path, problem.origin.line) == ("apiVersion", 1)
    assert problem.message == "is not one that planton knows; did you mean kubernetes.project-planton.org/v1?"


def test_a_misspelt_kind_does_not_hide_the_rest() -> None:
    found = problems(spec("disk_size: 1Gi").replace("kind: PostgresKubernetes", "kind: PostgresKubernets"))
    assert [problem.path for problem in found] == ["kind", "spec.disk_size"]
    assert found[0].message == "is not one that planton knows; did you mean PostgresKubernetes?"


@pytest.mark.parametrize(
    ("kind", "hint"),
    [("PostgresOperator", "; did you mean PostgresOperatorKubernetes?"), ("Namespace", ""), ("5", ""), ("[]", "")],
)
def test_a_foreign_kind(kind: str, hint: str) -> None:
    problem = only(DATABASE.replace("kind: PostgresKubernetes", f"kind: {kind}"))
    assert problem.path == "kind"
    assert problem.message.endswith(f"write one of PostgresOperatorKubernetes, PostgresKubernetes{hint}")


@pytest.mark.parametrize(
    ("text", "found"), [("[a]", "a list"), ("text", "text"), ("5", "a number"), ('""', "text"), ("|\n  x", "text")]
)
def test_no_mapping(text: str, found: str) -> None:
    assert only(text).message == f"must be a mapping that begins with apiVersion and kind, not {found}"


# Fields


@pytest.mark.parametrize(
    ("lines", "path", "message"),
    [
        ("container: {diskSzie: 1Gi}", "spec.container.diskSzie", "did you mean diskSize?"),
        ("container: {disc_size: 1Gi}", "spec.container.disc_size", "did you mean disk_size?"),
        ("container: {DISK_SIZE: 1Gi}", "spec.container.DISK_SIZE", "did you mean disk_size?"),
        ("replicas: 2", "spec.replicas", "is not a field of this place; it belongs under spec.container"),
        (
            "cpu: '1'",
            "spec.cpu",
            "it belongs under spec.container.resources.limits or spec.container.resources.requests",
        ),
        ("zzz: 2", "spec.zzz", "here are container, ingress, backup_config, version, clone, standby"),
    ],
)
def test_unknown_fields(lines: str, path: str, message: str) -> None:
    problem = only(spec(lines))
    assert problem.path == path
    assert problem.origin.line == 6
    assert problem.message.endswith(message)


@pytest.mark.parametrize(
    "key",
    [
        "AKIAIOSFODNN7EXAMPLE",
        "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
        "wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEYab",
        "0b1d7f3c9a5e4d2f8c6b7a9e1d3f5c7b",
        "two words",
        "a" * 65,
        "line\\nbreak",
        "diskSize\\n",
    ],
)
def test_keys_that_could_be_credentials_are_not_shown(key: str) -> None:
    problem = only(spec(f'backup_config:\n  "{key}": x'))
    assert problem.path == "spec.backup_config"
    assert "it is not shown, since it can be a credential" in problem.message
    assert key[:12] not in str(problem)


def test_a_misspelt_required_field_is_not_called_missing_too() -> None:
    text = OPERATOR_HEAD + (
        "spec:\n  backup_config:\n    backup_shedule: '0 2 * * *'\n    r2_config:\n      cloudflare_account_id: a\n"
        "      bucket_name: [x]\n      access_key_id: aaaaaaaa\n      secret_access_key: aaaaaaaa\n"
    )
    found = problems(text)
    assert [problem.path for problem in found] == [
        "spec.backup_config.backup_shedule",
        "spec.backup_config.r2_config.bucket_name",
    ]


def test_what_is_missing_below_is_named_in_the_spelling_of_the_manifest() -> None:
    found = problems(OPERATOR_HEAD + "spec:\n  backupConfig:\n    r2Config: {bucketName: abc}\n")
    assert [(problem.path, problem.origin.line) for problem in found] == [
        ("spec.backupConfig.backupSchedule", 6),
        ("spec.backupConfig.r2Config.cloudflareAccountId", 7),
        ("spec.backupConfig.r2Config.accessKeyId", 7),
        ("spec.backupConfig.r2Config.secretAccessKey", 7),
    ]


@pytest.mark.parametrize(
    ("lines", "path", "message"),
    [
        ("version: '16'\nversion: '17'", "spec.version", "is given twice, first on line 6"),
        (
            "backup_config: {}\nbackupConfig: {}",
            "spec.backupConfig",
            "is given twice, as backup_config and as backupConfig, first on line 6",
        ),
    ],
)
def test_duplicate_fields(lines: str, path: str, message: str) -> None:
    problem = only(spec(lines))
    assert (problem.path, problem.origin.line, problem.message) == (path, 7, message)


def test_duplicate_head() -> None:
    problem = only("kind: PostgresKubernetes\n" + DATABASE)
    assert (problem.path, problem.origin.line, problem.message) == ("kind", 3, "is given twice, first on line 1")


def test_duplicate_map_keys() -> None:
    problem = only(metadata("labels:\n  app: a\n  team: b\n  app: c"))
    assert (problem.path, problem.origin.line) == ('metadata.labels["app"]', 8)
    assert problem.message == "is given twice: keep one of them"


def test_two_members_of_a_oneof() -> None:
    lines = "spec:\n  target_cluster:\n    kubernetes_cluster_credential_id: a\n    kubernetesClusterSelector: {}\n"
    problem = only(OPERATOR_HEAD + lines)
    assert problem.path == "spec.target_cluster.kubernetesClusterSelector"
    assert problem.origin.line == 8
    assert problem.message == "excludes kubernetes_cluster_credential_id, which is given as well: keep one of them"


@pytest.mark.parametrize(
    ("lines", "path", "message"),
    [
        ("container: []", "spec.container", "must be a mapping of fields, not a list"),
        ("container: text", "spec.container", "must be a mapping of fields, not text"),
        ("container: 5", "spec.container", "must be a mapping of fields, not a number"),
        ("backup_config:", "spec.backup_config", "has no value: indent what belongs to it, write {} for an empty one"),
        ("backup_config: ~", "spec.backup_config", "has no value: indent what belongs to it"),
        ("version: {}", "spec.version", "must be text, not a mapping"),
        ("version: [x]", "spec.version", "must be text, not a list"),
        ("ingress: {enabled: []}", "spec.ingress.enabled", "must be true or false, not a list"),
        ("container: {replicas: {}}", "spec.container.replicas", "must be a whole number, not a mapping"),
        (
            "ingress: {allowed_source_ranges: 10.0.0.0/8}",
            "spec.ingress.allowed_source_ranges",
            "must be a list, not text",
        ),
        ("ingress: {allowed_source_ranges: }", "spec.ingress.allowed_source_ranges", "has no value: indent"),
    ],
)
def test_wrong_types(lines: str, path: str, message: str) -> None:
    problem = only(spec(lines))
    assert problem.path == path
    assert problem.message.startswith(message)


def test_wrong_types_in_maps_and_lists() -> None:
    lines = "labels: [a]\nannotations: {a: {b: c}, b: [d], c: , ? [e] : f}\ntags: [a, [b], 5, ok]"
    found = problems(metadata(lines))
    assert [(problem.path, problem.message) for problem in found] == [
        ("metadata.labels", "must be a mapping of names to text, not a list"),
        ('metadata.annotations["a"]', "must be text, not a mapping"),
        ('metadata.annotations["b"]', "must be text, not a list"),
        ('metadata.annotations["c"]', 'has no value: write "" for an empty text, or remove the line'),
        ("metadata.annotations", "has a key that is a list: a key must be a name"),
        ("metadata.tags[1]", "must be text, not a list"),
        ("metadata.tags[2]", "is a number to readers of YAML, and text belongs here: put it in quotes"),
    ]


def test_items_after_a_wrong_one_keep_their_number() -> None:
    lines = "ingress:\n  allowed_source_ranges:\n  - [x]\n  - 10.0.0.0/8\n  - 300.0.0.0/8"
    assert [(problem.path, problem.origin.line) for problem in problems(spec(lines))] == [
        ("spec.ingress.allowed_source_ranges[0]", 8),
        ("spec.ingress.allowed_source_ranges[2]", 10),
    ]


def test_keys_that_are_no_names() -> None:
    assert only(spec("? [a, b]\n: c")).message == "has a key that is a list: a key must be a name"
    assert only(spec("? {a: b}\n: c")).message == "has a key that is a mapping: a key must be a name"
    assert only(metadata("labels: {5: x}")).message == (
        "has a key that is a number to readers of YAML: put the key in quotes"
    )
    assert only(metadata("labels: {on: x}")).message.startswith("has a key that is true or false to readers of YAML")


# What YAML has and manifests have not


@pytest.mark.parametrize("lines", ["<<: {version: '17'}", "container: {<<: {replicas: 1}}"])
def test_merge_keys(lines: str) -> None:
    assert only(spec(lines)).message.startswith("merge keys (<<) are not supported")


def test_a_merge_key_in_a_map() -> None:
    assert only(metadata("labels: {<<: {a: b}}")).message.startswith("merge keys (<<) are not supported")


@pytest.mark.parametrize("tag", ["!!str", "!", "!custom", "!<tag:x>", "!!python/object:os.system"])
def test_tags(tag: str) -> None:
    problem = only(spec(f'version: {tag} "17"'))
    assert problem.message == "has a YAML tag (!…), which is not allowed: remove the tag"
    assert problem.origin.line == 6


def test_tags_on_collections_and_declarations() -> None:
    assert only(DATABASE.replace("{}", "!!map {}")).origin.line == 5
    assert only(f"%TAG !x! tag:example.com,2000:\n---\n{DATABASE}").message.startswith("declares YAML tags (%TAG)")


def test_yaml_directive_is_fine() -> None:
    assert len(problems(f"%YAML 1.1\n---\n{spec('x: 1')}...\n%YAML 1.2\n---\n{spec('x: 1')}")) == 2


def test_aliases_of_nothing_and_of_themselves() -> None:
    assert (
        only(spec("container: *nothing")).message
        == "must be a mapping of fields, not an alias (*…) of nothing above it"
    )
    assert only(spec("container: &x {resources: *x}")).path == "spec.container.resources"
    assert only(metadata("slug: *x")).message == "must be text, not an alias (*…) of nothing above it"


def test_an_anchor_used_twice() -> None:
    problem = only(metadata("slug: &x a\ntags: [&x b]"))
    assert (problem.origin.line, problem.path) == (6, "")
    assert problem.message.startswith("has an anchor (&…) that is used twice")


# What cannot be read at all


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("a: 'x\n", 2, "a quote or bracket is not closed"),
        ("a: [1\nb: 2\n", 2, "a bracket is not closed, or a comma is missing"),
        ("a:\n\tb: 1\n", 2, "use spaces to indent, not tabs"),
        ("a: b: c\n", 1, "put a text that has ': ' in it in quotes"),
        ("a: b\n c: d\n", 2, "look at the indentation"),
        ("a: @x\n", 1, "put a text that begins with @ or ` in quotes"),
        ('a: "\\q"\n', 1, "found unknown escape character"),
        ('a: "\\ud800"\n', 1, "is not valid YAML: found invalid Unicode character escape code"),
        ("a: \x07\n", 1, "holds a control character that YAML does not allow"),
        ("a: b\n\x01", 2, "holds a control character that YAML does not allow"),
    ],
)
def test_syntax_errors(text: str, line: int, message: str) -> None:
    problem = only(text)
    assert problem.origin.line == line
    assert message in problem.message


def test_what_was_found_before_a_syntax_error_is_said_too() -> None:
    found = problems(spec("x: 1\ncontainer: {replicas: 1"))
    assert [(problem.path, problem.subject) for problem in found] == [
        ("spec.x", "PostgresKubernetes/orders"),
        ("", "PostgresKubernetes/orders"),
    ]


def test_reading_goes_on_after_a_document_that_cannot_be_read() -> None:
    text = f"{spec('x: 1')}---\na: [b\n---\n{spec('x: 1')}--- [\n---\n{DATABASE}---\n{spec('x: 1')}"
    found = problems(text)
    assert [(problem.origin.document, problem.origin.line) for problem in found if problem.path] == [
        (1, 6),
        (3, 15),
        (6, 29),
    ]
    assert [problem.origin.document for problem in found if not problem.path] == [2, 4, 4]


@pytest.mark.parametrize(
    ("content", "line", "message"),
    [
        (b"a: 1\nb: \xff\n", 2, "is not valid UTF-8"),
        (b"a: 1\nb: \xed\xa0\x80\n", 2, "is not valid UTF-8"),
        ("a: 1\nb: \ud800\n", 2, "is not valid Unicode: it holds half of a surrogate pair"),
        ("a: 1\nb: \0\n", 2, "holds a NUL character: this is not a text file, or not UTF-8"),
        (b"a: 1\nb: \0\n", 2, "holds a NUL character: this is not a text file, or not UTF-8"),
        ("a: 1\n".encode("utf-16"), 1, "is UTF-16: save it as UTF-8"),
        ("a: 1\n".encode("utf-16-le"), 1, "holds a NUL character: this is not a text file, or not UTF-8"),
    ],
)
def test_texts_that_are_none(content: bytes | str, line: int, message: str) -> None:
    problem = only(content)
    assert (problem.origin.line, problem.message) == (line, message)


def test_a_thousand_problems_are_enough() -> None:
    found = problems("---\n".join([spec("x: 1")] * 1500))
    assert len(found) == 1001
    assert found[-1].message == "there are more than 1000 problems; the others are not shown"
