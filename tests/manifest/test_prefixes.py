"""Prefixes of archives: buckets, paths and variables."""

from __future__ import annotations

import pytest

from planton.manifest._prefix import bucket_problem, prefix_problem, template_problem
from tests.manifest.support import OPERATOR, only, spec

VARIABLES = "$(SCOPE), $(PGVERSION), $(POD_NAMESPACE)"


@pytest.mark.parametrize(
    "prefix",
    ["my-bucket/custom/path/$(PGVERSION)", "compliance-backups/critical/$(PGVERSION)", "s3://my-bucket/a", "/a",
     "/a/$(SCOPE)/$(PGVERSION)", "my.bucket/a_b-c.d/E", "abc/$(POD_NAMESPACE)-$(SCOPE)", "abc/...", "/.hidden/a"],
)  # fmt: skip
def test_prefixes_of_databases(prefix: str) -> None:
    assert prefix_problem(prefix) == ""


SLASH = "has a '/' too many"
PATH = "has no path: write <bucket>/<path>"
BUCKET = "begins with the bucket, and the name of a bucket"
CHARACTERS = "can have letters, digits, '-', '_', '.', '/' and variables, and nothing else"


@pytest.mark.parametrize(
    ("prefix", "message"),
    [
        ("my-bucket", PATH),
        ("my-bucket/", PATH),
        ("s3://my-bucket", PATH),
        ("/", PATH),
        ("s3://", "has no bucket after s3://"),
        ("s3:///path", "has no bucket after s3://"),
        ("gs://my-bucket/a", "must be <bucket>/<path>, s3://<bucket>/<path>"),
        ("https://my-bucket/a", "must be <bucket>/<path>, s3://<bucket>/<path>"),
        ("S3://my-bucket/a", "must be <bucket>/<path>, s3://<bucket>/<path>"),
        ("s3://s3://my-bucket/a", "must be <bucket>/<path>, s3://<bucket>/<path>"),
        ("$(SCOPE)/a", "begins with the bucket, which cannot have variables"),
        ("my-$(SCOPE)/a", "begins with the bucket, which cannot have variables"),
        ("ab/a", BUCKET),
        ("My-Bucket/a", BUCKET),
        ("my_bucket/a", BUCKET),
        ("-bucket/a", BUCKET),
        ("a" * 64 + "/a", BUCKET),
        ("bücket/a", BUCKET),
        ("my..bucket/a", BUCKET),
        ("192.168.0.1/a", BUCKET),
        ("my-bucket//a", SLASH),
        ("my-bucket/a/", SLASH),
        ("my-bucket/a//b", SLASH),
        ("//a", SLASH),
        ("my-bucket/a/../b", "cannot have '.' or '..' as a name"),
        ("my-bucket/..", "cannot have '.' or '..' as a name"),
        ("my-bucket/./b", "cannot have '.' or '..' as a name"),
        ("my-bucket/a b", CHARACTERS),
        ("my-bucket/a\n", CHARACTERS),
        ("my-bucket/a\n/b", CHARACTERS),
        ("my-bucket/é", CHARACTERS),
        ("my-bucket/٣", CHARACTERS),
        ("my-bucket/a:b", CHARACTERS),
        ("my-bucket/a*", CHARACTERS),
        ("my-bucket/a?b", CHARACTERS),
        ("my-bucket/(SCOPE)", CHARACTERS),
        ("my-bucket/$$(SCOPE)", "has $$, which keeps a variable from being filled in"),
        ("my-bucket/$$", "has $$, which keeps a variable from being filled in"),
        *(
            (f"my-bucket/{text}", f"has a $ that begins none of the variables that can be filled in: {VARIABLES}")
            for text in ("$", "$SCOPE", "${SCOPE}", "$(scope)", "$(SCOPE", "$()", "$(POD_IP)",
                         "$(PGPASSWORD_SUPERUSER)", "$( SCOPE)", "$(SCOPE )", "$(SCOPE\n)", "a$")
        ),
    ],
)  # fmt: skip
def test_prefixes_that_are_none(prefix: str, message: str) -> None:
    assert prefix_problem(prefix).startswith(message), prefix_problem(prefix)


@pytest.mark.parametrize(
    "template", ["backups/$(SCOPE)/$(PGVERSION)", "$(SCOPE)", "a/$(POD_NAMESPACE)/x-$(SCOPE)-y", "a/$(SCOPE)/$(SCOPE)"]
)
def test_templates_of_operators(template: str) -> None:
    assert template_problem(template) == ""


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("backups/$(PGVERSION)", "must have $(SCOPE) in it"),
        ("backups", "must have $(SCOPE) in it"),
        ("backups/SCOPE", "must have $(SCOPE) in it"),
        ("/backups/$(SCOPE)", "is a path in the bucket: leave out the '/'"),
        ("s3://bucket/$(SCOPE)", "is a path in the bucket: leave out s3://"),
        ("backups/$(SCOPE)/", SLASH),
        ("backups//$(SCOPE)", SLASH),
        ("backups/$$(SCOPE)", "has $$"),
        ("backups/$(SCOPE)/$(POD_IP)", "has a $ that begins none"),
        ("backups/$(SCOPE)/..", "cannot have '.' or '..'"),
        ("backups/$(SCOPE) ", CHARACTERS),
        ("backups/$(SCOPE)\n", CHARACTERS),
    ],
)
def test_templates_that_are_none(template: str, message: str) -> None:
    assert template_problem(template).startswith(message), template_problem(template)


@pytest.mark.parametrize("name", ["abc", "a1b", "my-bucket", "my.bucket", "a" * 63, "123"])
def test_buckets(name: str) -> None:
    assert bucket_problem(name) == ""


@pytest.mark.parametrize(
    "name",
    ["", "ab", "a" * 64, "Abc", "a_b", "-ab", "ab-", ".ab", "ab.", "a..b", "a.-b", "a-.b", "1.2.3.4", "xn--a", "abc\n",
     "sthree-abc", "amzn-s3-demo-abc", "abc-s3alias", "abc--ol-s3", "abc.mrap", "abc--x-s3", "٣٣٣", "a/b"],
)  # fmt: skip
def test_buckets_that_are_none(name: str) -> None:
    assert bucket_problem(name).startswith("the name of a bucket")


def test_in_manifests() -> None:
    problem = only(spec("backup_config:\n  s3Prefix: Bucket/a"))
    assert (problem.path, problem.origin.line) == ("spec.backup_config.s3Prefix", 7)
    assert "write /<path> for a path in the operator's bucket" in problem.message
    problem = only(OPERATOR.replace("    backup_schedule", "    s3_prefix_template: backups\n    backup_schedule"))
    assert (problem.path, problem.origin.line) == ("spec.backup_config.s3_prefix_template", 12)


def test_too_long_ones() -> None:
    assert only(spec(f"backup_config: {{s3_prefix: abc/{'a' * 600}}}")).message == "must be at most 512 characters"
