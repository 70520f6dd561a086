"""What is read from a kubeconfig, and what is left of it when the process is killed. No server is asked."""

from __future__ import annotations

import base64
import json
import logging
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from planton.cluster.api.kubeconfig import open_connection, without_user
from planton.errors import ClusterError
from tests.cli.support import environment
from tests.cluster import answering

KEY = "-----BEGIN PRIVATE KEY-----\nsentinel\n"
INLINE = {
    "client-certificate-data": base64.b64encode(b"certificate").decode(),
    "client-key-data": base64.b64encode(KEY.encode()).decode(),
}
HOLD = """
import sys, time
from planton.cluster import connect

connection = connect(sys.argv[1])._connection
print(connection.client.client.configuration.key_file, flush=True)
time.sleep(60)
"""


def kubeconfig(folder: Path, user: dict[str, Any], server: str = "https://127.0.0.1:9") -> str:
    return str(answering.kubeconfig(folder, server, user))


def hold(path: str, temporary: Path) -> tuple[subprocess.Popen[str], Path]:
    """Starts a process that has connected and stays."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, path],
        stdout=subprocess.PIPE,
        text=True,
        env=environment({"TMPDIR": str(temporary)}),
    )
    assert process.stdout is not None
    return process, Path(process.stdout.readline().strip())


def test_keys_lie_in_a_private_folder_which_the_next_run_removes_after_a_kill(tmp_path: Path) -> None:
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    path = kubeconfig(tmp_path, INLINE)
    first, key = hold(path, temporary)
    assert key.read_text() == KEY
    assert key.parent.parent == temporary
    assert stat.S_IMODE(key.parent.stat().st_mode) == 0o700
    second, other = hold(path, temporary)
    # Those of a process that lives stay.
    assert key.exists()
    for process in (first, second):
        process.kill()
        process.communicate()
    assert key.exists()
    assert other.exists()
    program = HOLD.replace("time.sleep(60)", "")
    subprocess.run(
        [sys.executable, "-c", program, path], env=environment({"TMPDIR": str(temporary)}), timeout=60, check=True
    )
    assert list(temporary.iterdir()) == []


def test_a_hang_up_leaves_no_key(tmp_path: Path) -> None:
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    path = kubeconfig(tmp_path, INLINE)
    program = """
import os, signal, sys
from planton.cli import main
import planton.cluster

def status(self, *_, **__):
    assert os.listdir(os.environ["TMPDIR"])
    os.kill(os.getpid(), signal.SIGHUP)

