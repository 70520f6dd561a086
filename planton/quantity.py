"""Quantities as Kubernetes writes them (`500m`, `1Gi`, `2e3`), compared exactly."""

from __future__ import annotations

import re
from decimal import Context, Decimal
from functools import lru_cache

# The grammar of quantities: k8s.io/apimachinery v0.36.3, pkg/api/resource/quantity.go, type Quantity. `K` is no unit.
_FORM = re.compile(r"([+-]?(?:[0-9]+(?:[.][0-9]*)?|[.][0-9]+))(Ki|Mi|Gi|Ti|Pi|Ei|[numkMGTPE]|[eE]([+-]?[0-9]{1,3}))?")
_UNITS = {
    "n": Decimal("1e-9"),
    "u": Decimal("1e-6"),
    "m": Decimal("1e-3"),
    "": Decimal(1),
    **{unit: Decimal(1000) ** power for power, unit in enumerate("kMGTPE", 1)},
    **{f"{unit}i": Decimal(1024) ** power for power, unit in enumerate("KMGTPE", 1)},
}
_LONGEST = 64
# More digits than any accepted quantity has, so that nothing is ever rounded.
_EXACT = Context(prec=1200)

MAXIMUM = Decimal(2**63 - 1)
"""The largest amount that Kubernetes can count (bytes or cores); what is above is cut down to it without a word."""


@lru_cache(maxsize=4096)
def parse(text: str) -> Decimal:
    """Reads a quantity.

    Args:
        text: A quantity in any form that Kubernetes accepts, such as `500m`, `0.5`, `1.5Gi`, `2e3`.

    Returns:
        Its exact value in the base unit (cores, bytes).

    Raises:
        ValueError: The text is not a quantity; the message does not hold it.
    """
    match = _FORM.fullmatch(text) if len(text) <= _LONGEST else None
    if match is None:
        raise ValueError("not a Kubernetes quantity")
    number, unit, exponent = match.groups()
    if exponent is not None:
        return Decimal(number).scaleb(int(exponent), _EXACT)
    return _EXACT.multiply(Decimal(number), _UNITS[unit or ""])
