"""One target in one process: atheris guides it by coverage. `python -m tests.fuzz.engine TARGET [libFuzzer options]`.

A crash of the interpreter is a finding too; only this process ends by it.
"""

from __future__ import annotations

import os
import sys
import zlib
from typing import Any

INSTRUMENTED = ["planton", "cronsim"]


def main() -> None:
    """Runs until libFuzzer has had enough."""
    # Else a library in Rust looks up the names of its whole stack for each error, on planton's account.
    os.environ["RUST_BACKTRACE"] = "0"
    import atheris

    name = sys.argv.pop(1)
    with atheris.instrument_imports(include=INSTRUMENTED):
        from tests.fuzz.targets import target_of

        target = target_of(name)
        # What is imported late is imported now, so that it is instrumented, and no input has to wait for it.
        for seed in target.seeds():
            target.run(seed)
    from tests.fuzz.oracle import judge

    def one(data: bytes) -> None:
        judge(target.run, data, twice=not zlib.crc32(data) & 15)

    def mutate(data: bytes, most: int, seed: int) -> bytes:
        return target.mutate(bytes(data), most, seed, fallback)

    def fallback(data: bytes, most: int) -> bytes:
        changed: bytes = atheris.Mutate(data, most)
        return changed

    options: dict[str, Any] = {"custom_mutator": mutate}
    atheris.Setup(sys.argv, one, **options)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
