"""Restores that are looked into before anything is created: what is refused, what is made, and `planton restore`."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import planton
from planton.catalogue.names import BACKUPS, segment_name
from planton.cluster import DeleteOptions, connect
from planton.errors import ManifestError, PlantonError, RefusedError
from sandbox import Sandbox
from sandbox.object_store import ObjectStore
from tests.api import Api
from tests.catalogue.archives import at
from tests.catalogue.wal_pages import IDENTIFIER, SEGMENT
from tests.cluster.restorable import Restorable, replace_all, whole
from tests.e2e.restoring import SODIUM, World, of_ledger, operator, sources, store_of
from tests.manifests import database
from tests.translate.beginnings import beginning, by_name, by_place

pytestmark = [pytest.mark.cluster, pytest.mark.xdist_group("e2e-restore")]

FIRST = "base_000000010000000000000002"
MIDDLE = "2026-11-22T08:05:00Z"


@pytest.fixture(scope="module")
def world(
    object_store: ObjectStore, object_store_tls: ObjectStore, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[World]:
    with Sandbox.start() as sandbox, pytest.MonkeyPatch.context() as patch:
        patch.setitem(os.environ, "FAR_SODIUM", SODIUM)
        patch.setitem(os.environ, "OTHER_SODIUM", "7f" * 32)
        folder = tmp_path_factory.mktemp("restore")
        made = World(sandbox, Api(sandbox.kubeconfig), object_store, object_store_tls, folder)
        object_store.create_bucket(made.bucket)
        object_store_tls.create_bucket(made.far_bucket)
        made.apply(operator(made) + sources(made))
        ledger = whole(at("08:00:00"), key=bytes.fromhex(SODIUM))
        replace_all(made.archive("ledger/db-ledger/15", far=True), ledger)
        yield made


@pytest.fixture
def where(world: World) -> World:
    """The world with the archive of orders whole: times from 08:00:22 to 08:09:58 of 2026-11-22 can be restored."""
    world.fill(whole(at("08:00:00")))
    return world


def refused(where: World, text: str, error: type[PlantonError] = RefusedError, **options: Any) -> str:
    """Applies what must be refused: not a single object may be written, and none may be there that was not before."""
    written, names = where.written(), where.names()
    with pytest.raises(error) as caught:
        where.apply(text, **options)
    assert where.written() == written
    assert where.names() == names
    told = str(caught.value)
    for secret in (where.main.secret_access_key, where.far.secret_access_key, SODIUM):
        assert secret not in told
    return told


def clone(source: str = "", target: str = "", **more: str) -> str:
    return beginning("clone", source or by_name("orders", "shop"), target=f'"{target}"' if target else "", **more)


def test_a_gap(where: World) -> None:
    archive = whole(at("08:00:00"))
    archive.drop_wal(6)
    where.fill(archive)
    told = refused(where, clone())
    assert told.startswith("PostgresKubernetes/restored: spec.clone.source: s3://")
    assert f"{segment_name(1, 6, SEGMENT)} is missing" in told
    assert "up to 2026-11-22T08:02:58Z" in told


@pytest.mark.parametrize(
    ("target", "nearest"),
    [
        ("2026-11-22T07:00:00Z", "The first time that can be restored is 2026-11-22T08:00:22Z"),
        ("2026-11-22T09:30:00+01:00", "the archive reaches until 2026-11-22T08:09:59Z"),
        ("2999-01-01T00:00:00Z", "in the future, is not possible: the archive reaches until 2026-11-22T08:09:59Z"),
    ],
)
def test_out_of_reach(where: World, target: str, nearest: str) -> None:
    told = refused(where, clone(target=target))
    assert f"a restore to {target}" in told
    assert nearest in told


def test_in_a_hole(where: World) -> None:
    archive = whole(at("08:00:00"))
    archive.drop_wal(6)
    archive.base(9, at("08:07:30"))
    where.fill(archive)
    told = refused(where, clone(target=MIDDLE))
    assert "no restore can go to a time from 2026-11-22T08:02:59Z to 2026-11-22T08:07:32Z" in told
    assert "is 2026-11-22T08:02:58Z before it and 2026-11-22T08:07:32Z after it" in told


def test_nothing_there(where: World) -> None:
    where.fill(Restorable())
    assert "it is empty: nothing was ever archived there" in refused(where, clone())


def test_only_an_unfinished_backup(where: World) -> None:
    archive = whole(at("08:00:00"))
    archive.drop(f"{BACKUPS}{FIRST}_backup_stop_sentinel.json")
    where.fill(archive)
    assert f"it has no finished base backup yet: {FIRST} was begun" in refused(where, clone(target=MIDDLE))


def test_wrong_keys_of_the_store(where: World) -> None:
    place = by_place(store_of(where, far=True, secret="wrong/Secret") + "s3_prefix: /ledger/db-ledger/15", version="15")
    told = refused(where, clone(place))
    assert "spec.clone.source: its archive cannot be read from here" in told
    assert "--skip-check" in told


def test_another_encryption_key(where: World) -> None:
    place = by_place(of_ledger(where, "OTHER_SODIUM"), "db-ledger", "15")
    told = refused(where, clone(place, MIDDLE))
    assert "it cannot be read with what the new database has" in told
    assert "another key wrote it" in told


def test_its_own_archive_is_not_empty(where: World) -> None:
    folder = where.archive("restored/db-restored/15/wal_005")
    folder.mkdir(parents=True)
    (folder / segment_name(1, 1, SEGMENT)).write_bytes(b"of another one")
    try:
        told = refused(where, clone())
        assert "its own archive, s3://" in told
        assert "not empty" in told
        assert "--allow-archive-reuse" in told
        assert where.plan(clone(), allow_archive_reuse=True).changed
    finally:
        (folder / segment_name(1, 1, SEGMENT)).unlink()


def test_its_own_archive_is_that_of_the_source(where: World) -> None:
    told = refused(where, clone(backup="s3_prefix: /shop/db-orders/15"), ManifestError)
    assert "would destroy the backups of the source" in told


def test_versions(where: World) -> None:
    archive = whole(at("08:00:00"), version=160004)
    where.fill(archive)
    # The custom resource says 15, and the archive is of 16.
    told = refused(where, clone())
    assert f"its base backup {FIRST} was made by PostgreSQL 16, and this database has 15" in told
    assert 'is lower than that of the archive ("15")' in refused(where, clone(spec='version: "14"'), ManifestError)


def test_a_store_that_is_not_reached(where: World) -> None:
    text = store_of(where, far=False).replace(where.main.endpoint, "http://127.0.0.1:9")
    told = refused(where, clone(by_place(text + "s3_prefix: /x", "db-x", "15")))
    assert (
        "A restore that was not looked into may come up empty. Where that is meant all the same: --skip-check." in told
    )


def test_no_zone(where: World) -> None:
    told = refused_at_load(where, clone(target="2026-11-22T08:05:00"))
    assert "without the zone nobody knows which time is meant" in told


def refused_at_load(where: World, text: str) -> str:
    return refused(where, text, ManifestError)


def test_a_volume_of_an_earlier_database(where: World) -> None:
    name = f"old-{uuid.uuid4().hex[:6]}"
    where.api.request("post", "/api/v1/namespaces", {"metadata": {"name": name}})
    claim = {
        "metadata": {"name": f"pgdata-db-{name}-0"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    }
    where.api.request("post", f"/api/v1/namespaces/{name}/persistentvolumeclaims", claim)
    told = refused(where, clone(name=name))
    assert f"the volume claim {name}/pgdata-db-{name}-0 is there" in told
    assert "take clone out of the manifest" in told
    # Said also where nothing is looked into.
    warnings = where.plan(clone(name=name), skip_checks=True).warnings
    assert [one for one in warnings if f"the volume claim {name}/pgdata-db-{name}-0 is there" in one.message]


def test_all_of_all_databases_at_once(where: World) -> None:
    small = clone(target="2026-11-22T07:00:00Z", name="small").replace("disk_size: 10Gi", "disk_size: 20Mi")
    other = clone(by_name("ledger"), "2026-11-22T09:00:00Z", name="other")
    told = refused(where, small + other).splitlines()
    assert len(told) == 2
    assert told[0].startswith("PostgresKubernetes/small: ")
    assert told[1].startswith("PostgresKubernetes/other: ")


def test_a_standby_of_an_archive_with_a_gap(where: World) -> None:
    archive = whole(at("08:00:00"))
    archive.drop_wal(6)
    where.fill(archive)
    assert "is missing" in refused(where, beginning("standby", by_name("orders", "shop")))


def test_what_is_accepted(where: World) -> None:
    """From another namespace, to a time, from another store and encrypted, by place; and one that follows."""
    text = clone(name="latest") + clone(target="2026-11-22T10:05:00+02:00", name="timed")
    text += clone(by_name("ledger"), MIDDLE, name="copied")
    text += clone(by_place(of_ledger(where), "db-ledger", "15"), name="placed")
    text += beginning("standby", by_name("orders", "shop"), name="follower")
    written = where.written()
    plan = where.plan(text)
    assert where.written() == written
    effects = "\n".join(plan.effects)
    assert (
        f"db-latest is restored with {FIRST} (finished 2026-11-22T08:00:20Z, PostgreSQL 15) and replays 11" in effects
    )
    assert (
        f"db-timed is restored from {FIRST} (finished 2026-11-22T08:00:20Z, PostgreSQL 15) to 2026-11-22T10:05:00"
        in effects
    )
    assert f"db-follower begins with {FIRST}" in effects
    assert "the last commit that is archived there is of 2026-11-22T08:09:59Z" in effects
    assert not [one for one in plan.warnings if one.path.startswith(("spec.clone", "spec.standby"))]
    result = where.apply(text)
    assert plan.effects[0] in result.effects
    source = {"backup": FIRST, "system_identifier": str(IDENTIFIER), "timeline": "1", "version": "15"}
    orders = {**source, "prefix": f"s3://{where.bucket}/shop/db-orders/15"}
    ledger = {**source, "prefix": f"s3://{where.far_bucket}/ledger/db-ledger/15"}
    assert where.birth("latest") == orders
    assert where.birth("timed") == {**orders, "target_time": "2026-11-22T10:05:00+02:00"}
    assert where.birth("copied") == {**ledger, "target_time": MIDDLE}
    assert where.birth("placed") == ledger
    assert where.birth("follower") == orders
    # It is a fact of birth: whatever becomes of the archive, nothing is looked into again, and nothing changes.
    where.fill(Restorable())
    assert not where.apply(text).changed


def test_without_looking_it_is_said(where: World) -> None:
    where.fill(Restorable())
    plan = where.plan(clone(), skip_checks=True)
    (warning,) = [one for one in plan.warnings if one.path == "spec.clone.source"]
    assert "is not looked into before" in warning.message
    assert where.plan(clone(), skip_checks=True).changed


def test_by_the_command(where: World, tmp_path: Path) -> None:
    """As somebody does it who has only the name: from the live resource, into a file, and applied."""
    path = str(tmp_path / "orders-before.yaml")
    arguments = ["restore", "orders", "--to", "2026-11-22 08:05:00Z", "--as", "orders-before", "--output-file", path]
    written = where.written()
    done = where.run(*arguments)
    assert done.returncode == 1, done
    assert where.written() == written
    assert "There is no terminal to ask on, and no --yes.\n" in done.stderr
    assert f"To apply it: planton apply -f {path} --kubeconfig" in done.stderr
    assert f"db-orders-before is restored from {FIRST}" in done.stdout
    text = Path(path).read_text()
    assert 'target_time: "2026-11-22T08:05:00Z"' in text
    (message,) = planton.load(path)
    assert isinstance(message, planton.types.PostgresKubernetes)
    assert (message.spec.version, message.spec.container.disk_size, message.spec.container.replicas) == (
        "15",
        "10Gi",
        1,
    )
    assert not message.spec.HasField("backup_config")
    # It is not written over, and nothing is done.
    again = where.run(*arguments, "--yes")
    assert (again.returncode, again.stdout) == (1, "")
    assert "is there already" in again.stderr
    Path(path).unlink()
    done = where.run(*arguments, "--yes")
    assert done.returncode == 0, done
    assert where.birth("orders-before", "shop")["target_time"] == "2026-11-22T08:05:00Z"
    assert f"planton status -f {path}" in done.stderr
    # The same command once more: there is such a database now.
    Path(path).unlink()
    done = where.run(*arguments, "--yes")
    assert done.returncode == 1
    assert "the cluster has a database shop/db-orders-before already: nothing is restored in place" in done.stderr
    assert not Path(path).exists()
    # What its file says is what is there.
    done = where.run(*arguments[:4], "--as", "orders", "--yes", "--output-file", path)
    assert "shop/orders is the source itself" in done.stderr


def test_what_is_refused_writes_no_file(where: World, tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    written = where.written()
    done = where.run(
        "restore", "orders", "--to", "2026-11-22T12:00:00Z", "--as", "x", "--yes", "--output-file", str(path)
    )
    assert done.returncode == 1
    assert "the archive reaches until 2026-11-22T08:09:59Z" in done.stderr
    assert not path.exists()
    assert where.written() == written


def test_by_manifests_without_a_credential(where: World, tmp_path: Path) -> None:
    """The source's own store, with keys in clear in its manifest, and encrypted."""
    manifest, path = tmp_path / "ledger.yaml", tmp_path / "copy.yaml"
    manifest.write_text(sources(where))
    done = where.run(
        "restore", "ledger", "--to", "latest", "--as", "ledger-copy", "--as-namespace", "audit", "-f", str(manifest),
        "--output-file", str(path), "--yes", env=_with_keys(),
    )  # fmt: skip
    assert done.returncode == 0, done
    text = path.read_text()
    for secret in (where.far.secret_access_key, where.far.access_key_id, SODIUM):
        assert secret not in text + done.stdout + done.stderr
    assert where.birth("ledger-copy", "audit")["prefix"] == f"s3://{where.far_bucket}/ledger/db-ledger/15"
    own = {one["name"]: one.get("value") for one in where.database("ledger-copy", "audit")["spec"]["env"]}
    assert own["WALG_S3_PREFIX"] == f"s3://{where.far_bucket}/$(POD_NAMESPACE)/$(SCOPE)/$(PGVERSION)"
    assert own["CLONE_WALG_S3_PREFIX"] == f"s3://{where.far_bucket}/ledger/db-ledger/15"


