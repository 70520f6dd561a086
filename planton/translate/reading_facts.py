"""What is written down of how an archive is reached and read. No credential is in it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

_PLACE = re.compile(r"[a-z0-9][-a-z0-9]{0,62}/[a-z0-9][-a-z0-9.]{0,252}/[-._A-Za-z0-9]{1,253}", re.ASCII)
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}", re.ASCII)
_LONGEST = 4096


@dataclass(frozen=True, slots=True)
class ReadingFacts:
    """How an archive is reached and read, without its keys.

    Attributes:
        environment: Variables by wal-g's names; none of them is a credential, and none is empty.
        references: Variable -> `namespace/name/key` of the Secret that has its value.
        certificate: `namespace/name/key` of the certificate of the store's authority; empty when there is none.
        missing: Variables whose values stood in plain text, or came from elsewhere than a Secret.
    """

    environment: Mapping[str, str] = field(default_factory=dict)
    references: Mapping[str, str] = field(default_factory=dict)
    certificate: str = ""
    missing: tuple[str, ...] = ()

    @property
    def secrets(self) -> tuple[tuple[str, str], ...]:
        """Namespace and name of every Secret that is needed, sorted."""
        places = [*self.references.values(), *([self.certificate] if self.certificate else [])]
        return tuple(sorted({(space, name) for space, name, _ in (place.split("/", 2) for place in places)}))

    def to_data(self) -> dict[str, Any]:
        """Gives the facts for JSON, in few bytes.

        Returns:
            A dict without what is empty.
        """
        whole: dict[str, Any] = {
            "environment": dict(sorted(self.environment.items())),
            "references": dict(sorted(self.references.items())),
            "certificate": self.certificate,
            "missing": list(self.missing),
        }
        return {name: value for name, value in whole.items() if value}

    @classmethod
    def from_data(cls, data: object) -> ReadingFacts | None:
        """Reads what to_data gave. Whoever may write the record may have written anything.

        Args:
            data: What JSON had.

        Returns:
            The facts, without anything of another form; None for what is not of that form at all.
        """
        if not isinstance(data, dict):
            return None
        certificate = data.get("certificate", "")
        missing = data.get("missing", [])
        return cls(
            _texts(data.get("environment")),
            {name: place for name, place in _texts(data.get("references")).items() if _PLACE.fullmatch(place)},
            certificate if isinstance(certificate, str) and _PLACE.fullmatch(certificate) else "",
            tuple(str(one) for one in missing if _NAME.fullmatch(str(one))) if isinstance(missing, list) else (),
        )


def _texts(given: object) -> dict[str, str]:
    if not isinstance(given, dict):
        return {}
    return {
        name: value
        for name, value in given.items()
        if isinstance(value, str) and len(value) <= _LONGEST and _NAME.fullmatch(name)
    }
