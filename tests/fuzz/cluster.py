"""Readers of what is in a cluster, where others write: databases, annotations, ConfigMaps, Secrets, words of pods."""

from __future__ import annotations

import base64
import contextlib
import io
import json
import re
import zlib
from collections.abc import Iterator, Mapping
from random import Random
from typing import Any

import planton
from planton.cli import _status
from planton.cli._changes import changes_data, show_changes
from planton.cli._output import Console
from planton.cluster import PlanOptions
from planton.cluster.api.connection import ClusterIdentity, Connection
from planton.cluster.api.resources import key_of, resource_of
from planton.cluster.cluster import Cluster
from planton.cluster.planning.extract import applied
from planton.errors import PlantonError
from planton.translate.contract import KubernetesObject
from tests import manifests
from tests.fuzz import trees
from tests.fuzz.manifests import EXAMPLES, plant
from tests.fuzz.oracle import MARKERS, Finding, check_screen, check_texts, shown

_IDENTITY = ClusterIdentity("https://cluster.example:6443", "c", "k")


class FrozenServer:
    """An API server in which nothing changes: it answers out of a list of objects, dry runs too."""

    def __init__(self, objects: list[KubernetesObject]) -> None:
        self._objects = {key_of(one).path: one for one in objects}
        self._lists: dict[str, list[KubernetesObject]] = {}
        for one in objects:
            resource = resource_of(one)
            for place in {resource.path(), resource.path(one["metadata"].get("namespace", ""))}:
                self._lists.setdefault(place, []).append(one)

    def request(self, method: str, path: str, *, body: Any = None, query_params: Any = (), **_: Any) -> Any:
        """Answers as the official client does."""
        query = dict(query_params)
        if method == "get" and path in self._objects:
            return _Response(200, self._objects[path])
        if method == "get" and path.rpartition("/")[2] in _PLURALS:
            items = [one for one in self._lists.get(path, ()) if _chosen(one, query)]
            kinds = {"kind": "PartialObjectMetadataList", "apiVersion": "meta.k8s.io/v1"}
            return _Response(200, {**kinds, "items": items, "metadata": {"resourceVersion": "1"}})
        if method == "patch" and query.get("dryRun"):
            live = self._objects.get(path)
            merged = {**(live or {}), **body, "metadata": {**(live or {}).get("metadata", {}), **body["metadata"]}}
            # As the server does it: one for this answer alone.
            merged["metadata"].setdefault("uid", "00000000-0000-4000-8000-00000000d000")
            return _Response(200 if live else 201, merged)
        from kubernetes.client.exceptions import ApiException

        code, reason = (404, "NotFound") if method == "get" else (405, "MethodNotAllowed")
        error: Any = ApiException(status=code, reason="none")
        told = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": reason}
        error.body = json.dumps({**told, "details": {"name": path.rpartition("/")[2]}}).encode()
        raise error


class _Response:
    def __init__(self, status: int, answer: Any) -> None:
        self.status, self.data = status, json.dumps(answer).encode()


_PLURALS = frozenset(
    "namespaces secrets configmaps services serviceaccounts pods persistentvolumeclaims events deployments "
    "statefulsets clusterroles clusterrolebindings customresourcedefinitions postgresqls endpoints roles rolebindings "
    "networkpolicies poddisruptionbudgets cronjobs jobs".split()
)


def _chosen(one: KubernetesObject, query: Mapping[str, str]) -> bool:
    labels = one["metadata"].get("labels") or {}
    for part in filter(None, query.get("labelSelector", "").split(",")):
        name, _, value = part.partition("=")
        if labels.get(name) != value.lstrip("="):
            return False
    wanted = query.get("fieldSelector", "")
    meant = re.search(r"metadata\.name=([^,]*)", wanted)
    return meant is None or bool(one["metadata"]["name"] == meant[1])


def _live(obj: KubernetesObject, number: int) -> KubernetesObject:
    """Makes an object as a server shows it once it was applied."""
    metadata = {
        **obj["metadata"],
        "uid": f"00000000-0000-4000-8000-{number:012}",
        "resourceVersion": str(number),
        "creationTimestamp": "2026-11-22T08:00:00Z",
        "managedFields": [
            {"manager": "planton", "operation": "Apply", "fieldsType": "FieldsV1", "fieldsV1": _fields(obj)},
            {"manager": "postgres-operator", "operation": "Update", "fieldsType": "FieldsV1", "fieldsV1": {}},
        ],
    }
    return {**obj, "metadata": metadata}


