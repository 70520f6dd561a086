"""Somebody edits by hand while planton is at work: between its look and its write, which is when it counts.

The gate lets somebody else act right before one write of planton's reaches the server. What they did is never written
over unseen: planton goes on where it does not matter, and else says what has changed and writes nothing there.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from tests.e2e.thirty import KEYS, R2, operator
from tests.e2e.watching import OPERATOR, STORAGE
from tests.faults.observed import Observed
from tests.faults.village import MERGE, Village, says_why

pytestmark = [pytest.mark.cluster, pytest.mark.slow, pytest.mark.xdist_group("together")]

SETTINGS = f"/api/v1/namespaces/{OPERATOR}/configmaps/{OPERATOR}"
DEPLOYMENT = f"/apis/apps/v1/namespaces/{OPERATOR}/deployments/{OPERATOR}"
NOBODY = {"data": {"AWS_ACCESS_KEY_ID": "bm9ib2R5"}}


@pytest.fixture
def here(inhabited: Village) -> Iterator[Village]:
    """The village, where every state is checked once the test is over."""
    yield inhabited
    inhabited.check()


def database(here: Village) -> tuple[str, str, str]:
    """Gives a database that is there, with a manifest that changes it."""
    name = here.new_name()
    assert here.run("apply", here.file(here.text(name))).code == 0
    return name, here.postgresql(name), here.file(here.text(name, 'backup_schedule: "3 3 * * *"'))


def test_a_database_edited_between_plan_and_write(here: Village, observed: Observed) -> None:
    name, path, changed = database(here)
    here.gate.meanwhile(f"PATCH {path}", lambda: here.edit(path, {"metadata": {"labels": {"team": "them"}}}))
    ended = here.run("apply", changed)
    assert ended.code == 0, ended.err
    found = here.api.request("GET", path)
    assert found["metadata"]["labels"]["team"] == "them"
    here.is_idle(changed)
    # Their number of instances is not written over, though planton has said another one.
    other = here.file(here.text(name, 'backup_schedule: "4 4 * * *"'))
    here.gate.meanwhile(f"PATCH {path}", lambda: here.edit(path, {"spec": {"numberOfInstances": 3}}))
    says_why(here.run("apply", other), f"postgresql/{name}/db-{name}", "kubectl-edit", "spec.numberOfInstances")
    found = here.api.request("GET", path)
    assert found["spec"]["numberOfInstances"] == 3
    assert "4 4 * * *" not in str(found["spec"])
    refused = here.run("apply", other)
    says_why(refused, "kubectl-edit", "spec.numberOfInstances")
    assert refused.writes == []
    forced = here.run("apply", other, "--force-conflicts")
    assert forced.code == 0, forced.err
    here.is_idle(other)
    observed(
        "a database is edited by hand between plan and write",
        "a label of theirs: the apply went on, and the label stayed; a field that planton has: the apply wrote nothing "
        "there and named the manager and the field, so did the next run, and --force-conflicts took it over",
    )


def test_a_database_that_is_edited_all_the_time(here: Village, observed: Observed) -> None:
    _, path, changed = database(here)
    over = threading.Event()
    edits = 0

    def storm() -> None:
        nonlocal edits
        while not over.is_set():
            here.edit(path, {"metadata": {"annotations": {"example.org/seen": str(edits)}}}, "controller")
            edits += 1

    thread = threading.Thread(target=storm)
    thread.start()
    try:
        ended = here.run("apply", changed)
    finally:
        over.set()
        thread.join()
    assert ended.code == 0, ended.err
    assert edits > 10
    here.is_idle(changed)
    assert {"name": "BACKUP_SCHEDULE", "value": "3 3 * * *"} in here.api.request("GET", path)["spec"]["env"]
    observed(
        "a controller writes annotations of a database all the time",
        f"{edits} writes of theirs during one apply; it went through, and wrote over none of them",
    )


def test_the_very_object_is_made_in_between(here: Village, observed: Observed) -> None:
    name = here.new_name()
    path, manifest = here.postgresql(name), here.file(here.text(name))
    spec = {"teamId": "them", "numberOfInstances": 2, "postgresql": {"version": "16"}, "volume": {"size": "7Gi"}}
    theirs = {
        "apiVersion": "acid.zalan.do/v1",
        "kind": "postgresql",
        "metadata": {"name": f"db-{name}"},
        "spec": spec,
    }
    here.gate.meanwhile(f"PATCH {path}", lambda: here.create(path.rpartition("/")[0], theirs))
    says_why(here.run("apply", manifest), f"postgresql/{name}/db-{name}", "kubectl-create")
    assert here.api.request("GET", path)["spec"] == spec
    again = here.run("apply", manifest)
    says_why(again, f"postgresql/{name}/db-{name}", "kubectl-create")
    assert again.writes == []
    # The same of a Secret: whose keys they are nobody knows, so no pod is to run on them.
    space = here.new_name()
    secret, manifest = here.secret(space), here.file(here.text(space))
    body = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": STORAGE}, **NOBODY}
    here.gate.meanwhile(f"PATCH {secret}", lambda: here.create(secret.rpartition("/")[0], body))
    says_why(here.run("apply", manifest), f"Secret/{space}/{STORAGE}", "kubectl-create")
    assert here.api.request("GET", secret)["data"] == NOBODY["data"]
    assert here.get(here.postgresql(space)) is None
    here.api.request("DELETE", secret)
    here.converges(manifest)
    observed(
        "somebody makes the very object between plan and write",
        "a database and a copy of the keys: neither was touched, the error named whose it is, and no database was "
        "written on top of a Secret that is not planton's",
    )


def test_a_copy_of_the_keys_goes_while_they_rotate(here: Village, observed: Observed) -> None:
    name, _, _ = database(here)
    generation, path = here.generation(), here.secret(name)
    here.new_keys()
    keys = here.file(operator(R2, KEYS))
    begin = int(here.api.request("GET", path)["metadata"]["resourceVersion"])
    here.gate.meanwhile(f"PATCH {path}", lambda: here.api.request("DELETE", path))
    says_why(here.run("apply", keys), f"Secret/{name}/{STORAGE}")
    # Pods are told when every copy is there, and not before.
    assert here.generation() == generation
    ended = here.run("apply", keys)
    assert ended.code == 0, ended.err
    end = int(here.api.request("GET", path)["metadata"]["resourceVersion"])
    here.recording.rules.excused.append((name, begin, end))
    here.is_idle(keys)
    assert here.generation() == generation + 1
    observed(
        "a copy of the keys is deleted by hand while they rotate",
        "the apply said which one is gone, and told no pod of the new keys; the next run made it anew and told them",
    )


def test_the_operator_edited_in_between(here: Village, observed: Observed) -> None:
    other = here.file(operator(R2, KEYS, schedule="7 7 * * *"))
    here.gate.meanwhile(f"PATCH {SETTINGS}", lambda: here.edit(SETTINGS, {"data": {"workers": "3"}}))
    here.gate.meanwhile(f"PATCH {DEPLOYMENT}", lambda: here.edit(DEPLOYMENT, _restart(), "kubectl-rollout"))
    ended = here.run("apply", other)
    left = here.gate.unused()
    if left:
        # The schedule stands in the backup ConfigMap: of the settings nothing changes, so that nothing was sent there.
        assert left == [f"PATCH {SETTINGS}"]
    says_why(ended, f"Deployment/{OPERATOR}/{OPERATOR}", "it has changed since the plan")
    here.converges(other)
    template = here.api.request("GET", DEPLOYMENT)["spec"]["template"]
    assert template["metadata"]["annotations"]["kubectl.kubernetes.io/restartedAt"] == "then"
    # A setting by hand is a conflict, since planton has it.
    here.edit(SETTINGS, {"data": {"workers": "3"}})
    refused = here.run("apply", other)
    says_why(refused, f"ConfigMap/{OPERATOR}/{OPERATOR}", "kubectl-edit", "data.workers")
    assert refused.writes == []
    forced = here.run("apply", other, "--force-conflicts")
    assert forced.code == 0, forced.err
    here.converges(other)
    here.converges(here.file(operator(R2, KEYS)))
    observed(
        "the operator is restarted or set by hand while its manifest is applied",
        "a restart: the apply said that the Deployment has changed, the next run finished and left their mark there; a "
        "setting: refused with manager and field, and taken over with --force-conflicts",
    )


def _restart() -> dict[str, object]:
    annotations = {"kubectl.kubernetes.io/restartedAt": "then"}
    return {"spec": {"template": {"metadata": {"annotations": annotations}}}}


def test_a_database_made_again_while_it_is_deleted(here: Village, observed: Observed) -> None:
    names = sorted((here.new_name(), here.new_name()))
    text = here.file(*(here.text(name) for name in names))
    assert here.run("apply", text).code == 0
    here.until_made(*names)
    claims = {}
    for name in names:
        labels = {"application": "spilo", "cluster-name": f"db-{name}"}
        folder = f"/api/v1/namespaces/{name}/persistentvolumeclaims"
        claims[name] = f"{folder}/pgdata-db-{name}-0"
        spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
        here.api.request("POST", folder, {"metadata": {"name": f"pgdata-db-{name}-0", "labels": labels}, "spec": spec})
        here.world.may_go.add((name, f"db-{name}"))
    first, second = names
    here.world.data_may_go.add((first, f"db-{first}"))
    path = here.postgresql(second)
    body = here.api.request("GET", path)
    theirs = {key: body[key] for key in ("apiVersion", "kind", "spec")} | {"metadata": {"name": f"db-{second}"}}
    here.gate.meanwhile(f"DELETE {claims[first]}", lambda: here.create(path.rpartition("/")[0], theirs))
    words = ["--volumes", "--passwords", "--storage-secret", "--without-backup"]
    ended = here.run("delete", text, *[part for name in names for part in ("--yes-delete", name)], *words)
    assert "deletionTimestamp" in here.api.request("GET", claims[first])["metadata"]
    assert "deletionTimestamp" not in here.api.request("GET", claims[second])["metadata"]
    assert here.get(here.secret(second)) is not None
    assert ended.code == 0, ended.err
    stays = f"stays: postgresql/{second}/db-{second} was made meanwhile"
    assert stays in ended.out
    # Gone for good now, so that it is in nobody's way.
    here.world.cut.add((second, f"db-{second}"))
    marks = {"metadata": {"annotations": {"delete-clustername": f"db-{second}"}, "finalizers": None}}
    here.api.request("PATCH", path, marks, content_type=MERGE)
    here.api.request("DELETE", path)
    here.until(lambda: here.get(path) is None, "it goes")
    observed(
        "a database is made again by hand while it is deleted with its volumes",
        "its volume, its passwords and its copy of the keys stayed, and the output says for which database",
    )
