"""Databases of a cluster for whose archives somebody asks by name: what is found without reading a Secret."""

from __future__ import annotations

from typing import Any, cast

import pytest

import planton
from planton.cluster.api.server import Server
from planton.cluster.backups.sources import OperatorGives, read_sources
from planton.cluster.planning.references import resolve
from planton.errors import ManifestError
from planton.manifest import prepare
from planton.translate.archive_access import FoundSource
from planton.translate.archive_sources import wanted_sources
from planton.translate.existing import Existing, ExistingDatabase
from tests.cluster.objects import Object
from tests.manifests import database, operator
from tests.translate.beginnings import beginning, by_name, by_place

ON = {"WALG_S3_PREFIX": "s3://b/$(POD_NAMESPACE)/$(SCOPE)/$(PGVERSION)", "USE_WALG_BACKUP": "true"}


def cr(namespace: str, name: str, *entries: Any, **spec: Any) -> Object:
    return {
        "metadata": {"namespace": namespace, "name": name},
        "spec": {"postgresql": {"version": "16"}, "env": list(entries), **spec},
    }


def literal(name: str, value: str) -> Object:
    return {"name": name, "value": value}


def look(text: str, databases: list[Object], given: dict[str, str] | None = None) -> dict[tuple[str, str], FoundSource]:
    # Nothing here has a Secret, so that the server is not asked.
    server = cast("Server", None)
    return read_sources(server, wanted_sources(planton.loads(text)), databases, OperatorGives(given or {}))


def found(database: Object, given: dict[str, str] | None = None) -> FoundSource:
    asked = beginning("clone", by_name(database["metadata"]["name"], database["metadata"]["namespace"]))
    (one,) = look(asked, [database], given).values()
    return one


def test_what_it_inherits_and_what_it_says_itself() -> None:
    access = found(cr("shop", "db-orders", literal("AWS_REGION", "own")), {**ON, "AWS_REGION": "theirs"}).access
    assert access is not None
    assert (access.namespace, access.scope, access.version) == ("shop", "db-orders", "16")
    assert access.prefix == "s3://b/shop/db-orders/16"
    assert access.environment == {"AWS_REGION": "own"}


def test_by_the_name_that_planton_gives_or_that_somebody_else_gave() -> None:
    databases = [cr("orders", "db-orders"), cr("x", "acid-orders")]
    asked = beginning("clone", by_name()) + beginning("clone", by_name("acid-orders", "x"), name="second")
    prefixes = {one.access.prefix for one in look(asked, databases, ON).values() if one.access}
    assert prefixes == {"s3://b/orders/db-orders/16", "s3://b/x/acid-orders/16"}


def test_older_names_of_others() -> None:
    older = {"WALE_S3_PREFIX": "s3://old/$(SCOPE)", "WALE_S3_ENDPOINT": "https+path://minio.example.com:9000"}
    access = found(cr("x", "acid-orders"), older).access
    assert access is not None
    assert access.prefix == "s3://old/acid-orders"
    assert access.endpoint == "https://minio.example.com:9000"


def test_a_key_in_clear_is_a_key() -> None:
    entry = literal("AWS_SECRET_ACCESS_KEY", "sentinel-in-clear")
    access = found(cr("x", "acid-orders", entry), ON).access
    assert access is not None
    assert access.contents.reveal() == {"AWS_SECRET_ACCESS_KEY": "sentinel-in-clear"}
    assert "sentinel" not in repr(access)


REFERENCE = {"secretKeyRef": {"name": "theirs", "key": "k"}}
FIELD = {"fieldRef": {"fieldPath": "metadata.name"}}


@pytest.mark.parametrize(
    ("entries", "given", "words"),
    [
        ([], {}, "its backups are off"),
        ([literal("WALG_S3_PREFIX", "")], ON, "its backups are off"),
        ([{"name": "WALG_S3_PREFIX", "valueFrom": REFERENCE}], ON, "takes WALG_S3_PREFIX from a Secret"),
        ([{"name": "AWS_REGION", "valueFrom": FIELD}], ON, "takes AWS_REGION from something else"),
        ([literal("WALG_S3_PREFIX", "s3://b/$(OTHER)")], ON, "a variable cannot be filled in"),
        ([], {"WALG_GS_PREFIX": "gs://b/x", "USE_WALG_BACKUP": "true"}, "gs://, which planton does not read"),
    ],
)
def test_what_cannot_be_used(entries: list[Object], given: dict[str, str], words: str) -> None:
    one = found(cr("orders", "db-orders", *entries), given)
    assert one.access is None
    assert words in one.lacking


def test_what_is_not_there() -> None:
    databases = [cr("shop", "db-orders"), cr("a", "db-a")]
    (nowhere,) = look(beginning("clone", by_name("order")), databases).values()
    assert "nor in the cluster (postgresql order/db-order)" in nowhere.lacking
    assert "by archive in the place of database" in nowhere.lacking
    (elsewhere,) = look(beginning("clone", by_name()), databases).values()
    assert "one of this name is in namespace shop: say which by namespace" in elsewhere.lacking
    (near,) = look(beginning("clone", by_name("ordres", "shop")), databases).values()
    assert "it has shop/db-orders" in near.lacking
    (nothing,) = look(beginning("clone", by_name()), []).values()
    assert "it has no database at all" in nothing.lacking


def test_what_is_in_the_set_or_made_already_is_not_looked_for() -> None:
    assert look(database("orders") + beginning("clone", by_name()), [cr("orders", "db-orders")], ON) == {}
    there = [cr("orders", "db-orders"), cr("restored", "db-restored")]
    assert look(beginning("clone", by_name()), there, ON) == {}
    # A standby goes on to need it.
    assert [one.access is not None for one in look(beginning("standby", by_name()), there, ON).values()] == [True]


def test_what_a_clone_was_read_with_is_not_looked_up_once_it_is_there() -> None:
    place = "credentials: {access_key_id: {environment_variable: NOT_SET_1}, secret_access_key: {file: /not/there}}"
    text = operator() + beginning("clone", by_place(place))
    prepared = prepare(planton.loads(text))
    with pytest.raises(ManifestError, match="NOT_SET_1"):
        resolve(None, prepared, Existing())
    there = Existing(from_cluster=True, databases=(ExistingDatabase("restored", "db-restored"),))
    assert resolve(None, prepared, there).reveal() == {}
    follows = prepare(planton.loads(operator() + beginning("standby", by_place(place))))
    with pytest.raises(ManifestError, match="NOT_SET_1"):
        resolve(None, follows, there)
