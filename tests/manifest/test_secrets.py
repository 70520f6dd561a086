"""No value ever stands in an error, wherever it is and whatever is wrong with it."""

from __future__ import annotations

import json
import stat
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planton.errors import ManifestError
from planton.manifest import dump, dumps, loads, prepare, violations
from planton.manifest.redaction import without_credentials
from planton.rendering import render
from planton.types import Resource
from tests.manifest.support import DATABASE, DATABASE_HEAD, OPERATOR, OPERATOR_HEAD, everything_told, operator
from tests.thorough import examples

SECRET = "hunter2/SENTINEL+value"


def said(text: str | bytes, file: str = "<text>") -> str:
    with pytest.raises(ManifestError) as caught:
        loads(text, file=file)
    error = caught.value
    return f"{error}{error!r}{error.problems!r}" + "".join(traceback.format_exception_only(error))


FORMS = [
    SECRET,
    f'"{SECRET}"',
    f"[{SECRET}]",
    f"{{a: {SECRET}}}",
    f"{{{SECRET}: a}}",
    f"!{SECRET} a",
    f"&{SECRET.replace('+', '')} a",
    f"*{SECRET.replace('+', '')}",
    f'"{SECRET}',
    f"'{SECRET}",
    f"{SECRET}: a: b",
    f'"{SECRET}\\q"',
    f'"{SECRET}\\ud800"',
    f"@{SECRET}",
    f"{SECRET}\x07",
    f"{SECRET}\0",
    f"{SECRET}\ud800",
    f"%{SECRET}",
    f"|{SECRET}",
    f"{SECRET} # {SECRET}",
]
PLACES = [
    OPERATOR.replace("AKIDSENTINEL", "%s").replace('"%s"', "%s"),
    OPERATOR.replace('"0 2 * * *"', "%s"),
    OPERATOR.replace('"abc123"', "%s"),
    OPERATOR + "    enable_wal_g_backup: %s\n",
    OPERATOR.replace("name: postgres-operator", "name: %s"),
    OPERATOR.replace("kind: PostgresOperatorKubernetes", "kind: %s"),
    OPERATOR.replace("kubernetes.project-planton.org/v1", "%s"),
    OPERATOR + "  target_cluster: {kubernetes_cluster_selector: {cluster_kind: %s}}\n",
    OPERATOR.replace("    backup_schedule", "    %s\n    backup_schedule"),
    DATABASE.replace("spec: {}", "  labels: {a: %s}\nspec: {}"),
    DATABASE.replace("spec: {}", "  tags:\n  - %s\nspec: {replicas: 1}"),
    DATABASE.replace("{}", "{backup_config: {s3_prefix: %s}}"),
    DATABASE.replace("{}", "{container: {replicas: %s}}"),
    DATABASE.replace("{}", "{container: {disk_size: %s}}"),
    DATABASE.replace("{}", "{ingress: {enabled: true, dns_domain: %s, allowed_source_ranges: [%s]}}"),
    DATABASE.replace("{}", "%s"),
    "%s",
    "- %s",
    "%s: a",
]


@pytest.mark.parametrize("place", range(len(PLACES)))
@pytest.mark.parametrize("form", range(len(FORMS)))
def test_a_secret_in_any_place_in_any_form(place: int, form: int) -> None:
    template = PLACES[place]
    # The document behind it makes sure that there is an error.
    text = template.replace("%s", FORMS[form]) + "\n---\nnothing: true\n"
    for file in ("<text>", "a.json"):
        assert "SENTINEL" not in said(text, file)
        assert "hunter2" not in said(text, file)


def test_bytes_that_are_no_text() -> None:
    assert "SENTINEL" not in said(f"a: {SECRET}".encode() + b"\xff")
    assert "SENTINEL" not in said(f"a: {SECRET}".encode("utf-16"))


def test_values_that_break_rules() -> None:
    message = operator(OPERATOR)
    config = message.spec.backup_config
    for name in ("cloudflare_account_id", "bucket_name", "access_key_id", "secret_access_key"):
        setattr(config.r2_config, name, f" {SECRET}\n")
    config.s3_prefix_template = config.backup_schedule = SECRET
    message.metadata.name = message.metadata.org = message.metadata.labels[SECRET] = SECRET
    message.spec.container.resources.limits.cpu = SECRET
    message.spec.operator_version = SECRET
    found = violations([message])
    assert len(found) >= 10
    assert "SENTINEL" not in repr(found)


def test_reprs() -> None:
    loaded = loads(OPERATOR)
    assert "SENTINEL" not in repr(loaded) + str(loaded)
    assert "SENTINEL" not in dumps(loaded, redact=True)


