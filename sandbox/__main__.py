"""The command ``python -m sandbox``: a sandbox to work with by hand.

Exit codes: 0 done, 1 it did not work (the reason is on standard error), 2 wrong arguments, 130 after Ctrl-C while
something was being built or started.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shlex
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import FrameType

from sandbox import _folders, build
from sandbox._errors import AlreadyUpError, SandboxError
from sandbox._processes import start_time
from sandbox._sandbox import Sandbox
from sandbox.control_plane import READY_TIMEOUT

_DEFAULT_NAME = "default"
_DOWN_SECONDS = 20.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        arguments: command line without the program's name; `sys.argv` by default.

    Returns:
        Exit code, see the module's text.
    """
    options = _parser().parse_args(arguments)
    command: Callable[[argparse.Namespace], int] = options.command
    try:
        return command(options)
    except SandboxError as error:
        print(f"sandbox: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m sandbox",
        description="A real Kubernetes control plane on 127.0.0.1, with the Postgres operator, without containers.",
        epilog="Programs are built the first time (about 5 minutes) and cached under PLANTON_CACHE, by default"
        " ~/.cache/planton. Sandboxes live in a private folder of the temp dir.",
    )
    verbs = parser.add_subparsers(required=True, metavar="COMMAND")

    def verb(name: str, command: Callable[[argparse.Namespace], int], text: str) -> argparse.ArgumentParser:
        added = verbs.add_parser(name, help=text, description=text)
        added.set_defaults(command=command)
        return added

    verb("run", _run, "run a sandbox in the foreground until Ctrl-C")
    up = verb("up", _up, "start a sandbox and leave it up in the background")
    up.add_argument("--name", default=_DEFAULT_NAME, help="default: %(default)s")
    down = verb("down", _down, "stop a sandbox that `up` left")
    which = down.add_mutually_exclusive_group()
    which.add_argument("--name", default=_DEFAULT_NAME, help="default: %(default)s")
    which.add_argument("--all", action="store_true", help="all of this user")
    verb("list", _list, "list the sandboxes that `up` left: name, address, kubeconfig")
    builder = verb("build", _build, "build the programs and print where they are")
    builder.add_argument("--rebuild", action="store_true", help="also what is built already")
    return parser


def _run(_options: argparse.Namespace) -> int:
    with _terminate_like_interrupt(), Sandbox.start() as sandbox:
        # Whoever reads the path may stop it at once: all else is said before, and from here on that is its proper end.
        try:
            _hint(sandbox.kubeconfig, "Ctrl-C")
            print(sandbox.kubeconfig, flush=True)
            while True:
                sandbox.check()
                time.sleep(1.0)
        except KeyboardInterrupt:
            return 0


def _up(options: argparse.Namespace) -> int:
    name = _folders.check_name(options.name)
    try:
        with _terminate_like_interrupt():
            sandbox = Sandbox.start(name=name)
            sandbox.detach()
        kubeconfig = sandbox.kubeconfig
    except AlreadyUpError as error:
        kubeconfig = _wait_until_ready(error.folder)
        print(f"sandbox: {name} is up already", file=sys.stderr)
    print(kubeconfig)
    _hint(kubeconfig, "make sandbox-down" if name == _DEFAULT_NAME else f"python -m sandbox down --name {name}")
    return 0


def _down(options: argparse.Namespace) -> int:
    _sweep()
    base = _folders.root()
    folders = _folders.named(base) if options.all else [base / _folders.check_name(options.name)]
    if not options.all and not _folders.is_alive(folders[0]):
        print(f"sandbox: {options.name} is not up; `python -m sandbox list` shows those that are", file=sys.stderr)
        return 0
    for folder in folders:
        _end(folder)
        print(f"sandbox: {folder.name} is down", file=sys.stderr)
    return 0


def _list(_options: argparse.Namespace) -> int:
    _sweep()
    for folder in _folders.named(_folders.root()):
        facts = _folders.read_facts(folder)
        print(f"{folder.name}\t{facts.url or '(starting)'}\t{folder / 'kubeconfig'}")
        if trouble := _folders.trouble(folder):
            print(f"sandbox: {folder.name}: {trouble}", file=sys.stderr)
    return 0


def _build(options: argparse.Namespace) -> int:
    for path in vars(build.ensure(rebuild=options.rebuild)).values():
        print(path)
    print(build.ensure_object_store(rebuild=options.rebuild))
    return 0


def _sweep() -> None:
    for line in _folders.sweep():
        print(f"sandbox: {line}", file=sys.stderr)


def _hint(kubeconfig: Path, stop: str) -> None:
    print(f"sandbox: to use it: export KUBECONFIG={shlex.quote(str(kubeconfig))}", file=sys.stderr)
    print(f"sandbox: to stop it: {stop}", file=sys.stderr)


def _wait_until_ready(folder: Path) -> Path:
    """Wait for a sandbox that somebody else is starting."""
    deadline = time.monotonic() + READY_TIMEOUT
    while _folders.is_alive(folder) and time.monotonic() < deadline:
        if _folders.read_facts(folder).url:
            return folder / "kubeconfig"
        time.sleep(0.1)
    raise SandboxError(f"the sandbox {folder.name} was being started by another process and did not become ready")


def _end(folder: Path) -> None:
    """Ask a keeper to end, and end it if it does not."""
    facts = _folders.read_facts(folder)
    for number in (signal.SIGTERM, signal.SIGKILL):
        if facts.keeper is None or start_time(facts.keeper) != facts.started:
            break
        with contextlib.suppress(ProcessLookupError):
            os.kill(facts.keeper, number)
        deadline = time.monotonic() + _DOWN_SECONDS
        while start_time(facts.keeper) == facts.started and time.monotonic() < deadline:
            time.sleep(0.02)
    with _folders.exclusive():
        if _folders.is_alive(folder):
            raise SandboxError(f"the sandbox {folder.name} does not end; look at {folder / 'keeper.log'}")
        _folders.remove(folder)


@contextlib.contextmanager
def _terminate_like_interrupt() -> Iterator[None]:
    """Let SIGTERM and SIGHUP unwind the stack as Ctrl-C does, so that ``with`` blocks stop what they started."""

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    previous = {number: signal.signal(number, interrupt) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


if __name__ == "__main__":
    sys.exit(main())
