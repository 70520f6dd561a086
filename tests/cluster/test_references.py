"""What references lead to: resolved just before a Secret is written, refused with a reason, and never shown."""

from __future__ import annotations

import base64
import contextlib
import os
import socket
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import planton
from planton.cluster import connect
from planton.cluster.api.server import Server
from planton.cluster.planning.references import UnresolvedError, resolve, secret_value
from planton.errors import ClusterError, ManifestError
from planton.manifest import Manifests, prepare
from planton.translate.secret_values import Reference
from sandbox import ApiError
from tests.cluster.conftest import Installed
from tests.cluster.objects import Object
from tests.manifests import database

KEY_ID, SECRET_KEY = "SENTINEL-reference-id", "SENTINEL-reference/secret+1"


def both(first: str, second: str = "environment_variable: TEST_SECRET") -> str:
    return f"credentials: {{access_key_id: {{{first}}}, secret_access_key: {{{second}}}}}"


def messages(first: str, second: str = "environment_variable: TEST_SECRET") -> Manifests:
    return prepare(planton.loads(database("orders", backup=both(first, second))))


def refused(error: BaseException) -> str:
    """Gives all that a person could see of an error; no key is in it."""
    text = "".join(traceback.format_exception(error)) + repr(error) + repr(vars(error))
    for key in (KEY_ID, SECRET_KEY):
        assert key not in text
        assert base64.b64encode(key.encode()).decode() not in text
    return str(error)


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_ID", KEY_ID)
    monkeypatch.setenv("TEST_SECRET", SECRET_KEY)
    monkeypatch.setenv("TEST_EMPTY", "")
    monkeypatch.setenv("TEST_BLANK", " \t\n ")
    monkeypatch.delenv("TEST_ABSENT", raising=False)


def test_an_environment_variable() -> None:
    found = resolve(None, messages("environment_variable: TEST_ID"))
    assert found.get(Reference("environment variable", "TEST_ID")) == KEY_ID
    assert KEY_ID not in repr(found) + str(found)


@pytest.mark.parametrize("name", ["TEST_ABSENT", "TEST_EMPTY", "TEST_BLANK"])
def test_an_environment_variable_without_a_value(name: str) -> None:
    with pytest.raises(ManifestError) as raised:
        resolve(None, messages(f"environment_variable: {name}"))
    assert f"environment variable {name}, which is not set here, or is empty" in refused(raised.value)


@pytest.mark.parametrize("content", [KEY_ID, f"{KEY_ID}\n", f"{KEY_ID} \r\n\n"])
def test_a_file(tmp_path: Path, content: str) -> None:
    file = tmp_path / "key"
    file.write_bytes(content.encode())
    found = resolve(None, messages(f'file: "{file}"'))
    assert (found.get(Reference("file", str(file))) or "").rstrip() == KEY_ID


def test_a_file_that_is_a_link(tmp_path: Path) -> None:
    (tmp_path / "key").write_text(KEY_ID)
    (tmp_path / "link").symlink_to("key")
    found = resolve(None, messages(f'file: "{tmp_path / "link"}"'))
    assert found.get(Reference("file", str(tmp_path / "link"))) == KEY_ID


@pytest.mark.parametrize(("name", "more"), [("keys/id", ""), ("~/id", "; ~ stands for no home folder here")])
def test_a_file_that_is_looked_for_where_planton_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, more: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ManifestError) as raised:
        resolve(None, messages(f'file: "{name}"'))
    assert refused(raised.value).endswith(
        f"file {name}, which cannot be read: No such file or directory "
        f"(looked for in {tmp_path}, where planton runs{more})"
    )
    with pytest.raises(ManifestError) as raised:
        resolve(None, messages(f'file: "{tmp_path}/id"'))
    assert refused(raised.value).endswith("No such file or directory")


def _directory(file: Path) -> None:
    file.mkdir()


BAD_FILES: dict[str, tuple[Callable[[Path], object], str]] = {
    "missing": (lambda file: None, "cannot be read: No such file or directory"),
    "directory": (_directory, "cannot be read: Is a directory"),
    "empty": (lambda file: file.write_text(""), "is empty"),
    "blank": (lambda file: file.write_text(" \n\t\n"), "is empty"),
    "too long": (lambda file: file.write_text(KEY_ID * 4096), "longer than 64 KiB"),
    "no text": (lambda file: file.write_bytes(KEY_ID.encode() + b"\xff\xfe"), "is no text"),
    "a link to nothing": (lambda file: file.symlink_to("nowhere"), "cannot be read: No such file or directory"),
    "a link to itself": (lambda file: file.symlink_to(file.name), "cannot be read: Too many levels of symbolic links"),
}


