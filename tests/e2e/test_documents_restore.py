"""The pages about restores, each followed once as written: on a cluster, with a real S3 server."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.documents import DOCS, blocks, commands, compare
from tests.e2e.documents_world import BUCKET, ORDERS, World

pytestmark = [pytest.mark.cluster, pytest.mark.slow, pytest.mark.xdist_group("e2e-documents-restore")]

PAGES = ("archive", "move", "disaster-recovery", "restore")
RESTORED = "before 2026-11-22 09:41:00.000000+00"


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """An installation with the database `orders`, which runs, and whose archive reaches until noon."""
    with World(tmp_path) as made:
        made.store.create_bucket(BUCKET)
        made.write("manifests/orders.yaml", ORDERS)
        made.apply("manifests/")
        # The archive comes with time. One that is not empty before its database is there would be refused.
        made.archive_of_orders()
        made.runs("orders")
        yield made


def test_each_page_followed_once_as_written(world: World) -> None:
    """One installation for all of them; the last page deletes its database."""
    world.far.create_bucket("far-backups")
    reader = world.reader
    reader.before = {
        "planton status -f orders-moved.yaml": lambda: world.runs(
            "orders-moved", namespace="shop", timeline=2, left="no recovery target specified"
        ),
        "planton status -f orders-standby.yaml": lambda: world.runs("orders-standby", role="standby_leader"),
        "planton status -f orders-restored.yaml": lambda: world.runs(
            "orders-restored", namespace="orders", timeline=2, left=RESTORED
        ),
        "--yes-delete orders ": lambda: world.goes_with_its_resource("orders"),
    }
    for page in PAGES:
        reader.follow(DOCS / f"{page}.md")
    assert set(reader.before) <= {part for part in reader.before for line in reader.typed if part in line}


@pytest.mark.parametrize("page", PAGES)
def test_nothing_on_a_page_is_passed_over(page: str) -> None:
    """Every block is followed: commands are typed, outputs follow commands, and manifests say their file."""
    text = (DOCS / f"{page}.md").read_text()
    found = list(blocks(DOCS / f"{page}.md"))
    assert len(found) == text.count("```") // 2
    assert any(block.kind == "output" for block in found)
    planton = [line for block in found if block.kind == "commands" for line, _ in commands(block.text)]
    assert planton
    assert all(re.match(r"(planton|kubectl) ", line) for line in planton)


def test_an_output_that_is_not_as_shown() -> None:
    printed = "Archive:  s3://b/x\n\nBACKUP  AGE\nbase_1  2 h 5 min\nDone.\n"
    for shown in ("Archive: s3://b/x\nBACKUP AGE\nbase_1 7 min\nDone.\n", "…\nbase_… 3 d 4 h\n…\n"):
        compare(shown, printed)
    for shown in ("Archive: s3://b/x\nDone.\n", "…\nDone.\nbase_1 1 s\n", "…\nbase_1 1 s\n", "…\nbase_2 1 s\n…\n"):
        with pytest.raises(AssertionError):
            compare(shown, printed)