planton.cluster.Cluster.status = status
sys.exit(main(sys.argv[1:]))
"""
    manifest = tmp_path / "a.yaml"
    manifest.write_text(
        "apiVersion: kubernetes.project-planton.org/v1\nkind: PostgresKubernetes\nmetadata: {name: a}\nspec: {}\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, "status", "-f", str(manifest), "--kubeconfig", path],
        env=environment({"TMPDIR": str(temporary)}),
        capture_output=True,
        text=True,
        timeout=60,
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL),
        check=False,
    )
    assert (done.returncode, done.stderr) == (129, "hung up.\n")
    assert list(temporary.iterdir()) == []


def test_a_link_in_the_folder_for_temporary_files_is_not_followed(tmp_path: Path) -> None:
    temporary, victim = tmp_path / "tmp", tmp_path / "victim"
    temporary.mkdir()
    victim.mkdir()
    (victim / "lock").touch()
    (temporary / f"planton-client-{os.getuid()}-x").symlink_to(victim)
    process, _ = hold(kubeconfig(tmp_path, INLINE), temporary)
    process.kill()
    process.communicate()
    assert (victim / "lock").exists()


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://user:sentinel@127.0.0.1:6443", "https://127.0.0.1:6443"),
        ("https://127.0.0.1:6443", "https://127.0.0.1:6443"),
        ("https://a@b@[::1]:1/path", "https://[::1]:1/path"),
        # A password with a slash in it, no scheme, and a token where none belongs.
        ("https://user:sentinel/@api.example:6443", "https://api.example:6443"),
        ("https://user:sent://inel@api.example:6443", "https://api.example:6443"),
        ("user:sentinel@api.example:6443", "api.example:6443"),
        ("https://api.example:6443/path?token=sentinel#sentinel", "https://api.example:6443/path"),
    ],
)
def test_user_and_password_in_the_address_of_a_server_are_not_shown(tmp_path: Path, url: str, shown: str) -> None:
    assert without_user(url) == shown
    assert open_connection(kubeconfig(tmp_path, {"token": "x"}, url), None).identity.server == shown


def plugin(program: str) -> dict[str, Any]:
    return {
        "exec": {
            "apiVersion": "client.authentication.k8s.io/v1",
            "command": sys.executable,
            "args": ["-c", program],
            "interactiveMode": "Never",
        }
    }


def test_a_plugin_that_fails_is_an_error_without_what_it_wrote(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = kubeconfig(tmp_path, plugin("import sys; sys.exit('sentinel')"))
    filters = list(logging.getLogger().filters)
    with pytest.raises(ClusterError) as caught:
        open_connection(path, None)
    # Nor in the log of whoever uses planton as a library.
    assert caplog.records == []
    assert logging.getLogger().filters == filters
    assert "the plugin of context here gives no credentials: process returned 1" in str(caught.value)
    assert "users[].user.exec" in caught.value.remedy
    assert "sentinel" not in f"{caught.value!r}{caught.value}{vars(caught.value)}"
    program = "import sys; from planton.cli import main; sys.exit(main(sys.argv[1:]))"
    manifest = tmp_path / "a.yaml"
    manifest.write_text(
        "apiVersion: kubernetes.project-planton.org/v1\nkind: PostgresKubernetes\nmetadata: {name: a}\nspec: {}\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, "plan", "-f", str(manifest), "--kubeconfig", path],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert "process returned 1" in done.stderr
    assert "sentinel" not in done.stdout + done.stderr


def test_a_plugin_that_works(tmp_path: Path) -> None:
    answer = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "kind": "ExecCredential",
        "status": {"token": "sentinel"},
    }
    handlers = list(logging.getLogger().handlers)
    connection = open_connection(kubeconfig(tmp_path, plugin(f"print({json.dumps(answer)!r})")), None)
    assert "sentinel" not in repr(connection)
    assert connection.client.client.configuration.api_key["authorization"] == "Bearer sentinel"
    assert logging.getLogger().handlers == handlers


_PASTED = base64.b64encode(b"-----BEGIN PRIVATE KEY-----\nsentinel 0123456789\n-----END PRIVATE KEY-----").decode()


@pytest.mark.parametrize("field", ["client-key", "client-certificate"])
@pytest.mark.parametrize("key", [_PASTED, f"abc/DEF0{_PASTED}", "-----BEGIN PRIVATE KEY-----\nsentinel"])
def test_a_key_in_the_place_of_a_path_is_not_shown(tmp_path: Path, field: str, key: str) -> None:
    with pytest.raises(ClusterError) as caught:
        open_connection(kubeconfig(tmp_path, {field: key}), None)
    assert key[:16] not in f"{caught.value}{vars(caught.value)}"
    assert _PASTED[:16] not in f"{caught.value}{vars(caught.value)}"
    assert "a file that it names does not exist; its path is not shown" in str(caught.value)
    with pytest.raises(ClusterError, match=f"File does not exist: {tmp_path}/keys/client.key"):
        open_connection(kubeconfig(tmp_path, {field: "keys/client.key"}), None)


@pytest.mark.parametrize("form", ["text", "base64", "base64 in lines", "token"])
@pytest.mark.parametrize("way", ["argument", "variable"])
def test_a_kubeconfig_in_the_place_of_its_path_is_not_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str, way: str
) -> None:
    text = Path(kubeconfig(tmp_path, {"token": "sentinel-of-a-token"})).read_bytes()
    given = {
        "text": text.decode(),
        "base64": base64.b64encode(text).decode(),
        "base64 in lines": base64.encodebytes(text).decode(),
        "token": "sentinel0123456789sentinel0123456789",
    }[form]
    monkeypatch.setenv("KUBECONFIG", given)
    with pytest.raises(ClusterError) as caught:
        open_connection(given if way == "argument" else None, None)
    told = f"{caught.value}{vars(caught.value)}"
    assert given[:30] not in told
    assert "sentinel" not in told
    assert "kubeconfig: connect: what was given as its path is the text of one" in str(caught.value)


@pytest.mark.parametrize("version", ["sentinel", "sentinel0123456789sentinel0123456789"])
def test_what_a_plugin_says_of_its_version_is_not_shown(tmp_path: Path, version: str) -> None:
    answer = json.dumps({"apiVersion": version, "kind": "ExecCredential", "status": {"token": "x"}})
    with pytest.raises(ClusterError) as caught:
        open_connection(kubeconfig(tmp_path, plugin(f"print({answer!r})")), None)
    assert "sentinel" not in f"{caught.value}{vars(caught.value)}"
    assert "gives no credentials: plugin api version" in str(caught.value)


def test_a_kubeconfig_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ClusterError) as caught:
        open_connection(tmp_path / "no", None)
    assert str(caught.value).startswith(f"kubeconfig {tmp_path / 'no'}: connect: no such file")