@pytest.mark.parametrize("kind", list(BAD_FILES))
def test_a_file_that_cannot_be_used(tmp_path: Path, kind: str) -> None:
    make, reason = BAD_FILES[kind]
    file = tmp_path / "key"
    make(file)
    with pytest.raises(ManifestError) as raised:
        resolve(None, messages(f'file: "{file}"'))
    text = refused(raised.value)
    assert f"file {file}" in text
    assert reason in text


@contextlib.contextmanager
def as_nobody() -> Iterator[None]:
    """Is somebody who may not read everything, for a moment: tests often run as root."""
    if os.geteuid():
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def test_a_file_that_may_not_be_read(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text(KEY_ID)
    file.chmod(0)
    with as_nobody(), pytest.raises(ManifestError) as raised:
        resolve(None, messages(f'file: "{file}"'))
    assert "cannot be read: Permission denied" in refused(raised.value)


@pytest.mark.parametrize(("content", "reason"), [(KEY_ID, ""), (KEY_ID * 4096, "longer than 64 KiB"), ("", "is empty")])
def test_a_pipe(tmp_path: Path, content: str, reason: str) -> None:
    """As a shell's process substitution gives it: it has no size, and can be read once."""
    file = tmp_path / "pipe"
    os.mkfifo(file)

    def write() -> None:
        with contextlib.suppress(BrokenPipeError), file.open("w") as stream:
            stream.write(content)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        if reason:
            with pytest.raises(ManifestError) as raised:
                resolve(None, messages(f'file: "{file}"'))
            assert reason in refused(raised.value)
        else:
            # Both keys refer to it: it is read once.
            found = resolve(None, messages(f'file: "{file}"', f'file: "{file}"'))
            assert found.get(Reference("file", str(file))) == KEY_ID
    finally:
        writer.join()


def test_a_pipe_that_nobody_writes_to(tmp_path: Path) -> None:
    file = tmp_path / "pipe"
    os.mkfifo(file)
    found: list[str] = []

    def read() -> None:
        with pytest.raises(ManifestError) as raised:
            resolve(None, messages(f'file: "{file}"'))
        found.append(refused(raised.value))

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    reader.join(10)
    assert not reader.is_alive(), "it waits for ever"
    assert "a pipe, which is empty, or which nobody writes to" in found[0]


def test_a_process_substitution() -> None:
    """The shell has both sides open; what writes may take its time."""
    reading, writing = os.pipe()

    def write() -> None:
        time.sleep(0.3)
        os.write(writing, KEY_ID.encode())
        os.close(writing)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        found = resolve(None, messages(f'file: "/dev/fd/{reading}"'))
        assert found.get(Reference("file", f"/dev/fd/{reading}")) == KEY_ID
    finally:
        writer.join()
        os.close(reading)


def test_a_socket_and_nothing(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "socket"))
        with pytest.raises(ManifestError, match="cannot be read: "):
            resolve(None, messages(f'file: "{tmp_path / "socket"}"'))
    with pytest.raises(ManifestError, match="is empty"):
        resolve(None, messages('file: "/dev/null"'))


def test_a_key_in_the_place_of_a_name_is_not_shown() -> None:
    key = "SENTINEL" + "AKIAZ7Z7Z7Z7"
    with pytest.raises(ManifestError) as raised:
        resolve(None, messages(f"environment_variable: {key}"))
    text = refused(raised.value)
    assert key not in text
    assert "spec.backup_config.credentials.access_key_id: refers to environment variable …" in text
    assert "which is not set here, or is empty" in text
    for secret, reference in (
        (None, Reference("Secret", "vault/3f8a91c07de24b563f8a91c07de24b56", "id")),
        ({"data": {}}, Reference("Secret", "vault/bucket", "3f8a91c07de24b563f8a91c07de24b56")),
    ):
        with pytest.raises(UnresolvedError) as missing:
            secret_value(secret, reference)
        assert "3f8a" not in str(missing.value)
        assert "Secret vault/" in str(missing.value)


