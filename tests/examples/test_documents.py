"""What the documents show works as written: every manifest, and every table of what becomes of one."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable
from pathlib import Path

import pytest

import planton
from planton.cluster.backups.recovery_window import recovery_window
from planton.rendering import Rendering
from planton.translate.environment import SPILO_DEFAULTS
from planton.translate.existing import Existing
from planton.translate.platform import BackupPlatform
from planton.translate.policy import POLICY_VARIABLES
from planton.translate.secret_fields import references_in
from planton.translate.secret_values import Reference, SecretValues
from planton.translate.store import STORE_VARIABLES, store_of
from planton.types import BackupStorage, PostgresKubernetes, Resource
from tests.keys import certificate, private_key
from tests.manifests import database
from tests.translate.spilo_model import pod_environment

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
STORES = sorted(path for path in (ROOT / "docs" / "stores").glob("*.md") if path.name != "README.md")


def blocks(path: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", path.read_text(), re.DOTALL | re.MULTILINE)


def manifests(path: Path) -> list[str]:
    return [text for text in blocks(path, "yaml") if text.startswith("apiVersion")]


MANIFESTS = [
    pytest.param(text, id=f"{path.relative_to(ROOT)}-{number}")
    for path in PAGES
    for number, text in enumerate(manifests(path), 1)
]


def fitting(path: str, number: int) -> str:
    """Gives a value of the form that a field wants, which is found again wherever it ends up."""
    mark = f"{number:02d}SENTINEL"
    if path.endswith("libsodium.key"):
        return f"{number:02x}" * 32
    if path.endswith("pgp.key"):
        return private_key(mark)
    if path.endswith("certificate_authority"):
        return certificate(mark)
    return mark * 4


def filled(messages: Iterable[Resource]) -> tuple[Existing, list[str]]:
    """Looks up every reference of a set, as a cluster would; gives the values, too."""
    found: dict[Reference, str] = {}
    for message in messages:
        for path, reference in references_in(message):
            found.setdefault(reference, fitting(path, len(found)))
    sentinels = [part for value in found.values() for part in value.split("\n") if part and not part.startswith("---")]
    return Existing(values=SecretValues(found)), sentinels


def sources_elsewhere(messages: Iterable[Resource]) -> set[str]:
    """Names the databases that manifests start from or follow, and that a page takes for granted."""
    databases = [message for message in messages if isinstance(message, PostgresKubernetes)]
    specs = [message.spec for message in databases]
    sources = {one for spec in specs for one in (spec.clone.source.database.name, spec.standby.source.database.name)}
    return sources - {"", *(message.metadata.name for message in databases)}


def rendered(text: str) -> tuple[Rendering, list[str]]:
    messages = list(planton.loads(text))
    messages += [one for name in sources_elsewhere(messages) for one in planton.loads(database(name))]
    existing, sentinels = filled(messages)
    platform: BackupPlatform | None = None
    if all(message.kind == "PostgresKubernetes" for message in messages):
        platform = planton.render(planton.load(ROOT / "examples" / "operator-full" / "manifest.yaml")).platform
    planton.validate(messages, platform, existing)
    return planton.render(messages, platform, existing), sentinels


@pytest.mark.parametrize("text", MANIFESTS)
def test_manifest(text: str) -> None:
    objects, sentinels = rendered(text)
    elsewhere = json.dumps([one for one in objects if one["kind"] != "Secret"])
    secrets = [
        base64.b64decode(value).decode() for one in objects if one["kind"] == "Secret" for value in one["data"].values()
    ]
    assert not [sentinel for sentinel in sentinels if sentinel in elsewhere]
    assert not [sentinel for sentinel in sentinels if not any(sentinel in value for value in secrets)]


def test_there_are_manifests_on_every_page_about_backups() -> None:
    pages = [*STORES, *(ROOT / "docs" / f"{name}.md" for name in ("credentials", "encryption", "retention"))]
    assert [path.name for path in pages if not manifests(path)] == []


@pytest.mark.parametrize("path", [path for path in PAGES if blocks(path, "json")], ids=lambda path: path.name)
def test_json(path: Path) -> None:
    for text in blocks(path, "json"):
        json.loads(text)


@pytest.mark.parametrize("path", STORES, ids=lambda path: path.stem)
def test_what_the_pods_get(path: Path) -> None:
    """The table of a store's page is all that its first manifest says of the store."""
    (table,) = re.findall(r"^## What the pods get\n\n(.*?)\n\n", path.read_text(), re.DOTALL | re.MULTILINE)
    listed = dict(re.findall(r"^\| `([A-Za-z0-9_]+)` \| `(.*)` \|$", table, re.MULTILINE))
    messages = planton.loads(manifests(path)[0])
    existing, _ = filled(messages)
    told = pod_environment(planton.render(messages, existing=existing), "db-orders", "orders")
    assert listed == {name: value for name, value in told.items() if name in STORE_VARIABLES | {"WALG_S3_PREFIX"}}


