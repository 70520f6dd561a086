"""The registry of kinds. A new kind is a proto package, a translate module and a row here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from types import MappingProxyType
from typing import TYPE_CHECKING, cast

from planton.types import PostgresKubernetes, PostgresOperatorKubernetes, Resource

if TYPE_CHECKING:
    from planton.translate.contract import Translate

API_VERSION = "kubernetes.project-planton.org/v1"


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of resource.

    Attributes:
        name: The value of `kind` in a manifest.
        api_version: The value of `apiVersion` in a manifest.
        message: The message class.
        translator: Module whose `translate` turns a message into Kubernetes objects; imported when first used.
        rank: Place in the order of translation and of objects: lower first.
    """

    name: str
    api_version: str
    message: type[Resource]
    translator: str
    rank: int

    def translate(self) -> Translate:
        """Loads the translator.

        Returns:
            The function that turns a message of this kind into objects.
        """
        return cast("Translate", import_module(self.translator).translate)


KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        kind.name: kind
        for kind in (
            Kind(
                "PostgresOperatorKubernetes", API_VERSION, PostgresOperatorKubernetes, "planton.translate.operator", 0
            ),
            Kind("PostgresKubernetes", API_VERSION, PostgresKubernetes, "planton.translate.database", 1),
        )
    }
)
"""All kinds by name."""
