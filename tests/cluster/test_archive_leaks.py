"""What looks into archives, tries them out and makes backups prints, logs and writes down no credential.

The four ways of giving one, in two databases, over a real store; and a script in the pod that prints its whole
environment.
"""

from __future__ import annotations

import json
import logging
import secrets
import traceback
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import planton
from planton.catalogue.bucket import open_bucket
from planton.cli import main
from planton.cluster import DeleteOptions
from planton.translate.secret_values import Credentials
from sandbox.object_store import ObjectStore
from tests.api import Api
from tests.catalogue.archives import Archive
from tests.cluster.backup_pod import BackupPod
from tests.cluster.conftest import Installed
from tests.cluster.kubelet import kubelet
from tests.cluster.patroni import create_pod, pod, told
from tests.cluster.test_delete import made
from tests.e2e.leaks import Hunter
from tests.manifests import database

pytestmark = pytest.mark.cluster

FIELDS = ("access_key_id", "secret_access_key", "libsodium")
# A key of encryption is never written down in a manifest.
WAYS = (("value", "value", "environment_variable"), ("secret", "file", "secret"))


class Seen:
    """Runs things and keeps what they say.

    Attributes:
        hunter: Knows every credential.
        texts: What it was -> what was said.
    """

    def __init__(self, hunter: Hunter, capsys: pytest.CaptureFixture[str], kubeconfig: Path) -> None:
        self.hunter, self.texts = hunter, dict[str, str]()
        self._capsys, self._kubeconfig = capsys, str(kubeconfig)

    def command(self, code: int | None, *arguments: str) -> str:
        self._capsys.readouterr()
        ended = main([*arguments, "--kubeconfig", self._kubeconfig])
        captured = self._capsys.readouterr()
        text = captured.out + captured.err
        self.texts[" ".join(arguments)] = text
        # pytest would show it, and the log of a test is a log.
        assert code in (None, ended), text if not self.hunter.find(text) else "<output with credentials>"
        return text

    def printed(self, what: str, *values: object) -> None:
        self.texts[what] = "\n".join(text for one in values for text in (repr(one), str(one)))

    def failure(self, what: str, work: Callable[[], object]) -> str:
        try:
            work()
        except planton.PlantonError as error:
            self.texts[what] = "\n".join([traceback.format_exc(), str(error), repr(vars(error))])
            return str(error)
        raise AssertionError(f"{what}: nothing failed")

    @property
    def leaks(self) -> dict[str, set[str]]:
        return {what: found for what, text in self.texts.items() if (found := self.hunter.find(text))}


@pytest.fixture
def seen(installed: Installed, object_store: ObjectStore, capsys: pytest.CaptureFixture[str]) -> Seen:
    hunter = Hunter()
    for label in ("access_key_id", "secret_access_key"):
        value = getattr(object_store, label)
        hunter._known(label, value, value)
    return Seen(hunter, capsys, installed.sandbox.kubeconfig)


def fill(store: ObjectStore, bucket: str) -> None:
    archive = Archive()
    start = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=1)
    archive.run(1, 12, start, step=timedelta(minutes=5))
    archive.backup(2, start + timedelta(minutes=7), version=170002)
    archive.write(store.folder / "data" / bucket / "backups" / f"db-{bucket}" / "17")


