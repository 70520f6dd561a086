"""An API server that has just started: it refuses what is allowed, since it does not know any roles yet."""

from __future__ import annotations

import threading
import time

import pytest

from planton.cluster import ProgressEvent
from planton.cluster.api.kubeconfig import open_connection
from planton.cluster.api.resources import CONFIG_MAP, NAMESPACE, SECRET
from planton.cluster.api.retry import Patience
from planton.cluster.permissions.review import denied_of, needs
from tests.cluster.conftest import Harness, words
from tests.cluster.objects import config_map, namespace, secret
from tests.faults.invariants import difference
from tests.faults.network import Network, fresh
from tests.faults.observed import Observed

pytestmark = [pytest.mark.cluster, pytest.mark.xdist_group("network")]

RBAC = "/apis/rbac.authorization.k8s.io/v1"
RESTARTS = 2


def by_role(network: Network, name: str) -> Harness:
    """Connects as an account that may do what it does by a role, without the proxy, which asks as an administrator."""
    own = {"metadata": {"name": name}}
    rules = [
        {
            "apiGroups": [""],
            "resources": ["namespaces", "configmaps", "secrets"],
            "verbs": ["get", "list", "create", "patch"],
        },
        {"apiGroups": ["acid.zalan.do", "apps"], "resources": ["postgresqls", "deployments"], "verbs": ["list"]},
    ]
    subject = {"kind": "ServiceAccount", "name": name, "namespace": name}
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name}
    network.api.request("POST", "/api/v1/namespaces", own)
    network.api.request("POST", f"/api/v1/namespaces/{name}/serviceaccounts", own)
    network.api.request("POST", f"{RBAC}/clusterroles", {**own, "rules": rules})
    network.api.request("POST", f"{RBAC}/clusterrolebindings", {**own, "roleRef": role, "subjects": [subject]})
    connection = open_connection(network.sandbox.kubeconfig_for(name, name), None)
    # So that it is there as soon as the server is.
    connection.patience = Patience(sleep=lambda seconds: time.sleep(min(seconds, 0.02)))
    return Harness(network.api, connection)


def test_the_api_server_is_restarted_under_an_account_with_a_role(calm: Network, observed: Observed) -> None:
    space = fresh("even")
    calm.direct.apply([namespace(space), secret(space), *(config_map(space, f"many-{n:03d}") for n in range(120))])
    expected, space, account = calm.picture(space), fresh("even"), fresh("role")
    harness = by_role(calm, account)
    objects = [namespace(space), secret(space), *(config_map(space, f"many-{number:03d}") for number in range(120))]
    plan = harness.plan(objects)
    wanted = [need for kind in (NAMESPACE, CONFIG_MAP, SECRET) for need in needs(kind, "get patch", space)]
    ended = threading.Event()
    denied: list[object] = []

    def ask() -> None:
        while not ended.is_set():
            denied.extend(denied_of(harness.server, wanted))

    def restart() -> None:
        for _ in range(RESTARTS):
            calm.sandbox.restart_api_server()

    one_by_one = threading.Lock()
    restarter = threading.Thread(target=restart)

    def progress(event: ProgressEvent) -> None:
        if event.phase == "configuration":
            # So that it lasts until the last start.
            with one_by_one:
                time.sleep(0.05)

    asker = threading.Thread(target=ask)
    asker.start()
    restarter.start()
    try:
        changes = harness.carry_out(plan, progress=progress)
        restarter.join()
    finally:
        ended.set()
        asker.join()
    assert set(words(changes).values()) == {"created"}
    assert not denied
    assert not difference(expected, calm.picture(space))
    lines = calm.sandbox.audit_log.read_text(encoding="utf-8").splitlines()
    refused = [one for one in lines if account in one and '"verb":"patch"' in one and '"code":403' in one]
    # Else nothing is proven.
    assert refused
    observed(
        "API server restarted in the middle",
        f"{RESTARTS} times under an account with a role, of which a server that starts knows nothing: {len(refused)} "
        "requests were refused at first, and asked again; none was taken for a permission that is missing",
    )