@pytest.mark.parametrize(
    "key", ["wJalrXUtnFEMI/K7MDENG/bPxRfiCYSENTINEL12", "AKIAZ7SENTINEL7Z7Z7Z", "Tr0ub4dor&3-SENTINEL!"]
)
def test_a_key_in_the_place_of_a_path_is_not_shown(key: str) -> None:
    with pytest.raises(ManifestError) as raised:
        resolve(None, messages(f'file: "{key}"'))
    text = refused(raised.value)
    assert "SENTINEL" not in text
    assert "access_key_id: refers to file … (a name is not shown" in text
    assert "which cannot be read: No such file or directory" in text


def test_a_device_without_end() -> None:
    with pytest.raises(ManifestError, match="longer than 64 KiB"):
        resolve(None, messages('file: "/dev/zero"'))


def test_all_errors_at_once_with_file_and_line(tmp_path: Path) -> None:
    file = tmp_path / "databases.yaml"
    text = database("orders", backup=both("environment_variable: TEST_ABSENT", f'file: "{tmp_path}/none"'))
    text += database("billing", backup=both("environment_variable: TEST_ABSENT"))
    file.write_text(text)
    with pytest.raises(ManifestError) as raised:
        resolve(None, prepare(planton.load(file)))
    said = refused(raised.value).splitlines()
    lines = [number for number, line in enumerate(text.splitlines(), start=1) if "credentials:" in line]
    assert len(said) == 3
    assert sorted(line.split(" ")[0].rstrip(":") for line in said) == sorted(
        [f"{file}:{lines[0]}", f"{file}:{lines[0]}", f"{file}:{lines[1]}"]
    )
    assert sum("environment variable TEST_ABSENT" in line for line in said) == 2
    assert sum(f"file {tmp_path}/none" in line for line in said) == 1
    assert all("spec.backup_config.credentials." in line for line in said)


def test_dump_keeps_references() -> None:
    loaded = planton.loads(database("orders", backup=both("environment_variable: TEST_ID", 'file: "/run/keys/secret"')))
    resolve(None, messages("environment_variable: TEST_ID"))
    text = planton.dumps(loaded)
    assert "TEST_ID" in text
    assert "/run/keys/secret" in text
    assert KEY_ID not in text
    assert planton.loads(text)[0] == loaded[0]


def make_secret(installed: Installed, space: str, data: dict[str, bytes], name: str = "bucket") -> None:
    with contextlib.suppress(ApiError):
        installed.api.request("POST", "/api/v1/namespaces", {"metadata": {"name": space}})
    encoded = {key: base64.b64encode(value).decode() for key, value in data.items()}
    path = f"/api/v1/namespaces/{space}/secrets"
    installed.api.request("POST", path, {"metadata": {"name": name}, "data": encoded})


def names(installed: Installed) -> set[str]:
    return {one["metadata"]["name"] for one in installed.api.request("GET", "/api/v1/namespaces")["items"]}


BAD_SECRETS: dict[str, tuple[dict[str, bytes] | None, str]] = {
    "missing": (None, "which is not there"),
    "no such key": ({"other": KEY_ID.encode()}, "which has no such key, or an empty one"),
    "an empty key": ({"id": b""}, "which has no such key, or an empty one"),
    "blank": ({"id": b" \n"}, "which is empty"),
    "no text": ({"id": KEY_ID.encode() + b"\xff"}, "which is no text"),
}


@pytest.mark.cluster
@pytest.mark.parametrize("kind", list(BAD_SECRETS))
def test_a_secret_that_cannot_be_used(installed: Installed, name: str, kind: str) -> None:
    data, reason = BAD_SECRETS[kind]
    space = f"{name}-vault"
    if data is not None:
        make_secret(installed, space, data)
    text = database(name, backup=both(f"secret: {{name: bucket, key: id, namespace: {space}}}"))
    with pytest.raises(ManifestError) as raised:
        installed.apply(text)
    said = refused(raised.value)
    assert f"Secret {space}/bucket" in said
    assert reason in said
    assert name not in names(installed), "nothing is written"


@pytest.mark.cluster
def test_only_the_keys_that_are_meant_are_copied(installed: Installed, name: str) -> None:
    space = f"{name}-vault"
    more = {"id": KEY_ID.encode(), "secret": SECRET_KEY.encode(), "password": b"SENTINEL-password", "raw": b"\xff"}
    make_secret(installed, space, more)
    place = f"name: bucket, namespace: {space}"
    text = database(name, backup=both(f"secret: {{{place}, key: id}}", f"secret: {{{place}, key: secret}}"))
    plan = installed.plan(text)
    result = installed.apply(text)
    for shown in (repr(plan), str(plan), repr(result), str(result), str([repr(one) for one in result.messages])):
        assert "SENTINEL" not in shown
        assert base64.b64encode(b"SENTINEL-").decode() not in shown
    copy = installed.api.request("GET", f"/api/v1/namespaces/{name}/secrets/db-{name}-backup-credentials")
    assert {key: base64.b64decode(value).decode() for key, value in copy["data"].items()} == {
        "AWS_ACCESS_KEY_ID": KEY_ID,
        "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
    }
    assert not installed.plan(text).changed