@pytest.fixture(params=WAYS, ids=["written-down", "elsewhere"])
def manifest(
    request: pytest.FixtureRequest,
    installed: Installed,
    object_store: ObjectStore,
    seen: Seen,
    name: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> str:
    """A database with a store, keys and a key of encryption of its own."""
    ways = dict(zip(FIELDS, request.param, strict=True))
    object_store.create_bucket(name)
    sodium = seen.hunter.libsodium("libsodium", "hex")
    values = {
        "access_key_id": object_store.access_key_id,
        "secret_access_key": object_store.secret_access_key,
        "libsodium": sodium,
    }
    vault = f"vault-{name}"
    if "secret" in ways.values():
        installed.api.request("POST", "/api/v1/namespaces", {"metadata": {"name": vault}})
        secret = {"metadata": {"name": "vault"}, "stringData": values}
        installed.api.request("POST", f"/api/v1/namespaces/{vault}/secrets", secret)

    def given(field: str) -> str:
        form = ways[field]
        if form == "value":
            return json.dumps({"value": values[field]})
        if form == "file":
            (tmp_path / field).write_text(values[field] + "\n")
            return json.dumps({"file": str(tmp_path / field)})
        if form == "secret":
            return json.dumps({"secret": {"name": "vault", "key": field, "namespace": vault}})
        monkeypatch.setenv(f"THE_{field.upper()}", values[field])
        return json.dumps({"environment_variable": f"THE_{field.upper()}"})

    monkeypatch.setenv("PLANTON_DEBUG", "1")
    return f"""
    enable_backup: true
    storage:
      bucket_name: {name}
      s3_compatible: {{endpoint: "{object_store.endpoint}", region: {object_store.region}}}
    credentials:
      access_key_id: {given("access_key_id")}
      secret_access_key: {given("secret_access_key")}
    encryption:
      libsodium: {{key: {given("libsodium")}, transform: hex}}
    """


def test_no_verb_says_a_credential(
    installed: Installed,
    object_store: ObjectStore,
    seen: Seen,
    manifest: str,
    name: str,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # The client of Kubernetes sets the level of urllib3, and not that of its parts.
    for logger in (None, "urllib3.connectionpool", "websocket", "client", "kubernetes.client.rest"):
        caplog.set_level(logging.DEBUG, logger=logger)
    # What is not there at once does not come here.
    monkeypatch.setattr("planton.cluster.backups.backup_now._LAST_LOOKS", (0.0,))
    text = made(installed, name, backup=manifest)
    fill(object_store, name)
    path = tmp_path / "set.yaml"
    path.write_text(text)
    resource = f"db-{name}"
    for form in ("table", "json", "yaml"):
        for where in (["-f", str(path), "--live"], ["-n", name]):
            seen.command(0, "backups", "list", name, "-o", form, *where)
            seen.command(0, "backups", "show", name, "-o", form, *where)
            seen.command(0, "backups", "show", name, "LATEST", "-o", form, *where)
            # Its WAL is not encrypted with this key, or not at all: whatever is said of that has no key in it.
            seen.command(None, "backups", "window", name, "-o", form, *where)
        seen.command(0, "check", "-o", form, "-f", str(path), "--live")
    for form in ("table", "json", "yaml"):
        seen.command(None, "status", "-o", form, "-f", str(path))
    look_with_other_keys(installed, seen, text, name)
    make_backups(installed, object_store, seen, path, name, resource, tmp_path)
    clone_and_delete(installed, seen, text, path, name, tmp_path)
    seen.texts["log"] = caplog.text
    assert "/api/v1/" in seen.texts["log"]
    assert seen.leaks == {}
    api = Api(installed.sandbox.kubeconfig)
    objects = [one for one in api.everything() if name in json.dumps(one["metadata"]) or one["kind"] == "ConfigMap"]
    record = next(one for one in objects if one["metadata"]["name"] == "planton-archives")
    assert f"db-{name}" in json.dumps(record)
    assert not seen.hunter.find(*(json.dumps(one) for one in objects if one["kind"] != "Secret"))
    metadata = [json.dumps(one["metadata"]) for one in objects if one["kind"] == "Secret"]
    assert metadata
    assert not seen.hunter.find(*metadata)


def look_with_other_keys(installed: Installed, seen: Seen, text: str, name: str) -> None:
    """Values that hold keys, and what a store says to keys that are wrong."""
    archive = installed.cluster.archive(name, manifests=planton.loads(text))
    live = installed.cluster.archive(name)
    access = live.access
    bucket = live.open()
    seen.printed("an archive", archive, live, access, archive.access, bucket, access.contents, [live], {"x": access})
    catalogue = live.catalogue()
    seen.printed("a catalogue", catalogue, catalogue.current, live.latest())
    assert seen.hunter.find(*access.contents.reveal().values())
    known = dict(access.contents.reveal())
    wrong = {**known, "AWS_SECRET_ACCESS_KEY": secrets.token_urlsafe(30)}
    other = {**known, "AWS_ACCESS_KEY_ID": known["AWS_SECRET_ACCESS_KEY"]}
    for what, contents in (("wrong secret", wrong), ("secret for an id", other)):
        reached = replace(access, contents=Credentials(contents))
        seen.failure(what, lambda reached=reached: list(open_bucket(reached).pages()))  # type: ignore[misc]


def make_backups(
    installed: Installed,
    object_store: ObjectStore,
    seen: Seen,
    path: Path,
    name: str,
    resource: str,
    tmp_path: Path,
) -> None:
    """A script that prints all of its environment, as programs do when they fail; then it fails."""
    home = tmp_path / "container"
    home.mkdir()
    container = BackupPod(home)
    access = installed.cluster.archive(name).access
    settings = {**access.environment, **access.contents.reveal(), "WALG_S3_PREFIX": access.prefix}
    for variable, value in settings.items():
        container.setting(variable, value)
    dump = "env\nenv | tr '\\n' ' '\necho \"ERROR: $WALG_LIBSODIUM_KEY\" >&2\n"
    account = {"metadata": {"name": "default"}}
    installed.api.request("POST", f"/api/v1/namespaces/{name}/serviceaccounts", account)
    with kubelet(installed.api, f"node-{name}", container.path, home):
        container.push_to_store()
        script = container.home / "postgres_backup.sh"
        script.write_text(script.read_text().replace('echo "producing', f'{dump}echo "producing'))
        create_pod(installed.api, pod(name, resource, status=told(), node=f"node-{name}"))
        said = seen.command(0, "backups", "create", name, "-n", name, "--timeout", "2m")
        assert "is in the archive" in said
        container.script(f"{dump}exit 1")
        said = seen.command(1, "backups", "create", name, "-f", str(path), "--live", "--timeout", "2m")
        assert "AWS_SECRET_ACCESS_KEY=<hidden>" in said
        messages, chosen = planton.load(path), DeleteOptions(databases=(name,), last_backup=True)
        said = seen.failure("last backup", lambda: installed.cluster.delete(messages, options=chosen))
        assert "no last base backup was made, so nothing was deleted" in said
        assert seen.hunter.find(said) == set()
        assert "AWS_SECRET_ACCESS_KEY=<hidden>" in said
    installed.api.request("DELETE", f"/api/v1/namespaces/{name}/pods/{resource}-0", {"gracePeriodSeconds": 0})


def clone_and_delete(installed: Installed, seen: Seen, text: str, path: Path, name: str, tmp_path: Path) -> None:
    clone = f"clone:\n  source: {{database: {{name: {name}, namespace: {name}}}}}\n"
    copy = tmp_path / "clone.yaml"
    copy.write_text(database(f"{name}c", spec=clone))
    # Refused or not: what counts is what is said.
    for arguments in (["plan"], ["plan", "-o", "json", "--skip-check"], ["apply", "--skip-check"]):
        seen.command(None, *arguments, "-f", str(copy))
    there: dict[str, Any] = installed.database(f"{name}c")
    assert there["metadata"]["annotations"]["planton.ai/restored-from"]
    written = tmp_path / "restored.yaml"
    restore = ["restore", name, "-n", name, "--to", "latest", "--as", f"{name}r", "--output-file", str(written)]
    seen.command(1, *restore, "--no-apply")
    for where in ([], ["-f", str(path)]):
        seen.command(0, *restore, "--no-apply", "--skip-check", *where)
        seen.texts[f"the restoring manifest {where}"] = written.read_text()
        written.unlink()
    seen.command(0, *restore, "--yes", "--skip-check")
    written = tmp_path / "restore.yaml"
    seen.command(0, "delete", "-f", str(path), "--yes-delete", name, "--write-restore", str(written))
    seen.texts["the written manifest"] = written.read_text()
    assert "clone:" in seen.texts["the written manifest"]
