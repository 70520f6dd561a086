"""How many examples a property is tried with.

All of them with the releases that planton is developed with. With other releases of what it needs (scripts/bounds.py)
the question is whether they do the same, which a part of the examples shows: `PLANTON_EXAMPLES` says how many in a
hundred.
"""

from __future__ import annotations

import os

SHARE = "PLANTON_EXAMPLES"


def examples(usual: int) -> int:
    """Says how many examples a property is tried with.

    Args:
        usual: How many with the releases that planton is developed with.

    Returns:
        That number, or the part of it that the environment asks for.
    """
    return max(1, usual * int(os.environ.get(SHARE) or 100) // 100)
