"""Accounts with roles that planton prints, and what the API server's audit log says of their requests."""

from __future__ import annotations

import contextlib
import json
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any
from urllib.parse import parse_qs, urlsplit

import planton
from planton.cluster import ApplyResult, Cluster, Plan, PlanOptions, connect
from planton.cluster.api.kubeconfig import open_connection
from planton.cluster.api.resources import key_of
from planton.translate.archive_record import RECORD_CONFIGMAP
from planton.translate.names import OPERATOR
from planton.translate.planton_permissions import Work
from planton.translate.planton_roles import planton_roles
from sandbox import Sandbox
from sandbox._api import Api
from sandbox._errors import ApiError
from tests.api import is_review
from tests.cluster.objects import Object

HOME = "ci"
_DATABASES = "/apis/acid.zalan.do/v1/postgresqls"
_APPLY = "application/apply-patch+yaml"

Atom = tuple[str, str, str]
"""API group, resource and verb."""


class World:
    """A sandbox with accounts."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self.api = Api.from_kubeconfig(sandbox.kubeconfig)
        self.admin = connect(sandbox.kubeconfig)
        self._read = 0
        self._events: dict[str, list[dict[str, Any]]] = defaultdict(list)
        self.api.request("POST", "/api/v1/namespaces", {"metadata": {"name": HOME}})

    def put(self, obj: Object, manager: str = "kubectl") -> None:
        """Applies an object as an administrator."""
        path = f"{key_of(obj).path}?fieldManager={manager}&force=true"
        self.api.request("PATCH", path, obj, content_type=_APPLY)

    def namespace(self, name: str) -> None:
        """Makes a namespace, if it is not there."""
        with contextlib.suppress(ApiError):
            self.api.request("POST", "/api/v1/namespaces", {"metadata": {"name": name}})

    def databases(self) -> set[str]:
        """Gives namespace and name of every custom resource."""
        items = self.api.request("GET", _DATABASES)["items"]
        return {f"{one['metadata']['namespace']}/{one['metadata']['name']}" for one in items}

    def size(self, name: str) -> str:
        """Gives the size of the volumes that a database is to have."""
        path = f"/apis/acid.zalan.do/v1/namespaces/{name}/postgresqls/db-{name}"
        return str(self.api.request("GET", path)["spec"]["volume"]["size"])

    def record(self) -> str:
        """Gives the archives that are written down."""
        path = f"/api/v1/namespaces/{OPERATOR}/configmaps/{RECORD_CONFIGMAP}"
        with contextlib.suppress(ApiError):
            return json.dumps(self.api.request("GET", path)["data"])
        return ""

    def clear(self) -> None:
        """Takes away every custom resource, and what is written down of archives."""
        for one in self.databases():
            space, _, name = one.partition("/")
            self.api.request("DELETE", f"/apis/acid.zalan.do/v1/namespaces/{space}/postgresqls/{name}")
        with contextlib.suppress(ApiError):
            self.api.request("DELETE", f"/api/v1/namespaces/{OPERATOR}/configmaps/{RECORD_CONFIGMAP}")

    def events(self, user: str) -> list[dict[str, Any]]:
        """Gives the requests of a user out of the audit log, which is read on from where it was left."""
        with self.sandbox.audit_log.open("rb") as log:
            log.seek(self._read)
            # The server writes while it is read: the last line may be half of one.
            text, _, _ = log.read().rpartition(b"\n")
            self._read += len(text) + bool(text)
        for line in text.splitlines():
            event = json.loads(line)
            self._events[event["user"].get("username", "")].append(event)
        return self._events[user]


class Account:
    """A service account with some of the roles."""

    def __init__(
        self,
        world: World,
        name: str,
        works: Sequence[Work],
        namespaces: Sequence[str] = (),
        change: Callable[[list[Object]], None] = lambda objects: None,
    ) -> None:
        self.world, self.name = world, name
        self.user = f"system:serviceaccount:{HOME}:{name}"
        world.api.request("POST", f"/api/v1/namespaces/{HOME}/serviceaccounts", {"metadata": {"name": name}})
        self.subject = {"kind": "ServiceAccount", "name": name, "namespace": HOME}
        self.objects = planton_roles(works, subject=self.subject, namespaces=namespaces, name=name)
        change(self.objects)
        for obj in self.objects:
            space = obj["metadata"].get("namespace")
            if space:
                world.namespace(space)
            world.put(obj)
        self.kubeconfig = world.sandbox.kubeconfig_for(HOME, name)
        self.connection = open_connection(self.kubeconfig, None)
        self.cluster = Cluster(self.connection)

    def unbind(self, namespace: str) -> None:
        """Takes the roles in one namespace away."""
        name = f"{self.name}-databases"
        path = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}/rolebindings/{name}"
        with contextlib.suppress(ApiError):
            self.world.api.request("DELETE", path)
        until_allowed(self, "patch", "", "secrets", namespace=namespace, allowed=False)

    def apply(self, text: str, **options: Any) -> ApplyResult:
        chosen = PlanOptions(skip_checks=True, **options)
        return self.cluster.apply(planton.loads(text), options=chosen, timeout=60.0)

    def plan(self, text: str, **options: Any) -> Plan:
        return self.cluster.plan(planton.loads(text), options=PlanOptions(skip_checks=True, **options))

    def events(self) -> list[dict[str, Any]]:
        """Gives the requests of this account."""
        return [one for one in self.world.events(self.user) if not is_review(one)]

    def refused(self) -> list[str]:
        """Gives its requests that were refused."""
        return [f"{one['verb']} {one['requestURI']}" for one in self.events() if one["responseStatus"]["code"] == 403]

    def written(self) -> list[str]:
        """Gives its requests that changed something, dry runs left out."""
        return [
            f"{one['verb']} {one['requestURI']}"
            for one in self.events()
            if one["verb"] not in ("get", "list", "watch")
            and one["responseStatus"]["code"] < 300
            and "dryRun" not in parse_qs(urlsplit(one["requestURI"]).query)
        ]

    def used(self) -> set[Atom]:
        """Gives what it was allowed: an apply that creates, and a WebSocket into a pod, are allowed two things."""
        found: set[Atom] = set()
        for one in self.events():
            target, code = one.get("objectRef"), one["responseStatus"]["code"]
            if target is None or code in (401, 403):
                continue
            resource = "/".join(part for part in (target["resource"], target.get("subresource")) if part)
            group = target.get("apiGroup", "")
            found.add((group, resource, one["verb"]))
            if (one["verb"] == "patch" and code == 201) or resource == "pods/exec":
                found.add((group, resource, "create"))
        return found


def atoms(rules: Collection[Mapping[str, Any]]) -> set[Atom]:
    """Takes rules apart."""
    return {
        (group, resource, verb)
        for rule in rules
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def without(obj: Object, group: str, resource: str, verbs: Sequence[str]) -> None:
    """Takes verbs of one resource out of a role."""
    if "rules" not in obj:
        return
    kept = []
    for rule in obj["rules"]:
        for one in rule["resources"]:
            is_meant = group in rule["apiGroups"] and one == resource
            left = [verb for verb in rule["verbs"] if not (is_meant and verb in verbs)]
            if left:
                kept.append({**rule, "resources": [one], "verbs": left})
    obj["rules"] = kept


def until_allowed(
    account: Account, verb: str, group: str, resource: str, *, namespace: str = "", name: str = "", allowed: bool = True
) -> None:
    """Waits until the server's copy of the roles has followed."""
    spec = {"verb": verb, "group": group, "resource": resource, "namespace": namespace, "name": name}
    groups = ["system:serviceaccounts", f"system:serviceaccounts:{HOME}", "system:authenticated"]
    body = {"spec": {"user": account.user, "groups": groups, "resourceAttributes": spec}}
    end = time.monotonic() + 20
    while True:
        answer = account.world.api.request("POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", body)
        if bool(answer["status"]["allowed"]) is allowed:
            return
        assert time.monotonic() < end, f"{verb} {resource} of {account.user} is still not {allowed}"
        time.sleep(0.02)
