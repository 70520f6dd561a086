"""No value ever stands in an error, wherever it is and whatever is wrong with it."""

from __future__ import annotations

import traceback

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planton.errors import ManifestError
from planton.manifest import dumps, loads, violations
from tests.manifest.support import DATABASE, OPERATOR, operator

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


@settings(max_examples=200, deadline=None)
@given(st.text(st.sampled_from(list("SENTINEL:{}[]\"'&*!|>-?#%@,\n \t\\")), min_size=1, max_size=30))
def test_keys_and_values_of_any_shape(noise: str) -> None:
    body = "".join(f"  {line}\n" for line in f"{noise}{SECRET}{noise}".splitlines())
    text = f"{DATABASE.replace('spec: {}', 'spec:')}{body}\n---\nnothing: true\n"
    assert SECRET not in said(text)