def test_of_a_live_one_with_its_own_store(where: World, tmp_path: Path) -> None:
    path = tmp_path / "copy.yaml"
    done = where.run(
        "restore", "ledger", "--to", "latest", "--as", "ledger-twin", "--output-file", str(path), "--no-apply"
    )
    assert done.returncode == 0, done
    (message,) = planton.load(str(path))
    assert isinstance(message, planton.types.PostgresKubernetes)
    config = message.spec.backup_config
    assert config.storage.bucket_name == where.far_bucket
    assert config.credentials.access_key_id.secret.name == "db-ledger-backup-credentials-libsodium"
    assert config.encryption.libsodium.key.secret.key == "WALG_LIBSODIUM_KEY"
    assert message.spec.clone.source.database.name == "ledger"
    assert where.api.get("/apis/acid.zalan.do/v1/namespaces/ledger/postgresqls/db-ledger-twin") is None


def test_one_that_is_gone(where: World, tmp_path: Path) -> None:
    """Deleted, and restored by the record alone."""
    name = f"gone{uuid.uuid4().hex[:6]}"
    manifest = database(name, spec="version: '15'")
    where.apply(manifest)
    options = DeleteOptions(databases=(name,))
    connect(where.sandbox.kubeconfig).delete(planton.loads(manifest), options=options, timeout=60.0)
    replace_all(where.archive(f"{name}/db-{name}/15"), whole(at("08:00:00")))
    path = tmp_path / "back.yaml"
    done = where.run("restore", name, "--to", MIDDLE, "--as", f"{name}-back", "--output-file", str(path), "--yes")
    assert done.returncode == 0, done
    assert where.birth(f"{name}-back", name)["prefix"] == f"s3://{where.bucket}/{name}/db-{name}/15"
    text = path.read_text()
    assert "gone, by the record of archives" in text
    assert where.main.secret_access_key not in text + done.stdout + done.stderr