def _stored(objects: list[KubernetesObject]) -> list[KubernetesObject]:
    """Gives each object what a server gives to all that it stores: without it an answer counts as somebody else's."""
    seen: set[str] = set()
    for number, one in enumerate(objects, 1):
        metadata = one["metadata"]
        if not isinstance(metadata.get("uid"), str) or metadata["uid"] in seen:
            metadata["uid"] = f"00000000-0000-4000-8000-{number:08}face"
        seen.add(metadata["uid"])
        if not isinstance(metadata.get("resourceVersion"), str):
            metadata["resourceVersion"] = str(number)
    return objects


def _fields(value: Any, depth: int = 0) -> Any:
    if not isinstance(value, dict):
        return {}
    left_out = {"apiVersion", "kind"} if depth == 0 else {"name", "namespace"} if depth == 1 else set()
    return {
        f"f:{name}": _fields(inner, depth + 1) for name, inner in value.items() if name not in left_out or depth > 1
    }


def _patroni(name: str, namespace: str) -> Iterator[KubernetesObject]:
    head = {"apiVersion": "v1", "metadata": {"namespace": namespace, "labels": {"cluster-name": name}}}
    told = {"state": "running", "role": "primary", "timeline": 2, "xlog_location": 50331744}
    labels = {"cluster-name": name, "spilo-role": "master", "application": "spilo"}
    config = {"initialize": "7710906256264391189", "history": '[[1, 50331744, "none", "2026-11-22T08:14:35+00:00"]]'}
    yield {
        **head,
        "kind": "Pod",
        "metadata": {
            "name": f"{name}-0", "namespace": namespace, "labels": labels, "annotations": {"status": json.dumps(told)},
        },
        "spec": {"containers": [{"name": "postgres", "env": [{"name": "A", "value": "b"}]}]},
        "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]},
    }  # fmt: skip
    yield {
        **head,
        "kind": "ConfigMap",
        "metadata": {"name": f"{name}-config", "namespace": namespace, "annotations": config},
    }
    yield {
        **head,
        "kind": "Event",
        "metadata": {"name": f"{name}.1", "namespace": namespace},
        "type": "Warning",
        "reason": "FailedCreate",
        "message": "pods quota exceeded",
        "lastTimestamp": "2026-11-22T08:14:35Z",
        "involvedObject": {"kind": "postgresql", "namespace": namespace, "name": name},
    }


class ClusterTarget:
    """A cluster as a list of live objects in JSON, in which whatever others may write is anything."""

    name = "cluster"
    words = ("WALG_S3_PREFIX", "secretKeyRef", "valueFrom", "planton.ai/", "spilo-role", "CLONE_", "STANDBY_")

    def __init__(self) -> None:
        """Makes the manifests that are planned against every cluster."""
        text = manifests.operator() + manifests.database(backup='s3_prefix: "/own/$(SCOPE)"')
        clone = (EXAMPLES / "clone-at-a-time" / "manifest.yaml").read_text()
        self._sets = [planton.loads(text), planton.loads(manifests.database("customers"))]
        self._sets.append(
            planton.loads(manifests.database(spec="ingress:\n  enabled: true\n  dns_domain: a.example.org"))
        )
        self._sets.append(planton.loads(clone))
        for loaded in self._sets[:1]:
            for message in loaded:
                plant(message)

    def seeds(self) -> Iterator[bytes]:
        """Clusters to which each example was applied."""
        crd = {
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": {"name": "postgresqls.acid.zalan.do"},
            "status": {"conditions": [{"type": "Established", "status": "True"}]},
        }
        texts = [manifests.operator() + manifests.database() + manifests.database("customers", backup="{}")]
        texts += [path.read_text() for path in sorted(EXAMPLES.glob("*/manifest.yaml"))]
        for text in texts:
            loaded = planton.loads(text)
            for message in loaded:
                plant(message)
            with contextlib.suppress(PlantonError):
                objects = json.loads(json.dumps(list(planton.render(loaded))))
                live = [_live(one, number) for number, one in enumerate([crd, *objects], 1)]
                for one in objects:
                    if one["kind"] == "postgresql":
                        live += _patroni(one["metadata"]["name"], one["metadata"]["namespace"])
                yield json.dumps(_stored(live)).encode()

    def mutate(self, data: bytes, most: int, seed: int, fallback: trees.Fallback) -> bytes:
        """Changes what others may write, in one to three objects."""
        random = Random(seed)
        try:
            objects = json.loads(data)
            for _ in range(random.choice((1, 1, 2, 3))):
                _changed(random.choice(objects), objects, random)
            made = json.dumps(objects).encode()
        except (ValueError, TypeError, LookupError, RecursionError, AttributeError):
            return fallback(data, most)
        return made if len(made) <= most else data

    def run(self, data: bytes) -> list[str]:
        """Plans, looks at and extracts from a cluster."""
        objects = _objects(data)
        if objects is None:
            return []
        cluster = Cluster(Connection(FrozenServer(objects), _IDENTITY, sleep=_never))
        hidden = _hidden(objects)
        texts: list[str] = []
        chance = zlib.crc32(data)
        messages = self._sets[chance % len(self._sets)]
        options = PlanOptions(
            set_id="a" if chance & 16 else None,
            force_conflicts=bool(chance & 32),
            operator_namespace="postgres-operator" if chance & 64 else None,
            skip_checks=True,
            allow_archive_reuse=bool(chance & 128),
            allow_encryption_change=bool(chance & 256),
        )
        texts += _seen(lambda: _plan(cluster, messages, options), hidden)
        texts += _seen(lambda: _statuses(cluster, messages), hidden)
        for one in objects:
            if one["metadata"].get("managedFields") and one["kind"] != "Secret":
                applied(one)
        return texts


