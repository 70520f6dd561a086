"""Whose event is whose; no cluster is needed."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from planton.cluster.api.mask import HIDDEN, Scrubber
from planton.cluster.api.server import Server
from planton.cluster.status import _events


class Said:
    """A server that has events about some objects."""

    scrubber = Scrubber(["sentinel-of-the-set"])
    connection = SimpleNamespace(without_own=lambda text: text.replace("sentinel-of-the-client", HIDDEN))
    shown = Server.shown

    def __init__(self, *names: str) -> None:
        self.names = names
        self.more: dict[str, str] = {}

    def list(self, *_: Any, **__: Any) -> list[Any]:
        return [
            {"metadata": {}, "involvedObject": {"kind": "Pod", "name": one}, "reason": "x", **self.more}
            for one in self.names
        ]


def test_events_are_of_the_database_whose_name_fits_best() -> None:
    server: Any = Said(
        "db-orders", "db-orders-0", "db-orders-eu", "db-orders-eu-0", "db-billing-0", "pgdata-db-orders-0"
    )
    others = ("db-orders", "db-orders-eu", "db-billing")

    def of(name: str, known: tuple[str, ...] = others) -> set[str]:
        return {event.subject.removeprefix("Pod/") for event in _events(server, "a", name, [], known)}

    assert of("db-orders") == {"db-orders", "db-orders-0"}
    assert of("db-orders-eu") == {"db-orders-eu", "db-orders-eu-0"}
    assert of("db-orders", ()) == {"db-orders", "db-orders-0", "db-orders-eu", "db-orders-eu-0"}


def test_an_event_shows_no_credentials_of_the_set_nor_of_the_client() -> None:
    said = Said("db-orders")
    said.more = {
        "message": "denied: sentinel-of-the-set, Bearer sentinel-of-the-client",
        "reason": "sentinel-of-the-set",
    }
    server: Any = said
    (event,) = _events(server, "a", "db-orders", [])
    assert (event.message, event.reason) == (f"denied: {HIDDEN}, Bearer {HIDDEN}", HIDDEN)
