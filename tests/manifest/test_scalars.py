"""What stands without quotes is only taken for text where every reader of YAML takes it for text."""

from __future__ import annotations

import pytest

from planton.types import PostgresOperatorKubernetes
from tests.manifest.support import OPERATOR_HEAD, database, metadata, only, operator, spec

BOOLEANS = ("y Y yes Yes YES n N no No NO on On ON off Off OFF true True TRUE false False FALSE yEs tRue").split()
NUMBERS = """
    0 1 -1 +1 17 007 0o17 0O17 0x1F 0X1f -0x1f 0b101 0B1 1_000 1. 1.0 .5 -.5 +.5 1.5e3 1e3 1E3 1e+3 1e-3 12e03
    1:30 190:20:30 190:20:30.15 .inf -.inf +.Inf .INF .nan .NaN .NAN 6.8523015e+5 685_230.15 0. 0_0
""".split()
DATES = ["2020-01-01", "2001-12-14t21:59:43.10-05:00", "2001-12-14 21:59:43", "2001-1-2", "2001-12-15T02:59:43Z"]
NULLS = ["", "~", "null", "Null", "NULL"]
TEXTS = """
    a orders yes-please no1 nose once truest falsely nulls offline y2k yy nn 1.15.1 10Gi 1.5Gi 500m 0x 0xfg 0b2 0o8
    1e 1ee3 1-2 2020-1 2020-01-01a -a +a .a ... - . .. 1,000 10.0.0.0/8 1:2:x infinity nan inf NaN =a <<<
    s3://bucket/a /a a:b a#b !x
""".split()


@pytest.mark.parametrize(
    ("text", "what"),
    [
        *((text, "true or false") for text in BOOLEANS),
        *((text, "a number") for text in NUMBERS),
        *((text, "a date") for text in DATES),
        ("=", "a special sign"),
        ("<<", "a special sign"),
    ],
)
def test_ambiguous_text_wants_quotes(text: str, what: str) -> None:
    problem = only(metadata(f"slug: {text}"))
    assert (problem.path, problem.origin.line) == ("metadata.slug", 5)
    assert problem.message == f"is {what} to readers of YAML, and text belongs here: put it in quotes"
    for quoted in (f'"{text}"', f"'{text}'", f"|-\n    {text}", f">-\n    {text}"):
        assert database(metadata(f"slug: {quoted}")).metadata.slug == text


@pytest.mark.parametrize("text", NULLS)
def test_nothing_is_no_text(text: str) -> None:
    assert only(metadata(f"slug: {text}")).message == 'has no value: write "" for an empty text, or remove the line'
    assert database(metadata(f'slug: "{text}"')).metadata.slug == text


@pytest.mark.parametrize("text", [text for text in TEXTS if text not in ("!x", "-", "...")])
def test_what_is_plainly_text(text: str) -> None:
    assert database(metadata(f"slug: {text}")).metadata.slug == text


def test_text_over_several_lines() -> None:
    assert database(metadata("slug: |\n  a\n   b\n")).metadata.slug == "a\n b\n"
    assert database(metadata("slug: >-\n  a\n  b\n")).metadata.slug == "a b"
    assert database(metadata('slug: "a\\\n    b\\tc\\u00e9\\0"')).metadata.slug == "ab\tcé\0"


def test_an_explicit_empty_text_is_kept_where_it_can_be_seen() -> None:
    problem = only(spec('backup_config: {s3_prefix: ""}'))
    assert problem.message == "is empty: remove the line for the default, or give a value"


# Booleans


def test_booleans() -> None:
    message = database(spec("backup_config: {enable_backup: true, enable_restore: false}"))
    assert message.spec.backup_config.enable_backup
    assert message.spec.backup_config.HasField("enable_restore")
    assert not message.spec.backup_config.enable_restore


