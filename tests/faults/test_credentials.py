"""Credentials and certificates that change in the middle of the work, as they do by themselves every hour."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trustme

from planton.cluster.api.kubeconfig import open_connection
from planton.errors import ClusterError
from tests.cluster.conftest import Harness, words
from tests.cluster.objects import Object, config_map, namespace
from tests.faults.network import Network, fresh, in_the_middle
from tests.faults.observed import Observed
from tests.faults.proxy import TOKEN

pytestmark = [pytest.mark.cluster, pytest.mark.xdist_group("network")]

EXPIRED = "expired token"
ROTATED = "certificate rotation"
RECORD = "ConfigMap/postgres-operator/planton-archives"
NEXT = "sentinel-token-of-the-next-hour"


def many(space: str) -> list[Object]:
    return [namespace(space), *(config_map(space, f"many-{one:03d}") for one in range(40))]


def harness_of(network: Network, kubeconfig: Path) -> Harness:
    made = network.connection(kubeconfig)
    # The wait for an agent that writes tokens is a second.
    return Harness(network.api, made)


def apply_with(harness: Harness, space: str, change: Callable[[], None]) -> dict[str, str]:
    """Applies a set, in the middle of which something is changed."""
    done: list[str] = []

    def changed() -> None:
        change()
        done.append(space)

    result = words(harness.carry_out(harness.plan(many(space)), progress=in_the_middle(10, changed)))
    assert done
    return result


def all_created(network: Network, space: str, result: dict[str, str]) -> None:
    # Where other tests have left databases, the record of their archives may be written along.
    result = {subject: action for subject, action in result.items() if subject != RECORD}
    assert set(result.values()) == {"created"}
    assert len(result) == 41
    assert not network.direct.plan(many(space)).changed


@pytest.fixture
def expire(calm: Network) -> Any:
    """Lets the first token expire, and the next one be the one that counts."""

    def now() -> None:
        calm.proxy.tokens = {NEXT}

    yield now
    calm.proxy.tokens = {TOKEN}


def replace_with(path: Path, text: str) -> None:
    """Writes a file in one step, as agents do."""
    draft = path.with_suffix(f".{threading.get_ident()}")
    draft.write_text(text)
    draft.replace(path)


def refusals(network: Network) -> int:
    return len(network.proxy.seen) - len({(one.method, one.path) for one in network.proxy.seen})


def test_a_token_file_that_was_written_anew(
    calm: Network, tmp_path: Path, expire: Callable[[], None], observed: Observed
) -> None:
    token = tmp_path / "token"
    token.write_text(TOKEN)

    def rotate() -> None:
        replace_with(token, NEXT)
        expire()

    space = fresh("even")
    harness = harness_of(calm, calm.proxy.kubeconfig(tmp_path / "kubeconfig", {"tokenFile": str(token)}))
    all_created(calm, space, apply_with(harness, space, rotate))
    # Those that were on their way while the file was read, and no more.
    assert refusals(calm) <= 24
    observed(EXPIRED, f"tokenFile written anew in the middle of an apply: {refusals(calm)} requests were sent again")


def test_a_token_file_that_is_written_a_moment_too_late(
    calm: Network, tmp_path: Path, expire: Callable[[], None], observed: Observed
) -> None:
    """The old token has expired before the next one is there."""
    token = tmp_path / "token"
    token.write_text(TOKEN)
    space = fresh("even")
    harness = harness_of(calm, calm.proxy.kubeconfig(tmp_path / "kubeconfig", {"tokenFile": str(token)}))

    def write_it(seconds: float) -> None:
        replace_with(token, NEXT)

    harness.connection.patience._sleep = write_it
    all_created(calm, space, apply_with(harness, space, expire))
    observed(EXPIRED, "tokenFile written only after the old token had expired: waited for, and read again")


def plugin(folder: Path) -> dict[str, Any]:
    """Makes a plugin that gives what a file has, and counts how often it was asked."""
    script = folder / "plugin.py"
    script.write_text(
        "import json, pathlib, time\n"
        f"folder = pathlib.Path({str(folder)!r})\n"
        "with open(folder / 'asked', 'a') as asked: asked.write('x')\n"
        "time.sleep(0.2)\n"
        "print((folder / 'answer').read_text())\n"
    )
    command = {"command": sys.executable, "args": ["-S", str(script)], "interactiveMode": "Never"}
    return {"exec": {"apiVersion": "client.authentication.k8s.io/v1", **command}}


def give(folder: Path, **answer: str) -> None:
    credential = {"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": answer}
    (folder / "answer").write_text(json.dumps(credential))


def test_a_plugin_is_asked_again_once_for_all(
    calm: Network, tmp_path: Path, expire: Callable[[], None], observed: Observed
) -> None:
    """Its token is refused though it has not said that it expires: revoked, or of a clock that is wrong."""
    give(tmp_path, token=TOKEN)

    def rotate() -> None:
        give(tmp_path, token=NEXT)
        expire()

    space = fresh("even")
    harness = harness_of(calm, calm.proxy.kubeconfig(tmp_path / "kubeconfig", plugin(tmp_path)))
    asked_before = len((tmp_path / "asked").read_text())
    all_created(calm, space, apply_with(harness, space, rotate))
    asked = len((tmp_path / "asked").read_text()) - asked_before
    assert asked == 1
    observed(
        EXPIRED, "a plugin's token was refused in the middle: the plugin was asked again, once for sixteen requests"
    )


def test_a_plugin_whose_token_has_run_out_is_asked_by_one_thread(
    calm: Network, tmp_path: Path, observed: Observed
) -> None:
    """The client would ask it sixteen times at once: sixteen windows of a login."""
    give(tmp_path, token=TOKEN, expirationTimestamp="2020-01-01T00:00:00Z")
    harness = harness_of(calm, calm.proxy.kubeconfig(tmp_path / "kubeconfig", plugin(tmp_path)))
    give(tmp_path, token=TOKEN, expirationTimestamp="2099-01-01T00:00:00Z")
    before = len((tmp_path / "asked").read_text())
    space = fresh("even")
    assert set(words(harness.apply(many(space))).values()) == {"created"}
    assert len((tmp_path / "asked").read_text()) - before == 1
    observed(EXPIRED, "a plugin's token ran out: one of sixteen threads asked for another, the others waited")


def test_a_plugin_that_fails_is_named(
    calm: Network, tmp_path: Path, expire: Callable[[], None], observed: Observed
) -> None:
    give(tmp_path, token=TOKEN)

    def rotate() -> None:
        (tmp_path / "plugin.py").write_text("import sys; sys.exit('sentinel: your session is over')")
        expire()

    space = fresh("even")
    harness = harness_of(calm, calm.proxy.kubeconfig(tmp_path / "kubeconfig", plugin(tmp_path)))
    with pytest.raises(ClusterError) as caught:
        apply_with(harness, space, rotate)
    assert caught.value.status == 401
    assert "the plugin of context proxied gives no credentials" in caught.value.remedy
    assert "sentinel" not in str(caught.value)
    assert caught.value.changes
    observed(EXPIRED, "a plugin that fails in the middle: said so, with what was done")


def test_a_token_that_nothing_renews_ends_the_work_in_words(
    calm: Network, tmp_path: Path, expire: Callable[[], None], observed: Observed
) -> None:
    space = fresh("even")
    harness = harness_of(calm, calm.proxy.kubeconfig(tmp_path / "kubeconfig"))
    with pytest.raises(ClusterError) as caught:
        apply_with(harness, space, expire)
    error = caught.value
    assert (error.status, error.reason) == (401, "Unauthorized")
    assert "The credentials of context proxied are not accepted any more (also not after they were read again)" in (
        error.remedy
    )
    assert "log in again" in error.remedy
    assert str(error).count("\n") <= 3, str(error)
    assert "sentinel" not in f"{error}{vars(error)}"
    # Not each of forty objects has asked again.
    assert len(calm.proxy.seen) < 100
    done = len(error.changes)
    calm.proxy.kubeconfig(tmp_path / "kubeconfig", {"token": NEXT})
    again = harness_of(calm, tmp_path / "kubeconfig").apply(many(space))
    assert list(words(again).values()).count("unchanged") >= done
    assert not calm.direct.plan(many(space)).changed
    observed(
        EXPIRED,
        f"a fixed token expired in the middle: one error that names the context, with {done} of 41 objects told as "
        "done; after a login the same command did the rest",
    )


def test_a_kubeconfig_that_names_another_server_meanwhile_is_not_followed(
    calm: Network, tmp_path: Path, expire: Callable[[], None], observed: Observed
) -> None:
    kubeconfig = calm.proxy.kubeconfig(tmp_path / "kubeconfig")

    def rotate() -> None:
        text = kubeconfig.read_text().replace(TOKEN, NEXT).replace(calm.proxy.url, calm.sandbox.url)
        kubeconfig.write_text(text)
        expire()

    with pytest.raises(ClusterError) as caught:
        apply_with(harness_of(calm, kubeconfig), fresh("even"), rotate)
    assert f"names another server now, {calm.sandbox.url}" in caught.value.remedy
    observed(EXPIRED, "a kubeconfig that named another cluster when it was read again: refused, nothing was sent there")


def client_certificate(network: Network, folder: Path, name: str) -> dict[str, str]:
    made = network.proxy.clients.issue_cert(common_name=name)
    made.private_key_pem.write_to_path(str(folder / "client.key"))
    (folder / "client.crt").write_bytes(b"".join(one.bytes() for one in made.cert_chain_pems))
    return {"client-certificate": str(folder / "client.crt"), "client-key": str(folder / "client.key")}


def test_a_client_certificate_that_was_written_anew(calm: Network, tmp_path: Path, observed: Observed) -> None:
    """Connections that are open go on with the old one, which the server refuses once it has run out."""
    user = client_certificate(calm, tmp_path, "this year")
    calm.proxy.names = {"this year"}

    def rotate() -> None:
        client_certificate(calm, tmp_path, "next year")
        calm.proxy.names = {"next year"}

    space = fresh("even")
    try:
        harness = harness_of(calm, calm.proxy.kubeconfig(tmp_path / "kubeconfig", user))
        all_created(calm, space, apply_with(harness, space, rotate))
    finally:
        calm.proxy.names = set()
    observed(ROTATED, "client certificate written anew in the middle of an apply: read again, nothing was lost")


def test_the_servers_certificate_is_renewed_by_the_same_authority(calm: Network, observed: Observed) -> None:
    space = fresh("even")
    harness = calm.harness()

    def rotate() -> None:
        calm.proxy.use_certificate(calm.proxy.authority, cut=True)

    all_created(calm, space, apply_with(harness, space, rotate))
    observed(ROTATED, "the server's certificate renewed by the same authority, all connections cut: the apply went on")


def test_another_authority_ends_the_work_unless_the_kubeconfig_knows_it(
    calm: Network, tmp_path: Path, observed: Observed
) -> None:
    other = trustme.CA()
    kubeconfig = calm.proxy.kubeconfig(tmp_path / "kubeconfig")
    try:
        space = fresh("even")
        with pytest.raises(ClusterError) as caught:
            apply_with(harness_of(calm, kubeconfig), space, lambda: calm.proxy.use_certificate(other, cut=True))
        error = caught.value
        assert (error.status, error.reason) == (0, "TLS")
        assert "CERTIFICATE_VERIFY_FAILED" in error.text.upper().replace(" ", "_")
        assert "Has the cluster another certificate authority now?" in error.remedy
        assert str(error).count("\n") <= 3, str(error)
        calm.proxy.use_certificate(calm.proxy.authority, cut=True)
        # Where the kubeconfig is written anew, too, it is read again.
        space = fresh("even")

        def rotate() -> None:
            calm.proxy.kubeconfig(kubeconfig, more=other)
            calm.proxy.use_certificate(other, cut=True)

        all_created(calm, space, apply_with(harness_of(calm, kubeconfig), space, rotate))
    finally:
        calm.proxy.use_certificate(calm.proxy.authority, cut=True)
    observed(
        ROTATED,
        "another authority: one error in words and nothing tried for ever; where the kubeconfig on disk names it by "
        "then, the apply went on",
    )


def test_eight_requests_make_one_client(calm: Network, tmp_path: Path) -> None:
    connection = open_connection(calm.proxy.kubeconfig(tmp_path / "kubeconfig"), None)
    first = connection.client
    connection._clients.accept(first)
    assert connection.renew_credentials()
    second = connection.client
    assert second is not first
    # It is young, and was never accepted: nobody reads the kubeconfig for each of three thousand objects.
    assert not connection.renew_credentials()
    assert connection._clients.renew(first)
    assert connection.client is second