def test_one_that_is_in_manifests_only(where: World, tmp_path: Path) -> None:
    """The cluster is a new one: what there is are the manifests and the archives."""
    replace_all(where.archive("lost/db-lost/15"), whole(at("08:00:00")))
    manifest, path = tmp_path / "lost.yaml", tmp_path / "again.yaml"
    manifest.write_text(database("lost", spec="version: '15'"))
    arguments = ["restore", "lost", "--to", "latest", "--as", "lost-again", "-f", str(manifest), "--no-apply"]
    done = where.run(*arguments, "--output-file", str(path))
    assert done.returncode == 0, done
    assert f"starts from the archive s3://{where.bucket}/lost/db-lost/15" in done.stdout
    text = path.read_text()
    assert "# The source is not in this cluster: its archive is given by its place." in text
    assert "cluster_name: db-lost" in text
    # Keys in clear that are in no Secret are never written down.
    manifest.write_text(database("far", spec="version: '15'", backup=of_ledger(where)))
    done = where.run(*[one.replace("lost", "far", 1) if one == "lost" else one for one in arguments],
                     "--output-file", str(tmp_path / "far.yaml"))  # fmt: skip
    assert done.returncode == 1
    assert "spec.backup_config.credentials.secret_access_key: is written in clear" in done.stderr
    assert where.far.secret_access_key not in done.stderr
    assert not (tmp_path / "far.yaml").exists()


def test_nobody_knows_it(where: World) -> None:
    done = where.run("restore", "ordres", "--to", "latest", "--as", "x")
    assert done.returncode == 1
    assert "the cluster has no database ordres" in done.stderr
    assert "No archive of it is remembered, either" in done.stderr


def _with_keys() -> dict[str, str]:
    return {"FAR_SODIUM": SODIUM}