def _never(seconds: float) -> None:
    raise Finding("it waits for a server that has answered")


def _seen(call: Any, hidden: tuple[str, ...]) -> list[str]:
    try:
        texts = [*call()]
    except PlantonError as error:
        texts = shown(error)
    check_texts(texts, hidden)
    # What stands in the open may be shown.
    for mark in {*MARKERS} - {*hidden}:
        texts = [one.replace(mark, "") for one in texts]
    return texts


def _plan(cluster: Cluster, messages: Any, options: PlanOptions) -> Iterator[str]:
    plan = cluster.plan(messages, options=options)
    yield from (str(plan), repr(plan))
    yield _printed(lambda console: show_changes(plan.changes, console, unchanged=True))
    yield json.dumps(changes_data(plan.changes))


def _statuses(cluster: Cluster, messages: Any) -> Iterator[str]:
    found = cluster.status(messages, archives=False)
    yield _printed(lambda console: _status.show(found, cluster.identity, console))
    yield json.dumps([_status.as_data(one) for one in found])


def _printed(show: Any) -> str:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, "utf-8", write_through=True)
    with contextlib.redirect_stdout(stream), contextlib.redirect_stderr(stream):
        show(Console())
    text = raw.getvalue().decode()
    check_screen(text)
    return text


def _changed(obj: Any, objects: list[Any], random: Random) -> None:
    """Changes one object as somebody with access to it could: the server holds the forms of its own kinds."""
    metadata = obj["metadata"]
    if obj["kind"] == "postgresql" and random.random() < 0.6:
        # Its CRD may be anybody's; what is in `env`, `clone` and the like no CRD looks at.
        part = random.choice(("spec", "spec", "spec", "status"))
        env = (obj.get("spec") or {}).get("env")
        if isinstance(env, list) and env and random.random() < 0.5:
            obj["spec"]["env"] = _environment(env, random)
            return
        inner = trees.mutated(obj.get(part) or {}, random, _SPEC_NAMES)
        obj[part] = inner if isinstance(inner, dict) else {}
        return
    if random.random() < 0.1:
        copy = json.loads(json.dumps(obj))
        copy["metadata"]["name"] = random.choice(("other", "db-orders", "db-x", metadata["name"] + "-1"))
        if "namespace" in metadata:
            copy["metadata"]["namespace"] = random.choice(
                ("orders", "other", "postgres-operator", metadata["namespace"])
            )
        objects.append(copy)
        return
    if random.random() < 0.1:
        objects.remove(obj)
        return
    if random.random() < 0.1:
        metadata["deletionTimestamp"] = "2026-11-22T08:14:35Z"
        return
    if random.random() < 0.1:
        metadata.pop("managedFields", None)
        return
    place = metadata if obj["kind"] not in ("ConfigMap", "Secret") or random.random() < 0.4 else obj
    name = "data" if place is obj else random.choice(("annotations", "annotations", "labels"))
    texts = place.setdefault(name, {})
    key = random.choice([*texts, *_ENTRIES]) if random.random() < 0.9 or not texts else str(trees.scalar(random))
    if random.random() < 0.15:
        texts.pop(key, None)
        return
    old = texts.get(key, "")
    texts[key] = _text(old, random)
    if obj["kind"] == "Secret" and place is obj:
        texts[key] = base64.b64encode(texts[key].encode("utf-8", "surrogatepass")).decode()


def _environment(env: list[Any], random: Random) -> list[Any]:
    """Another environment: the CRD looks at nothing in an entry but that it is a mapping."""
    if random.random() < 0.4:
        env = [*env, {"name": random.choice(_VARIABLES), "valueFrom": {"secretKeyRef": {"name": "own", "key": "id"}}}]
    one = random.choice(env)
    if isinstance(one, dict) and random.random() < 0.3:
        one["name"] = random.choice(_VARIABLES)
    changed = trees.mutated([one], random, _SPEC_NAMES)
    others = [other for other in env if other is not one]
    return [*others, *(part for part in changed if isinstance(part, dict))] if isinstance(changed, list) else others


