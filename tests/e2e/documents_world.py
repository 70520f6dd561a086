"""The installation of which the pages about restores speak: a cluster, stores, and a database with an archive."""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from textwrap import indent
from types import TracebackType

from planton.catalogue.names import WAL, segment_name
from sandbox import Sandbox
from sandbox._api import Api
from sandbox._errors import ApiError
from sandbox.object_store import ObjectStore
from tests.api import eventually
from tests.catalogue.wal_pages import IDENTIFIER, SEGMENT, Writer, commit
from tests.cluster.conftest import SETTINGS
from tests.cluster.objects import Object
from tests.cluster.patroni import config, create_pod, history, pod, told
from tests.cluster.restorable import Restorable
from tests.e2e.documents import Reader

STORE, FAR_STORE = "minio.example.com:9000", "minio.far.example.com:9000"
BUCKET = "pg-backups"
_MERGE = "application/merge-patch+json"
_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
_FIRST, _STEP = 3, timedelta(minutes=30)
_MAGIC = 0xD116  # of PostgreSQL 17

OPERATOR = f"""\
apiVersion: kubernetes.project-planton.org/v1
kind: PostgresOperatorKubernetes
metadata:
  name: postgres-operator
spec:
  container: {{}}
{indent(SETTINGS.strip(), "  ")}
  backup_config:
    storage:
      bucket_name: {BUCKET}
      s3_compatible:
        endpoint: https://{STORE}
      certificate_authority:
        file: ca.crt
    credentials:
      access_key_id:
        environment_variable: BACKUP_ACCESS_KEY_ID
      secret_access_key:
        environment_variable: BACKUP_SECRET_ACCESS_KEY
    backup_schedule: "0 2 * * *"
"""
ORDERS = """\
apiVersion: kubernetes.project-planton.org/v1
kind: PostgresKubernetes
metadata:
  name: orders
spec:
  version: "17"
  container:
    disk_size: 20Gi
"""


