"""The reader of manifests, and the whole way of what it takes: loads, dumps, render, and the writer of YAML."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from google.protobuf.message import Message

import planton
from planton.errors import ManifestError, PlantonError
from planton.manifest import Manifests
from planton.translate.secret_fields import secret_fields
from planton.types import PostgresOperatorKubernetes, Resource
from planton.yaml_writer import documents
from tests import manifests
from tests.fuzz import trees
from tests.fuzz.oracle import ACCESS_KEY, LIBSODIUM_KEY, MARKERS, PASSPHRASE, SECRET_KEY, Finding, check_texts, shown

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


class ManifestTarget:
    """Texts of manifests: YAML and JSON, many documents, of either kind."""

    name = "manifests"
    words = (
        *trees.field_names(),
        "---\n",
        "apiVersion: kubernetes.project-planton.org/v1",
        "kind: Postgres",
        "&a",
        "*a",
    )

    def seeds(self) -> Iterator[bytes]:
        """Every example, whole and document by document, as YAML and as JSON, with secrets written in."""
        texts = [path.read_text() for path in sorted(EXAMPLES.glob("*/manifest.yaml"))]
        texts += [manifests.operator(), manifests.database(), manifests.operator() + manifests.database(backup="{}")]
        for text in texts:
            yield text.encode()
            loaded = planton.loads(text)
            for message in loaded:
                plant(message)
                yield planton.dumps([message]).encode()
                yield planton.dumps([message], format="json").encode()
            yield planton.dumps(loaded).encode()
        yield b"a: &a [x, *a]\nb: {<<: *a}\n? [k]\n: |\n  text\n...\n%YAML 1.1\n---\n!!str 1\n"

    def mutate(self, data: bytes, most: int, seed: int, fallback: trees.Fallback) -> bytes:
        """Changes trees more often than bytes."""
        return trees.mutated_yaml(data, most, seed, fallback)

    def run(self, data: bytes) -> list[str]:
        """Reads a text; what is read is written, rendered and read again.

        Args:
            data: The text.

        Returns:
            All that a person may come to see.
        """
        file = "a.json" if data[:1] in (b"{", b"[") and zlib.crc32(data) & 1 else "<text>"
        try:
            loaded = planton.loads(data, file=file)
        except ManifestError as error:
            return shown(error)
        texts = [repr(loaded), *map(str, loaded.origins)]
        round_trip(loaded, "json" if zlib.crc32(data) & 2 else "yaml")
        hidden = hidden_in(loaded)
        check_texts([planton.dumps(loaded, redact=True)], hidden)
        return texts + rendered(loaded, hidden)


def plant(message: Resource) -> None:
    """Writes secrets where a message has values that belong in Secrets."""
    values = {"access_key_id": ACCESS_KEY, "secret_access_key": SECRET_KEY, "passphrase": PASSPHRASE}
    for path, value in secret_fields(message):
        if not path.endswith("certificate_authority"):
            value.value = values.get(path.rpartition(".")[2], LIBSODIUM_KEY)
    if isinstance(message, PostgresOperatorKubernetes) and message.spec.backup_config.HasField("r2_config"):
        store = message.spec.backup_config.r2_config
        if store.access_key_id:
            store.access_key_id, store.secret_access_key = ACCESS_KEY, SECRET_KEY


def round_trip(loaded: Manifests, form: Any) -> None:
    """Writes messages and reads them again."""
    text = planton.dumps(loaded, format=form)
    again = planton.loads(text)
    if list(again) != list(loaded):
        raise Finding("what is dumped does not load to equal messages")
    if planton.dumps(again, format=form) != text:
        raise Finding("what is dumped twice is not the same")


def rendered(loaded: Manifests, hidden: tuple[str, ...]) -> list[str]:
    """Renders messages; what is written of the objects is read again by another reader."""
    try:
        rendering = planton.render(loaded)
    except PlantonError as error:
        return shown(error)
    text = documents(rendering)
    if [*yaml.load_all(text, Loader=yaml.CSafeLoader)] != json.loads(json.dumps(list(rendering))):
        raise Finding("what the writer of YAML writes is read as something else")
    open_objects = [one for one in rendering if one["kind"] != "Secret"]
    check_texts([json.dumps(open_objects, ensure_ascii=False), repr(rendering), repr(list(rendering))], hidden)
    texts = [str(one) for one in rendering.warnings]
    if list(planton.render(loaded)) != list(rendering):
        raise Finding("the second rendering is another one")
    return texts


def hidden_in(loaded: Manifests) -> tuple[str, ...]:
    """Tells which secrets stand nowhere but where they belong, and so may be seen nowhere."""
    open_texts = "\n".join(text for message in loaded for text in _open(message))
    return tuple(mark for mark in MARKERS if mark not in open_texts)


def _open(message: Message) -> Iterator[str]:
    for field, value in message.ListFields():
        if field.GetOptions().debug_redact:
            continue
        if isinstance(value, Message):
            yield from _open(value)
        elif field.message_type is not None and field.message_type.GetOptions().map_entry:
            for key in value:
                yield f"{key}\n{value[key]}"
        else:
            yield str(value) if isinstance(value, str) else "\n".join(map(str, value)) if field.is_repeated else ""
