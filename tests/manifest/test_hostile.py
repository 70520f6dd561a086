"""Hostile texts: a clear error within a second of processor time and 300 MB, each in a process with hard limits."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from typing import Any

import pytest

SECONDS = 1.0
MEGABYTES = 300

# Loads what is warm in any process that has read a manifest before, then measures one text.
PROGRAM = """
import json, sys, time
from planton.errors import ManifestError
from planton.manifest import loads

M = 1 << 20
HEAD = "apiVersion: kubernetes.project-planton.org/v1\\nkind: PostgresKubernetes\\nmetadata:\\n  name: a\\n"
loads(HEAD + "spec: {}")
text = eval(sys.argv[1])

def peak():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) // 1024

begin = time.process_time()
problems = []
try:
    loads(text, file=sys.argv[2])
except ManifestError as error:
    problems = [(problem.message, problem.origin.line) for problem in error.problems]
    length = len(str(error))
print(json.dumps({"seconds": time.process_time() - begin, "peak": peak(), "count": len(problems),
                  "first": problems[0], "last": problems[-1], "length": length}))
"""


def limit() -> None:
    """Makes a runaway process end by itself."""
    resource.setrlimit(resource.RLIMIT_CPU, (20, 20))
    resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30))


def measure(expression: str, file: str) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, expression, file],
        capture_output=True,
        text=True,
        timeout=60,
        preexec_fn=limit,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found: dict[str, Any] = json.loads(done.stdout)
    return found


BOMB = "''.join(f'a{i}: &a{i} [' + ', '.join([f'*a{i-1}' if i else 'x'] * 10) + ']\\n' for i in range(12))"
DEEP = "has more than 64 mappings and lists inside of each other"
NODES = "has more than 20000 keys and items in one document"
LARGE = "is larger than 16 MiB: split it into several files"
TOO_MANY = "there are more than 1000 problems; the others are not shown"

CASES: dict[str, tuple[str, str]] = {
    "50 MB of one scalar": ("HEAD + 'spec: {version: \"' + 'x' * (50 * M) + '\"}'", LARGE),
    "50 MB of bytes": ("b'a: ' + b'x' * (50 * M)", LARGE),
    "as much as is read, in quotes": ("HEAD + 'spec: {version: \"' + 'x' * (15 * M) + '\"}'", "is larger than 1 MiB"),
    "as much as is read, plain": ("HEAD + 'spec: {version: ' + 'x ' * (7 * M) + '}'", "is larger than 1 MiB"),
    "as much as is read, in lines": ("'a: >\\n' + ' x\\n' * (5 * M)", "is larger than 1 MiB"),
    "wide characters": ("'a: ' + '\U0001f600' * (4 * M - 100)", "is larger than 1 MiB"),
    "too many wide characters": ("'a: ' + '\U0001f600' * (4 * M)", LARGE),
    "mixed characters": ("'a: \U0001f600' + 'x' * (15 * M)", "is larger than 1 MiB"),
    "an open quote": ("HEAD + 'spec: {version: \"' + '\\n\\n' * (7 * M)", "is not valid YAML"),
    "a long key": ("HEAD + 'spec: {? \"' + 'a' * (M - 500) + '\" : x}'", "has a key that is not a field"),
    "a long name": ("HEAD[:-2] + 'a' * (M - 500) + '\\nspec: {}'", "must be an RFC 1123 label"),
    "a long number": ("HEAD + 'spec: {container: {replicas: ' + '1' * (M - 500) + '}}'", "must be a whole number"),
    "a long schedule": ("HEAD + 'spec: {backup_config: {backup_schedule: \"' + '*/5,' * (M // 5) + '\"}}'", "must be"),
    "a long prefix": ("HEAD + 'spec: {backup_config: {s3_prefix: \"' + '$(' * (M // 3) + '\"}}'", "must be"),
    "a long domain": ("HEAD + 'spec: {ingress: {dns_domain: \"' + 'a.' * (M // 3) + '\"}}'", "must be a domain name"),
    "many unknown fields": ("HEAD + 'spec:\\n' + ''.join(f'  unknown{i}: x\\n' for i in range(700_000))", TOO_MANY),
    "one field many times": ("HEAD + 'spec:\\n' + '  version: \"17\"\\n' * 700_000", TOO_MANY),
    "many labels": ("HEAD + '  labels:\\n' + ''.join(f'    l{i}: \"x\"\\n' for i in range(900_000))", NODES),
    "many wrong labels": (
        "HEAD + '  labels:\\n' + ''.join(f'    -l{i}: \"x\"\\n' for i in range(9_900)) + 'spec: {}'",
        TOO_MANY,
    ),
    "many tags": ("HEAD + '  tags: [' + 'a,' * (7 * M) + ']\\nspec: {}'", NODES),
    "many wrong tags": ("HEAD + '  tags: [' + '1,' * (7 * M) + ']\\nspec: {}'", TOO_MANY),
    "no kind in sight": ("''.join(f'l{i}: \"x\"\\n' for i in range(900_000))", NODES),
    "brackets": ("'[' * (15 * M)", DEEP),
    "brackets in a manifest": ("HEAD + 'spec: ' + '[' * (15 * M)", DEEP),
    "braces": ("'{a: ' * (3 * M)", DEEP),
    "brackets and questions": ("'[? ' * (5 * M)", DEEP),
    "dashes": ("'- ' * (7 * M)", DEEP),
    "questions": ("'? ' * (7 * M)", DEEP),
    "indentation": ("''.join(' ' * i + 'a:\\n' for i in range(4000))", DEEP),
    "deep anchors": ("'[&a ' * (3 * M)", DEEP),
    "an alias bomb": (f"HEAD + {BOMB}", "has aliases that repeat more than 10000 nodes in one document"),
    "an alias many times": ("HEAD + '  tags: [&x \"a\", ' + '*x,' * 300_000 + ']\\nspec: {}'", "has aliases"),
    "many anchors": ("HEAD + '  tags: [' + ','.join(f'&a{i} x' for i in range(400_000)) + ']\\nspec: {}'", NODES),
    "many tag declarations": ("''.join(f'%TAG !a{i}! tag:x\\n' for i in range(300_000)) + '---\\na'", "declares"),
    "many empty documents": ("'---\\n' * (4 * M)", "there are more than 100000 documents"),
    "many right documents": (
        "'---\\n'.join(HEAD + f'spec: {{version: \"{i % 3 + 15}\"}}\\n' for i in range(112_000))",
        "there are more than 100000 documents",
    ),
    "many documents, right and wrong": ("'---\\na: b\\n' * M", "there are more than 100000 documents"),
    "many wrong documents": ("'---\\na: b\\n' * 90_000", TOO_MANY),
    "many documents that cannot be read": ("'--- [\\n' * 90_000", "has too many documents that cannot be read"),
    "comments": ("'#' * (15 * M)", "has no document in it"),
    "lines": ("'\\n' * (15 * M)", "has no document in it"),
    "spaces": ("' ' * (15 * M)", "has no document in it"),
    "tabs": ("'\\t' * (15 * M)", "is not valid YAML: found character that cannot start any token"),
    "NUL bytes": ("b'\\0' * (15 * M)", "holds a NUL character"),
    "bad UTF-8": ("b'a: ' + b'\\xc3' * (15 * M)", "is not valid UTF-8"),
    "control characters": ("'\\x07' * (15 * M)", "holds a control character"),
}  # fmt: skip

JSON_CASES: dict[str, tuple[str, str]] = {
    "brackets": ("'[' * (15 * M)", DEEP),
    "objects": ("'{\"a\":' * (2 * M)", DEEP),
    "a list of objects": ("'[' + ','.join(['{}'] * (4 * M)) + ']'", TOO_MANY),
    "objects in a row": ("'{}' * (7 * M)", TOO_MANY),
    "a string": ("'{\"a\":\"' + 'x' * (15 * M) + '\"}'", "is larger than 1 MiB"),
    "an open string": ("'{\"a\":\"' + 'x' * (15 * M)", "is not valid JSON: unterminated string starting at"),
    "a number": ("'{\"a\":' + '1' * (15 * M)", "is not valid JSON"),
    "spaces": ("'[' + ' ' * (15 * M)", "is not valid JSON: the list is not closed"),
    "many keys": ("'{' + ','.join(f'\"k{i}\":1' for i in range(900_000)) + '}'", NODES),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_yaml(name: str) -> None:
    judge(*CASES[name], "<text>")


@pytest.mark.slow
@pytest.mark.parametrize("name", JSON_CASES)
def test_json(name: str) -> None:
    judge(*JSON_CASES[name], "a.json")


def judge(expression: str, message: str, file: str) -> None:
    found = measure(expression, file)
    assert found["last"][0].startswith(message), found
    assert found["count"] <= 1001
    assert found["length"] < 400_000
    assert found["seconds"] < SECONDS, found
    assert found["peak"] < MEGABYTES, found


@pytest.mark.slow
def test_ten_thousand_manifests_in_little_memory() -> None:
    """Every field of ten thousand databases, within 150 MB for the whole process."""
    program = """
from planton.manifest import loads
TEXT = '''apiVersion: kubernetes.project-planton.org/v1
kind: PostgresKubernetes
metadata:
  name: db%d
spec:
  container:
    replicas: 2
    disk_size: "10Gi"
  backup_config:
    s3_prefix: "my-bucket/custom/path/$(PGVERSION)"
    backup_schedule: "0 3 * * *"
    enable_backup: true
    enable_restore: true
    enable_clone: true
'''
print(len(loads("---\\n".join(TEXT % number for number in range(10_000)))))
with open("/proc/self/status") as status:
    print(next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) // 1024)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    count, megabytes = map(int, done.stdout.split())
    assert count == 10_000
    assert megabytes < 150
