"""`planton sync-credentials` as a process, against a real API server and the real operator."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from tests.cli.support import environment, planton
from tests.cluster.sync import OPERATOR, STORAGE, Vault, leaks, vault_of_a_sandbox

pytestmark = [pytest.mark.cluster, pytest.mark.xdist_group("sync-command")]


@pytest.fixture(scope="module")
def vault() -> Iterator[Vault]:
    """A sandbox with an operator whose keys are in somebody else's Secrets."""
    with vault_of_a_sandbox() as made:
        yield made


def sync(vault: Vault, *arguments: str) -> subprocess.CompletedProcess[str]:
    done = planton("sync-credentials", "--kubeconfig", str(vault.installed.sandbox.kubeconfig), *arguments)
    assert not leaks(done.stdout + done.stderr)
    return done


def test_once(vault: Vault) -> None:
    vault.foreign_database("theirs")
    done = sync(vault)
    assert (done.returncode, done.stderr) == (0, "")
    assert f"created     Secret/theirs/{STORAGE}\n" in done.stdout
    assert sync(vault).stdout.splitlines()[-1].startswith("Nothing to do: 0 created, 0 configured")
    vault.rotate(2)
    data = json.loads(sync(vault, "-o", "json").stdout)
    # Other tests may have left databases in this sandbox.
    configured = {one["kind"] for one in data["changes"] if one["action"] == "configured"}
    mine = [
        one for one in data["changes"] if one["namespace"] in (OPERATOR, "theirs") and one["action"] == "configured"
    ]
    assert (data["complete"], configured, len(mine)) == (True, {"Secret", "ConfigMap", "Deployment"}, 4)
    assert vault.copies(2, OPERATOR, "theirs")
    vault.write("bucket", {"id": "SENTINELID0003"})
    done = sync(vault)
    assert done.returncode == 1
    assert "Secret/vault/bucket" in done.stderr
    assert "Done before it ended" in done.stdout
    vault.rotate(3)
    assert sync(vault).returncode == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_watching_until_a_signal(vault: Vault, number: signal.Signals) -> None:
    space = f"watched-{number.name.lower()}"
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "planton", "sync-credentials", "--watch"),
            *("--kubeconfig", str(vault.installed.sandbox.kubeconfig)),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(),
        # A shell that starts pytest in the background has it ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    assert process.stdout is not None
    assert process.stderr is not None
    with process:
        try:
            assert b"Watching" in process.stderr.readline()
            time.sleep(2)
            vault.foreign_database(space)
            text, end = b"", time.monotonic() + 60
            while f"created Secret/{space}/{STORAGE}".encode() not in text:
                assert time.monotonic() < end, text
                if select.select([process.stdout], [], [], 0.5)[0]:
                    text += os.read(process.stdout.fileno(), 4096)
            process.send_signal(number)
            rest, notices = process.communicate(timeout=60)
        finally:
            if process.poll() is None:
                process.kill()
    assert process.returncode == 0
    assert notices.decode().endswith("Stopped: 2 created, 0 configured, 0 skipped; 0 errors\n")
    assert not leaks((text + rest + notices).decode())
