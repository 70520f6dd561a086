"""Values that belong in Secrets: credentials that never print, and references that are resolved elsewhere.

A manifest gives such a value itself, or says where it is: in an environment variable, in a file, in a Secret of the
cluster. Translation knows no environment, file or cluster: it takes what was found there as SecretValues, and what
was not found stays a reference.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal, TypeAlias

from planton.sensitive import is_showable, looks_like_key
from planton.translate.secret_checks import as_stored
from planton.types import SecretValue

_LONG_TOKEN = re.compile(r"(?=[a-z]*[0-9])[a-z0-9]{20}", re.ASCII)

Source: TypeAlias = Literal["environment variable", "file", "Secret"]


@dataclass(frozen=True, slots=True, order=True)
class Reference:
    """Where a value is.

    Attributes:
        source: What holds it.
        name: Name of the variable, path of the file, or `namespace/name` of the Secret.
        key: Key in the Secret; empty otherwise.
    """

    source: Source
    name: str
    key: str = ""

    @property
    def is_showable(self) -> bool:
        """Whether no part of it can be a key that was written in the place of a name."""
        return self.shown_name == self.name and self.shown_key == self.key

    @property
    def shown_name(self) -> str:
        """Its name; `…` in the place of what can be a key."""
        if self.source == "file":
            return _shown_path(self.name)
        if self.source != "Secret":
            return _shown(self.name)
        namespace, slash, name = self.name.rpartition("/")
        # Often has a date or a number in it.
        return ("…" if _LONG_TOKEN.search(namespace) else namespace) + slash + _shown(name)

    @property
    def shown_key(self) -> str:
        """Its key; `…` in the place of what can be a key of another kind."""
        return _shown(self.key) if self.key else ""

    def __str__(self) -> str:
        """Such as `environment variable R2_KEY` or `key id of Secret storage/bucket`."""
        name = f"{self.source} {self.shown_name}"
        return f"key {self.shown_key} of {name}" if self.key else name


def _shown(name: str) -> str:
    return name if is_showable(name) else "…"


def _shown_path(path: str) -> str:
    if looks_like_key(path):
        return "…"
    # A word alone can be a file in this folder, and as well a password.
    if "/" not in path and "." not in path:
        return _shown(path)
    return "/".join("…" if looks_like_key(part) else part for part in path.split("/"))


def reference_of(value: SecretValue, namespace: str) -> Reference | None:
    """Reads a reference.

    Args:
        value: The value of a manifest.
        namespace: Namespace in which a Secret is meant that names none.

    Returns:
        The reference, or None for a value that stands in the manifest.
    """
    source = value.WhichOneof("source")
    if source == "environment_variable":
        return Reference("environment variable", value.environment_variable)
    if source == "file":
        return Reference("file", value.file)
    if source == "secret":
        secret = value.secret
        return Reference("Secret", f"{secret.namespace or namespace}/{secret.name}", secret.key)
    return None


class SecretData(dict[str, str]):
    """The `data` of a Secret. Does not print itself, wherever an object lands that holds it."""

    def __repr__(self) -> str:
        """Counts the keys."""
        return f"<{len(self)} hidden>"


def secret_text(encoded: object) -> str | None:
    """Reads a value in the `data` of a Secret.

    Args:
        encoded: The value as a server has it; None where there is none.

    Returns:
        Its text; None where there is none, or what there is is no base64 or no text.
    """
    if not isinstance(encoded, str):
        return None
    try:
        return base64.b64decode(encoded, validate=True).decode("utf-8")
    except ValueError:  # Of both: binascii.Error and UnicodeDecodeError are such.
        return None


class _Hidden:
    """Refuses to be written down."""

    __slots__ = ()

    def __reduce__(self) -> tuple[Any, ...]:
        raise TypeError("credentials are not pickled")

    def __deepcopy__(self, memo: dict[int, Any]) -> _Hidden:
        return self


class SecretValues(_Hidden):
    """What references lead to. Prints how many it knows, never a value."""

    __slots__ = ("_values",)

    def __init__(self, values: Mapping[Reference, str] | None = None) -> None:
        """Makes the value.

        Args:
            values: Reference -> what was found there.
        """
        self._values: Mapping[Reference, str] = MappingProxyType(dict(values or {}))

    def get(self, reference: Reference) -> str | None:
        """Gives what a reference leads to.

        Args:
            reference: The reference.

        Returns:
            The value, or None when it was not looked up.
        """
        return self._values.get(reference)

    def reveal(self) -> Mapping[Reference, str]:
        """Gives everything, for hiding it in texts and nothing else.

        Returns:
            Reference -> value.
        """
        return self._values

    def __eq__(self, other: object) -> bool:
        """Compares by value."""
        return isinstance(other, SecretValues) and self._values == other._values

    def __hash__(self) -> int:
        """Hashes by value."""
        return hash(tuple(sorted(self._values.items())))

    def __repr__(self) -> str:
        """Counts the values."""
        return f"SecretValues({len(self._values)} hidden)"


class Credentials(_Hidden):
    """Contents of a Secret. Prints its keys, never a value."""

    __slots__ = ("_data", "_references", "_values")

    def __init__(self, values: Mapping[str, str], references: Mapping[str, Reference] | None = None) -> None:
        """Makes the value.

        Args:
            values: Key of the Secret -> its value.
            references: Key of the Secret -> where its value is, for those that nobody has looked up.
        """
        self._values: Mapping[str, str] = MappingProxyType(dict(sorted(values.items())))
        self._references: Mapping[str, Reference] = MappingProxyType(dict(sorted((references or {}).items())))
        self._data: SecretData | None = None

    def reveal(self) -> Mapping[str, str]:
        """Gives the values, for writing into a Secret and nowhere else.

        Returns:
            Key -> its value, sorted by key, without those that are only referred to.
        """
        return self._values

    @property
    def unresolved(self) -> Mapping[str, Reference]:
        """Key -> where its value is, for those that nobody has looked up."""
        return self._references

    def only(self, names: Collection[str]) -> Credentials:
        """Gives a part.

        Args:
            names: Keys that are meant; those that it does not have are passed over.

        Returns:
            The contents of these keys.
        """
        return Credentials(
            {key: value for key, value in self._values.items() if key in names},
            {key: one for key, one in self._references.items() if key in names},
        )

    def over(self, other: Credentials) -> Credentials:
        """Lays these contents over others.

        Args:
            other: What lies below: of it counts what is not here, known or not.

        Returns:
            Both together.
        """
        below = other.only([key for key in other.keys() if key not in self.keys()])  # noqa: SIM118
        return Credentials({**below._values, **self._values}, {**below._references, **self._references})

    def keys(self) -> tuple[str, ...]:
        """Gives the keys.

        Returns:
            Keys of the Secret, sorted.
        """
        return tuple(sorted({*self._values, *self._references}))

    def data(self) -> SecretData:
        """Writes the `data` of a Secret.

        Returns:
            Key -> value in base64. A value that nobody has looked up is written as `<where it is>`, which is no base64:
            no API server takes it. It is the caller's own.
        """
        if self._data is None:
            encoded = {key: base64.b64encode(value.encode()).decode("ascii") for key, value in self._values.items()}
            references = {key: f"<{one}>" for key, one in self._references.items()}
            self._data = SecretData(sorted({**encoded, **references}.items()))
        return SecretData(self._data)

    def __bool__(self) -> bool:
        """Tells whether there is any key."""
        return bool(self._values or self._references)

    def __eq__(self, other: object) -> bool:
        """Compares by value."""
        return (
            isinstance(other, Credentials) and self._values == other._values and self._references == other._references
        )

    def __hash__(self) -> int:
        """Hashes by value."""
        return hash((tuple(self._values.items()), tuple(self._references.items())))

    def __repr__(self) -> str:
        """Names the keys only."""
        return f"Credentials({', '.join(self.keys())})"


def credentials_from(
    given: Mapping[str, SecretValue],
    namespace: str,
    found: SecretValues,
    further: Mapping[str, str] | None = None,
) -> Credentials:
    """Puts the contents of a Secret together.

    Args:
        given: Key of the Secret -> the value of a manifest.
        namespace: Namespace in which a Secret is meant that names none.
        found: What references lead to, as far as they were looked up.
        further: What else it holds, which is no credential.

    Returns:
        The contents.
    """
    values: dict[str, str] = dict(further or {})
    references: dict[str, Reference] = {}
    for key, value in given.items():
        reference = reference_of(value, namespace)
        if reference is None:
            values[key] = as_stored(key, value.value)
        elif (there := found.get(reference)) is not None:
            values[key] = as_stored(key, there)
        else:
            references[key] = reference
    return Credentials(values, references)