def wal_archive(start: datetime, count: int, backups: Mapping[int, datetime], *, key: bytes = b"") -> Restorable:
    """Makes an archive from which a restore works: a segment each half hour, whose last commit is 7.3 s before it came.

    Args:
        start: When the first segment came.
        count: How many segments.
        backups: Place of a segment -> when the base backup that begins in it was finished.
        key: Key of libsodium; empty for none.

    Returns:
        The archive.
    """
    archive = Restorable(key=key)
    for place in range(count):
        came = start + _STEP * place
        writer = Writer(base=(_FIRST + place) * SEGMENT, magic=_MAGIC)
        for before in (1200.0, 300.0, 7.3):
            moment = came - timedelta(seconds=before)
            writer.record(commit((moment - _EPOCH) // timedelta(microseconds=1)))
        name = segment_name(1, _FIRST + place, SEGMENT)
        archive.put(f"{WAL}{name}.lz4", came, archive.stored_as(writer.segment()))
    for place, finished in backups.items():
        begun = finished - timedelta(seconds=42)
        archive.base(_FIRST + place, finished, start=begun, version=170002, uncompressed=12_884_901_888)
    return archive


@dataclass
class World:
    """The installation, and somebody who reads pages in front of it."""

    folder: Path

    def __enter__(self) -> World:
        """Starts it."""
        self._stack = ExitStack()
        enter = self._stack.enter_context
        try:
            self.store = enter(ObjectStore.start(region="us-east-1"))
            self.far = enter(ObjectStore.start(region="us-east-1"))
            self.sandbox = enter(Sandbox.start())
        except BaseException:
            self._stack.close()
            raise
        self.api = Api.from_kubeconfig(self.sandbox.kubeconfig)
        self.reader = Reader(
            self.folder,
            {STORE: f"127.0.0.1:{self.store.port}", FAR_STORE: f"127.0.0.1:{self.far.port}"},
            {
                "KUBECONFIG": str(self.sandbox.kubeconfig),
                "BACKUP_ACCESS_KEY_ID": self.store.access_key_id,
                "BACKUP_SECRET_ACCESS_KEY": self.store.secret_access_key,
                "FAR_ACCESS_KEY_ID": self.far.access_key_id,
                "FAR_SECRET_ACCESS_KEY": self.far.secret_access_key,
            },
        )
        root = Path(__file__).resolve().parents[2]
        self.reader.program("planton", f'#!/bin/sh\nexec "{sys.executable}" -m planton "$@"\n')
        kubectl = "import os, sys; from pathlib import Path; from tests.e2e.documents_kubectl import main; "
        kubectl += "sys.exit(main(sys.argv[1:], Path(os.environ['KUBECONFIG'])))"
        self.reader.program("kubectl", f'#!/bin/sh\nPYTHONPATH="{root}" exec "{sys.executable}" -c "{kubectl}" "$@"\n')
        for name, store in (("ca.crt", self.store), ("far-ca.crt", self.far)):
            (self.folder / name).write_text(store.certificate_authority_pem or "")
        self.write("manifests/operator.yaml", OPERATOR)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Ends it."""
        self._stack.close()

    def write(self, name: str, text: str) -> None:
        """Writes a manifest of before the page."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(self.reader.here(text))

    def archive_of_orders(self, store: ObjectStore | None = None, bucket: str = BUCKET) -> None:
        """Fills the archive of the database `orders`: three nights, and WAL until noon of the day of the pages."""
        start = self.reader.at("2026-11-20T02:30:00+00:00")
        nights = {at: start + _STEP * at - timedelta(minutes=29, seconds=17) for at in (0, 48, 96)}
        self._archive(store or self.store, bucket, "backups/db-orders/17", wal_archive(start, 116, nights))

    def _archive(self, store: ObjectStore, bucket: str, path: str, archive: Restorable) -> None:
        folder = store.folder / "data" / bucket
        if not folder.exists():
            store.create_bucket(bucket)
        archive.write(folder / path)

    def apply(self, path: str) -> None:
        """Applies manifests of before the page."""
        self.reader.type(f"planton apply -f {path} --timeout 2m")

    def runs(self, name: str, *, timeline: int = 1, left: str = "", namespace: str = "", role: str = "primary") -> None:
        """Makes of a database what a cluster with nodes would: its pod, what Patroni writes, and that it runs."""
        space, resource = namespace or name, f"db-{name}"
        place = f"/apis/acid.zalan.do/v1/namespaces/{space}/postgresqls/{resource}"
        eventually(lambda: self._state(place) == "CreateFailed" or None, f"{name} to wait for its pods", 120.0)
        lines = history((1, left, "2026-11-22T12:03:00+00:00")) if left else None
        self.api.request(
            "POST", f"/api/v1/namespaces/{space}/configmaps", config(space, resource, str(IDENTIFIER), lines)
        )
        # The controller manager makes this account in each namespace; admission refuses pods without one.
        with contextlib.suppress(ApiError):
            account = {"metadata": {"name": "default", "namespace": space}}
            self.api.request("POST", f"/api/v1/namespaces/{space}/serviceaccounts", account)
        create_pod(self.api, pod(space, resource, status=told(timeline=timeline, role=role)))
        self.api.request(
            "PATCH", f"{place}/status", {"status": {"PostgresClusterStatus": "Running"}}, content_type=_MERGE
        )
        place = f"/apis/apps/v1/namespaces/{space}/statefulsets/{resource}/status"
        status = {"status": {"replicas": 1, "readyReplicas": 1}}
        self.api.request("PATCH", place, status, content_type=_MERGE)

    def goes_with_its_resource(self, name: str, namespace: str = "") -> None:
        """Has the pod of a database go when its custom resource does, as the StatefulSet's controller would see to."""
        space, resource = namespace or name, f"db-{name}"
        place = f"/apis/acid.zalan.do/v1/namespaces/{space}/postgresqls/{resource}"
        its_pod = f"/api/v1/namespaces/{space}/pods/{resource}-0"
        # The operator deletes the pod as well, and has it wait for the garbage collector, which is not here: its
        # finalizer "orphan" stays (postgres-operator v1.15.1, pkg/cluster/cluster.go, New, and pod.go, deletePod). It
        # goes with a deletion that says "Background", and not with one that says nothing.
        now = {"propagationPolicy": "Background"}

        def is_gone(path: str) -> bool:
            try:
                self.api.request("GET", path)
            except ApiError as error:
                if error.reason == "NotFound":
                    return True
                raise
            return False

        def look() -> bool:
            # A busy server is asked again; an answer that says "deleted" is not believed until the pod is not there.
            with contextlib.suppress(ApiError):
                if is_gone(place):
                    if is_gone(its_pod):
                        return True
                    self.api.request("DELETE", its_pod, now)
            return False

        def watch() -> None:
            while not ended.wait(0.2) and not look():
                pass

        ended = threading.Event()
        thread = threading.Thread(target=watch)
        thread.start()
        # In the opposite order.
        self._stack.callback(thread.join)
        self._stack.callback(ended.set)

    def _state(self, place: str) -> str:
        found: Object = self.api.request("GET", place)
        return str((found.get("status") or {}).get("PostgresClusterStatus", ""))
