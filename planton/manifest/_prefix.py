"""Prefixes of archives: bucket names, paths, and the variables in them."""

from __future__ import annotations

import re
from functools import lru_cache

_VARIABLES = ("$(SCOPE)", "$(PGVERSION)", "$(POD_NAMESPACE)")
_LONGEST = 512
# Rules for general purpose buckets:
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", re.ASCII)
_ADDRESS = re.compile(r"[0-9]{1,3}([.][0-9]{1,3}){3}", re.ASCII)
_RESERVED_STARTS = ("xn--", "sthree-", "amzn-s3-demo-")
_RESERVED_ENDS = ("-s3alias", "--ol-s3", ".mrap", "--x-s3", "--table-s3")
# A part of what S3 calls safe; the rest of it (! * ' ( )) means something to the shells on the way:
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html
_SAFE = re.compile(r"[A-Za-z0-9._/-]*", re.ASCII)
# A path that is right in every way, as nearly all are: it is not looked at any further.
_ORDINARY = re.compile(
    r"(?:[A-Za-z0-9_-][A-Za-z0-9._-]*|\$\((?:SCOPE|PGVERSION|POD_NAMESPACE)\))"
    r"(?:/(?:[A-Za-z0-9_-][A-Za-z0-9._-]*|\$\((?:SCOPE|PGVERSION|POD_NAMESPACE)\)))*",
    re.ASCII,
)
_KNOWN = re.compile(r"\$\((?:SCOPE|PGVERSION|POD_NAMESPACE)\)", re.ASCII)


@lru_cache(maxsize=256)
def bucket_problem(name: str) -> str:
    """Checks the name of a bucket.

    Args:
        name: The name.

    Returns:
        What is wrong; empty when nothing is.
    """
    if not _BUCKET.fullmatch(name):
        return (
            "the name of a bucket has 3 to 63 lower-case letters, digits, '-' and '.', "
            "and begins and ends with a letter or digit"
        )
    return reserved_bucket_problem(name)


def reserved_bucket_problem(name: str) -> str:
    """Checks the name of a bucket for what its characters and its length do not say.

    Args:
        name: The name; the rule on its field has checked the rest.

    Returns:
        What is wrong; empty when nothing is.
    """
    if any(pair in name for pair in ("..", ".-", "-.")):
        return "the name of a bucket cannot have '.' beside '.' or '-'"
    if _ADDRESS.fullmatch(name):
        return "the name of a bucket cannot look like an IP address"
    if name.startswith(_RESERVED_STARTS) or name.endswith(_RESERVED_ENDS):
        return "the name of a bucket cannot begin or end as the names that S3 keeps for itself do"
    return ""


@lru_cache(maxsize=1024)
def template_problem(template: str) -> str:
    """Checks the path that databases inherit from their operator.

    Args:
        template: Path in the operator's bucket, with variables.

    Returns:
        What is wrong, with the remedy; empty when nothing is.
    """
    if not template or len(template) > _LONGEST:
        return ""  # The rules on the field say so.
    if "://" in template:
        return "is a path in the bucket: leave out s3:// and the name of the bucket"
    if template.startswith("/"):
        return "is a path in the bucket: leave out the '/' at its beginning"
    problem = _path_problem(template)
    if not problem and "$(SCOPE)" not in template:
        return (
            "must have $(SCOPE) in it, the name of the database's cluster: without it all databases share one archive"
        )
    return problem


def prefix_problem(prefix: str) -> str:
    """Checks the archive of one database.

    Args:
        prefix: `<bucket>/<path>`, `s3://<bucket>/<path>`, or `/<path>` in the operator's bucket.

    Returns:
        What is wrong, with the remedy; empty when nothing is.
    """
    if not prefix or len(prefix) > _LONGEST:
        return ""  # The rules on the field say so.
    address = prefix.removeprefix("s3://")
    if "://" in address:
        return "must be <bucket>/<path>, s3://<bucket>/<path>, or /<path> in the operator's bucket; only s3:// is known"
    bucket, slash, path = address.partition("/")
    if not bucket and prefix.startswith("s3://"):
        return "has no bucket after s3://: write s3://<bucket>/<path>, or /<path> for the operator's bucket"
    if bucket:
        if "$" in bucket:
            return (
                "begins with the bucket, which cannot have variables: write /<path> for a path in the operator's bucket"
            )
        problem = bucket_problem(bucket)
        if problem:
            return f"begins with the bucket, and {problem}; write /<path> for a path in the operator's bucket"
    if not slash or not path:
        return "has no path: write <bucket>/<path>, or /<path> for a path in the operator's bucket"
    return _path_problem(path)


def _path_problem(path: str) -> str:
    if _ORDINARY.fullmatch(path):
        return ""
    if "$$" in path:
        return "has $$, which keeps a variable from being filled in: write one $"
    rest = _KNOWN.sub("", path)
    if "$" in rest:
        return f"has a $ that begins none of the variables that can be filled in: {', '.join(_VARIABLES)}"
    if not _SAFE.fullmatch(rest):
        return (
            "can have letters, digits, '-', '_', '.', '/' and variables, and nothing else (no spaces, no line breaks)"
        )
    segments = path.split("/")
    if "" in segments:
        return "has a '/' too many: there is one between two names, and none at the end"
    if "." in segments or ".." in segments:
        return "cannot have '.' or '..' as a name in its path"
    return ""