_VARIABLES = (
    "CLONE_AWS_ACCESS_KEY_ID", "STANDBY_AWS_ACCESS_KEY_ID", "WALG_LIBSODIUM_KEY", "WALG_PGP_KEY", "WALG_S3_PREFIX",
    "AWS_SECRET_ACCESS_KEY", "PLANTON_DATABASE_CREDENTIALS_GENERATION", "CLONE_TARGET_TIME", "USE_WALG_BACKUP",
)  # fmt: skip
_SPEC_NAMES = (
    "env", "name", "value", "valueFrom", "secretKeyRef", "key", "clone", "standby", "postgresql", "version", "teamId",
    "numberOfInstances", "additionalVolumes", "cluster", "timestamp", "s3_wal_path", "PostgresClusterStatus",
)  # fmt: skip
_ENTRIES = (
    "planton.ai/backup-platform", "planton.ai/credentials-generation", "planton.ai/credential-sources",
    "planton.ai/restored-from", "planton.ai/set", "planton.ai/resource", "status", "history", "initialize", "key",
    "WALG_S3_PREFIX", "AWS_ENDPOINT", "BACKUP_SCHEDULE", "pod_environment_configmap", "kubernetes_use_configmaps",
    "max_instances", "external-dns.alpha.kubernetes.io/hostname", "delete-clustername",
)  # fmt: skip


def _text(old: str, random: Random) -> str:
    """Another text for one that stood somewhere; where it was JSON, mostly other JSON."""
    if random.random() < 0.8:
        with contextlib.suppress(ValueError, TypeError, RecursionError):
            tree = json.loads(old)
            if isinstance(tree, (dict, list)):
                return json.dumps(trees.mutated(tree, random))
    one = trees.scalar(random)
    return one if isinstance(one, str) else json.dumps(one)


def _objects(data: bytes) -> list[KubernetesObject] | None:
    """Reads an input; None for what no API server could hold."""
    try:
        objects: list[KubernetesObject] = json.loads(data)
        for one in objects:
            key = key_of(one)
            if not _NAME.fullmatch(key.name) or (key.namespace and not _NAME.fullmatch(key.namespace)):
                return None
            for place in (one["metadata"].get("annotations"), one["metadata"].get("labels"), one.get("data")):
                if place is not None and not all(isinstance(part, str) for part in (*place, *place.values())):
                    return None
            if one["kind"] == "postgresql" and not _is_taken(one):
                return None
            if one["kind"] == "Secret":
                for value in (one.get("data") or {}).values():
                    base64.b64decode(value, validate=True)
            json.dumps(one, ensure_ascii=False).encode()
            for entry in one["metadata"].get("managedFields") or ():
                # The server keeps them in step with the object.
                entry["fieldsV1"] = _in_step(entry["fieldsV1"], one)
        _stored(objects)
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError, PlantonError):
        return None
    return objects


def _in_step(fields: Any, value: Any) -> Any:
    if not isinstance(value, dict):
        return {}
    return {name: _in_step(inner, value[name[2:]]) for name, inner in fields.items() if name[2:] in value}


def _is_taken(database: KubernetesObject) -> bool:
    """Whether the operator's CRD takes it: v1.15.1, pkg/apis/acid.zalan.do/v1/crds.go."""
    spec, status = database["spec"], database.get("status", {})
    maps = ("postgresql", "volume", "clone", "standby", "podAnnotations", "resources", "users", "databases", "patroni")
    lists = ("env", "additionalVolumes", "allowedSourceRanges", "tolerations", "sidecars", "initContainers")
    texts = [spec.get("teamId", ""), spec["volume"]["size"], spec["postgresql"]["version"]]
    for part in ("clone", "standby"):
        texts += (spec.get(part) or {}).values()
    count = spec.get("numberOfInstances", 0)
    return (
        all(isinstance(spec.get(name, {}), dict) for name in maps)
        and all(isinstance(one, dict) for name in lists for one in spec.get(name) or ())
        and all(isinstance(spec.get(name) or [], list) for name in lists)
        and all(isinstance(one, str) for one in texts)
        and all(isinstance(one["name"], str) for one in spec.get("additionalVolumes") or ())
        and isinstance(status, dict)
        and all(isinstance(one, str) for one in status.values())
        and type(count) is int
        and 0 <= count < 1 << 31
    )


_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]{0,250}[a-z0-9])?")


def _hidden(objects: list[KubernetesObject]) -> tuple[str, ...]:
    """Tells which secrets stand in Secrets alone."""
    in_the_open = json.dumps([{**one, "data": None} if one["kind"] == "Secret" else one for one in objects])
    return tuple(mark for mark in MARKERS if mark not in in_the_open)