@pytest.mark.cluster
def test_a_secret_in_the_databases_own_namespace(installed: Installed, name: str) -> None:
    make_secret(installed, name, {"id": KEY_ID.encode(), "secret": SECRET_KEY.encode()})
    make_secret(installed, f"{name}-other", {"id": b"SENTINEL-wrong-one", "secret": b"SENTINEL-wrong-one"})
    text = database(name, backup=both("secret: {name: bucket, key: id}", "secret: {name: bucket, key: secret}"))
    installed.apply(text)
    copy = installed.api.request("GET", f"/api/v1/namespaces/{name}/secrets/db-{name}-backup-credentials")
    assert base64.b64decode(copy["data"]["AWS_ACCESS_KEY_ID"]).decode() == KEY_ID


@pytest.mark.cluster
def test_no_permission_is_an_error_and_never_absent(installed: Installed, name: str) -> None:
    installed.api.request("POST", "/api/v1/namespaces", {"metadata": {"name": name}})
    installed.api.request("POST", f"/api/v1/namespaces/{name}/serviceaccounts", {"metadata": {"name": "user"}})
    cluster = connect(installed.sandbox.kubeconfig_for(name, "user"))
    asked = messages(f"secret: {{name: bucket, key: id, namespace: {name}}}")
    with pytest.raises(ClusterError) as raised:
        resolve(Server(cluster._connection, "read"), asked)
    assert (raised.value.status, raised.value.subject) == (403, f"Secret/{name}/bucket")
    assert "not there" not in refused(raised.value)


def policy(space: str) -> tuple[Object, Object]:
    """Makes the server refuse Secrets of a namespace, in words that hold what is in them."""
    operations = ["CREATE", "UPDATE"]
    rules = [{"apiGroups": [""], "apiVersions": ["v1"], "operations": operations, "resources": ["secrets"]}]
    # In that namespace alone: a policy is in force for others some time after it is gone, too.
    selector = {"matchLabels": {"kubernetes.io/metadata.name": space}}
    constraints = {"resourceRules": rules, "namespaceSelector": selector}
    rule = {
        "expression": "false",
        "messageExpression": "'not with ' + object.data['AWS_SECRET_ACCESS_KEY']",
    }
    spec = {"failurePolicy": "Fail", "matchConstraints": constraints, "validations": [rule]}
    binding = {"policyName": f"{space}-refuses", "validationActions": ["Deny"]}
    return (
        {"metadata": {"name": f"{space}-refuses"}, "spec": spec},
        {"metadata": {"name": f"{space}-refuses"}, "spec": binding},
    )


@pytest.mark.cluster
def test_a_refusal_that_holds_the_value_is_masked(installed: Installed, name: str) -> None:
    group = "/apis/admissionregistration.k8s.io/v1"
    first, second = policy(name)
    installed.api.request("POST", f"{group}/validatingadmissionpolicies", first)
    installed.api.request("POST", f"{group}/validatingadmissionpolicybindings", second)
    text = database(name, backup=both("environment_variable: TEST_ID"))
    try:
        installed.api.request("POST", "/api/v1/namespaces", {"metadata": {"name": name}})
        body = {"metadata": {"name": "probe"}, "data": {"AWS_SECRET_ACCESS_KEY": "cHJvYmU="}}

        def refuses() -> bool:
            try:
                installed.api.request("POST", f"/api/v1/namespaces/{name}/secrets?dryRun=All", body)
            except ApiError as error:
                return "not with cHJvYmU=" in str(error)
            return False

        # A policy is in force some time after it is written.
        installed.until(refuses)
        with pytest.raises(ClusterError) as raised:
            installed.apply(text)
        said = refused(raised.value)
        assert "not with <hidden>" in said
    finally:
        installed.api.request("DELETE", f"{group}/validatingadmissionpolicybindings/{name}-refuses")
        installed.api.request("DELETE", f"{group}/validatingadmissionpolicies/{name}-refuses")
