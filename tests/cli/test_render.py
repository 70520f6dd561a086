"""`planton render`."""

from __future__ import annotations

import base64
import json
import sys

import pytest
import yaml

import planton
from planton.cli import main
from planton.cli.render import masked
from planton.sensitive import HIDDEN
from tests.cli.support import on_terminal
from tests.manifests import ACCESS_KEY, SECRET_KEY

FORMS = [form for key in (ACCESS_KEY, SECRET_KEY) for form in (key, base64.b64encode(key.encode()).decode())]


def test_yaml_is_what_the_library_renders_with_secrets_masked(
    capsys: pytest.CaptureFixture[str], manifests: str
) -> None:
    assert main(["render", "-f", manifests]) == 0
    captured = capsys.readouterr()
    objects = list(yaml.safe_load_all(captured.out))
    assert objects == [masked(item) for item in planton.render(planton.load(manifests))]
    secrets = [item for item in objects if item["kind"] == "Secret"]
    assert len(secrets) == 3
    for secret in secrets:
        assert secret["data"] == {"AWS_ACCESS_KEY_ID": HIDDEN, "AWS_SECRET_ACCESS_KEY": HIDDEN}
    assert "values of 3 Secrets are masked" in captured.err
    assert not [form for form in FORMS if form in captured.out + captured.err]


def test_json_is_one_list(capsys: pytest.CaptureFixture[str], manifests: str) -> None:
    assert main(["render", "-f", manifests, "-o", "json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert (data["apiVersion"], data["kind"]) == ("v1", "List")
    assert data["items"] == [masked(item) for item in planton.render(planton.load(manifests))]


@pytest.mark.parametrize("output", ["yaml", "json"])
def test_secrets_when_asked_for(capsys: pytest.CaptureFixture[str], manifests: str, output: str) -> None:
    assert main(["render", "-f", manifests, "--show-secrets", "-o", output]) == 0
    captured = capsys.readouterr()
    loaded = json.loads(captured.out)["items"] if output == "json" else list(yaml.safe_load_all(captured.out))
    assert loaded == list(planton.render(planton.load(manifests)))
    assert captured.err == ""


def test_secrets_on_a_terminal_are_warned_about(monkeypatch: pytest.MonkeyPatch, manifests: str) -> None:
    terminal = on_terminal(monkeypatch)
    assert main(["render", "-f", manifests, "--show-secrets"]) == 0
    assert "on this screen in clear" in terminal.text


def test_a_mask_is_refused_by_whoever_takes_it_for_data() -> None:
    with pytest.raises(ValueError, match="base64"):
        base64.b64decode(HIDDEN, validate=True)


def test_masking_changes_nothing_else() -> None:
    secret = {"apiVersion": "v1", "kind": "Secret", "data": {"a": "eA=="}, "stringData": {"b": "x"}}
    assert masked(secret) == {**secret, "data": {"a": HIDDEN}, "stringData": {"b": HIDDEN}}
    assert secret["data"] == {"a": "eA=="}
    configuration = {"kind": "ConfigMap", "data": {"a": "b"}}
    assert masked(configuration) is configuration


def test_neither_render_nor_validate_imports_the_client(manifests: str) -> None:
    import subprocess

    from tests.cli.support import environment

    script = "import sys\nfrom planton.cli import main\nmain(sys.argv[1:])\nprint(*sys.modules, file=sys.stderr)"
    for verb in ("render", "validate", "env"):
        arguments = [verb, "orders", "-f", manifests] if verb == "env" else [verb, "-f", manifests]
        done = subprocess.run(
            [sys.executable, "-c", script, *arguments],
            capture_output=True,
            text=True,
            timeout=60,
            env=environment(),
            check=True,
        )
        modules = set(done.stderr.splitlines()[-1].split())
        assert "planton.manifest" in modules
        assert not modules & {"kubernetes", "urllib3", "planton.cluster", "shtab", "asyncio"}
