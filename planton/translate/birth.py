"""What a restored database was made from, as it is written down on its custom resource.

It is written when the custom resource is created and never changed afterwards. What it says of the archive itself
(system identifier, timeline, base backup) is known to whoever has read the archive, and is added before the write.
"""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass, fields

_LONGEST = 1024
_SAFE = re.compile(r"[-A-Za-z0-9._:/+$() ]*", re.ASCII)


@dataclass(frozen=True, slots=True)
class Birth:
    """What a database was restored from.

    Attributes:
        prefix: Archive of its source, `s3://<bucket>/<path>` with every variable filled in.
        target_time: Time up to which it was restored, as the manifest has it; empty for all that was archived.
        system_identifier: System identifier of PostgreSQL in that archive; empty when nobody has looked.
        timeline: Timeline of its source, in decimal; empty likewise.
        backup: Name of the base backup that was to be used; empty likewise.
        version: Major version of PostgreSQL in that archive; empty when it is not known.
    """

    prefix: str
    target_time: str = ""
    system_identifier: str = ""
    timeline: str = ""
    backup: str = ""
    version: str = ""

    def to_json(self) -> str:
        """Writes what is known.

        Returns:
            JSON with sorted keys and without spaces, for the annotation RESTORED_FROM_ANNOTATION.
        """
        known = {name: value for name, value in asdict(self).items() if value}
        return json.dumps(known, sort_keys=True, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> Birth | None:
        """Reads what to_json wrote. Facts that a later version added are passed over.

        Args:
            text: The annotation's value. Anybody may have written it.

        Returns:
            What it says; None for a text that is no such annotation.
        """
        try:
            facts = json.loads(text)
        except (ValueError, RecursionError):
            return None
        if not isinstance(facts, dict):
            return None
        given = {one.name: facts[one.name] for one in fields(cls) if one.name in facts}
        if not given.get("prefix") or not all(_is_safe(value) for value in given.values()):
            return None
        return cls(**given)


def _is_safe(value: object) -> bool:
    return isinstance(value, str) and len(value) <= _LONGEST and _SAFE.fullmatch(value) is not None
