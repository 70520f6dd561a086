"""A cluster with the real operator and backups, for tests of others who write at the same time as planton."""

from __future__ import annotations

import base64
import itertools
import os
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

import planton
from planton.cluster import PlanOptions
from sandbox import ApiError, Sandbox
from sandbox._api import Api
from tests.e2e.thirty import KEYS, R2, database, operator
from tests.e2e.watching import BETWEEN, GENERATION, MARK, OPERATOR, STORAGE, Object, digest_of
from tests.faults.invariants import record
from tests.faults.killing import Ended, Gate, Moment, Runner

MARKS = (MARK, base64.b64encode(MARK.encode()).decode())
MERGE = "application/merge-patch+json"
_SUBJECT = re.compile(r"\b[A-Za-z]+/[a-z0-9-]+/[a-z0-9.-]+")


class Village:
    """The cluster, seen by planton through a gate and by everybody else without it."""

    def __init__(self, sandbox: Sandbox, gate: Gate, folder: Path) -> None:
        self.sandbox = sandbox
        self.gate = gate
        self.folder = folder
        self.api = Api.from_kubeconfig(sandbox.kubeconfig)
        self.runner = Runner(gate, folder, MARKS)
        self.cluster = planton.connect(self.runner.kubeconfig)
        self._keys = itertools.count(1)
        self._names = itertools.count(1)
        self.operator = self.file(operator())
        assert self.run("apply", self.operator).code == 0
        self.recording, self.world = record(self.api)
        # The operator learns the name of a Secret at its start only: a known limit when keys come.
        self.recording.rules.limits.add(BETWEEN)
        self.new_keys()
        self.operator = self.file(operator(R2, KEYS))
        assert self.run("apply", self.operator).code == 0
        self.recording.check(finished=True)
        self.recording.rules.limits.clear()

    def new_name(self) -> str:
        """Gives a name that nothing has had, for a database and its namespace."""
        return f"house-{next(self._names):03}"

    def new_keys(self) -> dict[str, str]:
        """Gives the operator's manifest other keys, of the next generation."""
        number = next(self._keys)
        keys = {"AWS_ACCESS_KEY_ID": f"{MARK}id-{number:04}", "AWS_SECRET_ACCESS_KEY": f"{MARK}secret/key+{number:04}"}
        self.runner.environment |= dict(zip(("TEST_BUCKET_ID", "TEST_BUCKET_SECRET"), keys.values(), strict=True))
        self.recording.rules.contents["", number - 1].add(digest_of(keys))
        return keys

    def file(self, *parts: str) -> str:
        """Writes manifests into a file of their own; gives its path."""
        path = self.folder / f"{next(self._names):03}.yaml"
        path.write_text("".join(parts))
        return str(path)

    def text(self, name: str, backup: str = "", *, space: str = "", more: str = "") -> str:
        """Writes the manifest of a database, in a namespace of its name unless it is said."""
        text = database((space or name, name), backup)
        return text.replace("spec:\n", f"spec:\n{more}\n") if more else text

    def run(self, *arguments: str) -> Ended:
        """Runs a command; the file comes behind its name."""
        return self.runner.run(*order(*arguments))

    def converges(self, *arguments: str) -> None:
        """Runs an apply to its end, and sees that there is nothing left to do."""
        ended = self.run("apply", *arguments)
        assert ended.code == 0, ended.out + ended.err
        self.is_idle(*arguments)
        self.recording.check(finished=True)

    def is_idle(self, path: str, *options: str) -> None:
        """Sees that an apply has nothing to do, and writes nothing."""
        self.gate.begin(Moment("never"), lambda: None)
        set_id = options[options.index("--set") + 1] if "--set" in options else None
        with patch.dict(os.environ, self.runner.environment):
            plan = self.cluster.plan(planton.load(Path(path)), options=PlanOptions(set_id=set_id))
        assert not plan.changed, [one.subject for one in plan.changes if one.action not in ("unchanged", "skipped")]
        assert not self.gate.settle()

    def check(self) -> None:
        """Goes through every state since the last check."""
        self.recording.check()
        assert not self.gate.unused()

    # What somebody else does.

    def get(self, path: str) -> Object | None:
        try:
            return self.api.request("GET", path)
        except ApiError as error:
            if error.status == 404:
                return None
            raise

    def edit(self, path: str, patch: Object, manager: str = "kubectl-edit") -> Object:
        return self.api.request("PATCH", f"{path}?fieldManager={manager}", patch, content_type=MERGE)

    def create(self, path: str, body: Object) -> Object:
        return self.api.request("POST", f"{path}?fieldManager=kubectl-create", body)

    def postgresql(self, name: str, space: str = "") -> str:
        """Path of a database's custom resource."""
        return f"/apis/acid.zalan.do/v1/namespaces/{space or name}/postgresqls/db-{name}"

    def secret(self, space: str, name: str = STORAGE) -> str:
        return f"/api/v1/namespaces/{space}/secrets/{name}"

    def generation(self) -> int:
        """The generation that pods are told; 0 for none."""
        found = self.get(f"/api/v1/namespaces/{OPERATOR}/configmaps/postgres-pod-backup-config")
        assert found is not None
        return int(found["data"].get(GENERATION, 0))

    def until(self, probe: Any, what: str, seconds: float = 60.0) -> Any:
        end = time.monotonic() + seconds
        while not (answer := probe()):
            assert time.monotonic() < end, f"not in time: {what}"
            time.sleep(0.1)
        return answer

    def until_made(self, *names: str) -> None:
        """Waits until the operator has made the StatefulSets of databases."""
        for name in names:
            path = f"/apis/apps/v1/namespaces/{name}/statefulsets/db-{name}"
            self.until(lambda path=path: self.get(path), f"StatefulSet of {name}")


def order(verb: str, *arguments: str) -> list[str]:
    """Makes a command of a verb, its file and its options."""
    return [verb, "-f", *arguments] if arguments and arguments[0].endswith(".yaml") else [verb, *arguments]


def says_why(ended: Ended, *words: str) -> None:
    """Checks that a run that has not done its work says so to whoever started it: what, and what to do."""
    assert ended.code == 1, ended.out + ended.err
    assert "Traceback" not in ended.err
    assert _SUBJECT.search(ended.err) or "the cluster has changed since the plan" in ended.err, ended.err
    for word in words:
        assert word in ended.err, f"{word!r} is not in:\n{ended.err}"


@pytest.fixture(scope="package")
def inhabited(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Village]:
    """One cluster for all tests of others who write; at the end nothing is left of it."""
    with Sandbox.start() as sandbox, Gate(sandbox) as gate:
        made = Village(sandbox, gate, tmp_path_factory.mktemp("village"))
        try:
            yield made
        finally:
            made.recording.close()
    made.recording.join()