SETTINGS = """\
  operator_settings:
    scalyr_api_key: "SENTINEL"
    resync_period: "10m"
    SENTINEL/name+: "x"
"""


@pytest.mark.parametrize("form", ["yaml", "json"])
def test_settings_whose_names_look_like_keys_are_masked(form: Literal["yaml", "json"]) -> None:
    loaded = loads(OPERATOR + SETTINGS)
    text = dumps(loaded, format=form, redact=True)
    assert "SENTINEL" not in text
    assert "10m" in text
    assert loads(dumps(loaded, format=form)) == loaded


def test_a_new_file_with_such_a_setting_is_private(tmp_path: Path) -> None:
    message = operator(OPERATOR + SETTINGS)
    message.spec.ClearField("backup_config")
    dump(message, tmp_path / "a.yaml")
    assert stat.S_IMODE((tmp_path / "a.yaml").stat().st_mode) == 0o600


def test_a_copy_without_credentials() -> None:
    message = operator(OPERATOR + SETTINGS)
    before = message.SerializeToString()
    copy = without_credentials(message)
    assert message.SerializeToString() == before
    assert "SENTINEL" not in str(copy)
    assert copy.spec.backup_config.r2_config.bucket_name == "postgres-backups"
    assert dict(copy.spec.operator_settings) == {"resync_period": "10m"}
    # Nobody applies it by mistake.
    assert {problem.path for problem in violations([copy])} == {
        "spec.backup_config.r2_config.access_key_id",
        "spec.backup_config.r2_config.secret_access_key",
    }


def test_a_setting_that_does_not_look_like_a_name_is_not_printed() -> None:
    for name in ("SENTINEL/name+", "a1b2c3d4e5f6SENTINEL", "x" * 40 + "SENTINEL"):
        with pytest.raises(ManifestError) as caught:
            render(loads(f'{OPERATOR}  operator_settings:\n    {name}: "x"\n'))
        (problem,) = caught.value.problems
        assert "SENTINEL" not in f"{problem}{caught.value!r}"
        assert problem.origin.line == OPERATOR.count("\n") + 2


def test_tracebacks_with_their_local_variables() -> None:
    def wrong() -> list[Resource]:
        message = operator(OPERATOR)
        message.metadata.name = "-"
        return [message]

    calls: list[Callable[[], object]] = [lambda: loads(f"{OPERATOR}wrong: x"), lambda: prepare(wrong())]
    for call in calls:
        with pytest.raises(ManifestError) as caught:
            call()
        told = "".join(traceback.TracebackException.from_exception(caught.value, capture_locals=True).format())
        assert "SENTINEL" not in told


BACKUP_FIELDS = [
    "r2_config.access_key_id",
    "r2_config.secret_access_key",
    *(
        f"{place}.{form}"
        for place in (
            "credentials.access_key_id",
            "credentials.secret_access_key",
            "storage.certificate_authority",
            "encryption.libsodium.key",
            "encryption.pgp.key",
            "encryption.pgp.passphrase",
        )
        for form in ("value", "environment_variable", "file", "secret.name", "secret.key", "secret.namespace", "wrong")
    ),
    "encryption.libsodium.transform",
    "storage.proxy.url",
    "storage.s3_compatible.endpoint",
    "credentials.cloud_identity.aws_role_arn",
]


@pytest.mark.parametrize("value", ["SENTINEL key\n", "SENTINEL/+", ["SENTINEL"], {"SENTINEL+a/b": "SENTINEL"}])
@pytest.mark.parametrize("path", BACKUP_FIELDS)
def test_a_secret_in_any_field_of_backup_config(path: str, value: object) -> None:
    config: dict[str, Any] = {}
    place = config
    *above, last = path.split(".")
    for step in above:
        place = place.setdefault(step, {})
    place[last] = value
    spec = f"spec: {json.dumps({'backup_config': config})}\n"
    for kind, text in (("operator", f"{OPERATOR_HEAD}{spec}"), ("database", f"{DATABASE_HEAD}{spec}")):
        # The document behind it makes sure that there is an error.
        with pytest.raises(ManifestError) as caught:
            loads(text + "---\nnothing: true\n")
        assert "SENTINEL" not in everything_told(caught.value), kind


@settings(max_examples=examples(200), deadline=None)
@given(st.text(st.sampled_from(list("SENTINEL:{}[]\"'&*!|>-?#%@,\n \t\\")), min_size=1, max_size=30))
def test_keys_and_values_of_any_shape(noise: str) -> None:
    body = "".join(f"  {line}\n" for line in f"{noise}{SECRET}{noise}".splitlines())
    text = f"{DATABASE.replace('spec: {}', 'spec:')}{body}\n---\nnothing: true\n"
    assert SECRET not in said(text)
