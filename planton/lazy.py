"""Imports a public name of a package when it is first used, for the packages' own `__getattr__`.

It is itself imported then and not before: `import planton` does without it.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from importlib import import_module
from typing import Any


def found(package: str, name: str, homes: Mapping[str, str]) -> Any:
    """Gives a public name of a package, and keeps it there: the package is not asked for it again.

    Args:
        package: Name of the package.
        name: The name.
        homes: Public name -> module in which it is.

    Returns:
        What is named.

    Raises:
        AttributeError: The package has no such name.
    """
    module = sys.modules[package]
    home = homes.get(name)
    if home is None:
        # With both, Python says which name may have been meant.
        raise AttributeError(f"module {package!r} has no attribute {name!r}", name=name, obj=module)
    value = getattr(import_module(home), name)
    setattr(module, name, value)
    return value
