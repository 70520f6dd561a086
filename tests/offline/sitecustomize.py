"""Keeps tests, and commands that they start, away from object stores on the internet.

An apply tries out the stores that it is about to use, and the stores of many tests are made up: where there is an
internet, a cloud would be asked with made-up keys, and its refusal would end the test. So whatever is neither on this
machine nor behind a proxy of the tests gets a name here that no resolver knows, as if there were no internet.

Python imports a module of this name at each start; `tests/conftest.py` imports it, too, and puts its folder onto
PYTHONPATH.
"""

from __future__ import annotations

import sys
from importlib.machinery import ModuleSpec
from typing import Any

_MODULE = "planton.catalogue._s3"
_HERE = ("127.", "localhost", "[::1]")


class _Finder:
    """Changes the client once it is imported, and imports nothing by itself: that would cost every command time."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        if name != _MODULE:
            return None
        sys.meta_path.remove(self)
        from importlib.util import find_spec

        spec = find_spec(name)
        if spec is not None and spec.loader is not None:
            execute = spec.loader.exec_module

            def run(module: Any) -> None:
                execute(module)
                _cut(module)

            spec.loader.exec_module = run  # type: ignore[method-assign]
        return spec


def _cut(module: Any) -> None:
    from dataclasses import replace

    make = module.S3Bucket._make_store

    def make_store(self: Any, **options: Any) -> Any:
        address = self._address
        if address.proxy or address.host.startswith(_HERE):
            return make(self, **options)
        name, colon, port = address.host.partition(":")
        self._address = replace(address, host=f"{name}.invalid{colon}{port}")
        try:
            return make(self, **options)
        finally:
            # Errors name what the test knows.
            self._address = address

    module.S3Bucket._make_store = make_store


if _MODULE in sys.modules:
    _cut(sys.modules[_MODULE])
else:
    sys.meta_path.insert(0, _Finder())