@pytest.mark.parametrize(
    ("text", "message"),
    [
        *(
            (text, "must be true or false, written so: readers of YAML disagree on the other forms")
            for text in BOOLEANS
            if text not in ("true", "false")
        ),
        ('"true"', "must be true or false without quotes"),
        ("'false'", "must be true or false without quotes"),
        ('"yes"', "must be true or false"),
        ("1", "must be true or false"),
        ("maybe", "must be true or false"),
        ("", "has no value: write one, or remove the line"),
        ("null", "has no value: write one, or remove the line"),
        ('""', "must be true or false"),
    ],
)
def test_what_is_no_boolean(text: str, message: str) -> None:
    problem = only(spec(f"backup_config:\n  enable_backup: {text}"))
    assert (problem.path, problem.message) == ("spec.backup_config.enable_backup", message)


# Whole numbers


@pytest.mark.parametrize(("text", "number"), [("0", 0), ("-0", 0), ("7", 7), ("99", 99)])
def test_whole_numbers(text: str, number: int) -> None:
    container = database(spec(f"container: {{replicas: {text}}}")).spec.container
    assert container.HasField("replicas")
    assert container.replicas == number


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1.0", "must be a whole number, in digits alone"),
        ("1e2", "must be a whole number, in digits alone"),
        ("+1", "must be a whole number, in digits alone"),
        ("01", "must be a whole number, in digits alone"),
        ("0x1", "must be a whole number, in digits alone"),
        ("1_0", "must be a whole number, in digits alone"),
        ("1:30", "must be a whole number, in digits alone"),
        ("two", "must be a whole number, in digits alone"),
        ("true", "must be a whole number, in digits alone"),
        ("٣", "must be a whole number, in digits alone"),
        ("9" * 5000, "must be a whole number, in digits alone"),
        ("2147483648", "is a number beyond the range of this field"),
        ("-2147483649", "is a number beyond the range of this field"),
        ("99999999999999999999", "is a number beyond the range of this field"),
        ('"2"', "must be a whole number without quotes"),
        ('"two"', "must be a whole number"),
        ("~", "has no value: write one, or remove the line"),
    ],
)
def test_what_is_no_whole_number(text: str, message: str) -> None:
    problem = only(spec(f"container:\n  replicas: {text}"))
    assert (problem.path, problem.message) == ("spec.container.replicas", message)


@pytest.mark.parametrize("text", ["-1", "100", "2147483647", "-2147483648"])
def test_replicas_out_of_range(text: str) -> None:
    problem = only(spec(f"container:\n  replicas: {text}"))
    assert problem.message == "must be from 0 to 99"


# Names of enums


def cluster_kind(text: str) -> str:
    return f"{OPERATOR_HEAD}spec:\n  target_cluster:\n    kubernetes_cluster_selector:\n      cluster_kind: {text}\n"


@pytest.mark.parametrize("text", ["GcpGkeClusterCore", '"GcpGkeClusterCore"', "615"])
def test_enums(text: str) -> None:
    message: PostgresOperatorKubernetes = operator(cluster_kind(text))
    assert message.spec.target_cluster.kubernetes_cluster_selector.cluster_kind == 615


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("GcpGkeCluster", "; did you mean GcpGkeClusterCore?"),
        ("gcpgkeclustercore", "; did you mean GcpGkeClusterCore?"),
        ("Openshift!", "DigitalOceanKubernetesCluster"),
        ("616", "is a number that stands for nothing here; write one of unspecified, AwsEksClusterCore, "),
        ('"615"', "must be one of unspecified, AwsEksClusterCore, "),
        ("9" * 5000, "must be one of "),
        ("", "has no value: write one, or remove the line"),
        ("[]", "not a list"),
    ],
)
def test_what_is_no_enum(text: str, message: str) -> None:
    problem = only(cluster_kind(text))
    assert problem.path == "spec.target_cluster.kubernetes_cluster_selector.cluster_kind"
    assert message in problem.message


def test_no_value_is_ever_in_a_message_about_it() -> None:
    for lines in ("version: [SENTINEL]", "container: {replicas: SENTINEL}", "ingress: {enabled: SENTINEL}"):
        assert "SENTINEL" not in str(only(spec(lines)))
    assert "SENTINEL" not in str(only(cluster_kind("SENTINEL")))
