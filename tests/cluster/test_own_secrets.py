"""The Secret of a standby says from which Secret of its source it was filled, so that it shows when that moves on."""

from __future__ import annotations

import base64
from typing import Any, cast

import planton
from planton.cluster.api.resources import Key, key_of
from planton.cluster.api.server import Server
from planton.cluster.planning.own_secrets import read_outdated
from planton.translate.names import SOURCES_ANNOTATION
from tests.cluster.objects import Object
from tests.manifests import database, operator
from tests.translate.beginnings import beginning, by_name, by_place

OWN = "credentials: {access_key_id: {value: OWNACCESSKEY0001}, secret_access_key: {value: own-secret-of-orders}}"
STORE = "storage: {bucket_name: own-bucket, aws_s3: {region: eu-central-1}}"
ORDERS = database("orders", spec='version: "16"', backup=f"{STORE}\n{OWN}")
SOURCE = "db-orders-backup-credentials"


class Given:
    """An API server that has some objects."""

    def __init__(self, objects: list[Object]) -> None:
        self.objects = {key_of(one): one for one in objects}

    def get(self, key: Key) -> Object | None:
        return self.objects.get(key)

    def named(self, name: str) -> Object:
        (found,) = [one for key, one in self.objects.items() if key.name == name]
        return found


def made(kind: str) -> Given:
    text = operator() + ORDERS + beginning(kind, by_name("orders", "orders"), name="copy")
    objects: list[Any] = list(planton.render(planton.loads(text)))
    return Given([dict(one) for one in objects])


def outdated(given: Given) -> list[str]:
    resource = given.named("db-copy")
    found = read_outdated(cast("Server", given), [resource])
    assert all(one.readable for one in found)
    return [f"{one.subject}: {one.what}" for one in found]


def test_a_standby_whose_source_has_new_keys_is_named() -> None:
    given = made("standby")
    assert outdated(given) == []
    source = given.named(SOURCE)
    source["data"] = {**source["data"], "AWS_SECRET_ACCESS_KEY": base64.b64encode(b"the next one").decode()}
    (said,) = outdated(given)
    assert said.startswith("Secret/copy/db-copy-standby-credentials: ")
    assert f"AWS_SECRET_ACCESS_KEY in Secret/orders/{SOURCE}" in said
    assert "AWS_ACCESS_KEY_ID" not in said
    assert "the next one" not in said


def test_a_clone_reads_its_source_once() -> None:
    secret = made("clone").named("db-copy-clone-credentials")
    assert SOURCES_ANNOTATION not in (secret["metadata"].get("annotations") or {})


def test_keys_in_the_manifest_come_from_no_secret() -> None:
    archive = by_place(f"{STORE}\n{OWN}")
    objects: list[Any] = list(planton.render(planton.loads(operator() + beginning("standby", archive, name="copy"))))
    (secret,) = [one for one in objects if one["metadata"]["name"] == "db-copy-standby-credentials"]
    assert SOURCES_ANNOTATION not in (secret["metadata"].get("annotations") or {})