INDEX = (ROOT / "docs" / "stores" / "README.md").read_text()


@pytest.mark.parametrize("path", STORES, ids=lambda path: path.stem)
def test_every_store_is_in_the_index(path: Path) -> None:
    """Endpoint, region and style of the index are those that are filled in."""
    (row,) = [line for line in INDEX.splitlines() if line.startswith("|") and f"({path.name})" in line]
    _, _, _, fields, endpoint, region, style, encryption, _ = (cell.strip() for cell in row.split("|"))
    kind = re.findall(r"`(\w+)`", fields)[0]
    storage = BackupStorage(bucket_name="bucket")
    getattr(storage, kind).SetInParent()
    given = storage.s3_compatible
    if kind == "s3_compatible":
        given.endpoint, given.region, given.force_path_style = "https://given", "us-east-1", True
    if kind == "cloudflare_r2":
        storage.cloudflare_r2.cloudflare_account_id = "<account>"
    store = store_of(storage)
    shown = {"": "none", "https://given": "you say it"}.get(store.endpoint, f"`{store.endpoint}`")
    assert endpoint == shown
    assert region == (f"`{store.region}`" if store.region else "you say it")
    assert style == ("in the path" if store.force_path_style else "before the host")
    assert encryption.startswith(f"`{store.server_side_encryption}`") == bool(store.server_side_encryption)


def test_what_planton_says() -> None:
    """Texts that the pages show as planton's are in the code, also where a line of it ends in between."""
    code = "".join(path.read_text() for path in sorted((ROOT / "planton").rglob("*.py")))
    joined = re.sub(r'"\s*\n\s*f?"', "", code)
    shown = [
        text for path in PAGES for text in re.findall(r"^\| `planton \w+`: `([^`]+)`", path.read_text(), re.MULTILINE)
    ]
    assert len(shown) > 4
    assert [text for text in shown if text not in joined] == []


def test_recovery_windows() -> None:
    page = (ROOT / "docs" / "retention.md").read_text()
    rows = re.findall(r"^\| `([^`]+)`[^|]*\| (\d+) \| (.*) \|$", page, re.MULTILINE)
    assert len(rows) == 4
    for schedule, count, window in rows:
        assert str(recovery_window({"BACKUP_SCHEDULE": schedule, "BACKUP_NUM_TO_RETAIN": count})) == window


def test_defaults_of_the_reference() -> None:
    """Retention and tuning: the defaults are those that `planton env` shows."""
    words = {"none": "unlimited"}
    rows = re.findall(
        r"^\| `(?:retention|tuning)\.\w+` \|[^|]*\| ([^|]*) \|[^|]*\| (.*) \|$",
        (ROOT / "docs" / "reference.md").read_text(),
        re.MULTILINE,
    )
    listed = {
        name: words.get(value.strip("`"), value.strip("`"))
        for value, cell in rows
        for name in re.findall(r"`(\w+)`", cell)
    }
    assert listed == {name: SPILO_DEFAULTS[name] for name in POLICY_VARIABLES - {"WALG_LIBSODIUM_KEY_TRANSFORM"}}
