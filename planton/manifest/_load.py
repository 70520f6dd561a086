"""The ways in: paths, folders, streams, text and messages -> validated manifests."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import IO, TYPE_CHECKING, Any, BinaryIO, TextIO, cast

from planton.collector import Uncollected
from planton.errors import ManifestError, Origin, Problem
from planton.manifest._manifests import Manifests, as_bytes

if TYPE_CHECKING:
    from planton.manifest._collect import Collection
    from planton.types import Resource

TEXT = "<text>"


def load(
    source: str | os.PathLike[str] | TextIO | BinaryIO | Iterable[str | os.PathLike[str]],
    *,
    progress: Callable[[int], None] | None = None,
) -> Manifests:
    """Reads manifests: YAML or JSON, one document or many, snake_case or lowerCamelCase.

    A file is read whatever its name, one that ends in `.json` as JSON alone. In a folder, what ends in `.yaml`,
    `.yml` or `.json` is read, sorted by name, with the folders in it; hidden ones are passed over. Empty documents
    are passed over too; a file without any document is an error. Pipes can be read, as `/dev/stdin` and `/dev/fd/N`
    are; one into which nobody writes is an error, as are sockets, devices, and in a folder all that is not a file.
    Limits: 16 MiB a file, 64 MiB all files together, 1 MiB a document, 100,000 documents, 64 levels.

    Args:
        source: Path of a file or folder, `-` for standard input, an open stream, or several paths.
        progress: Is told now and then how many documents have been read.

    Returns:
        The messages with their defaults filled, each with its origin. They hold credentials in plain text.

    Raises:
        ManifestError: Something cannot be read or is wrong; it holds all problems of all documents at once.
    """
    manifests, problems = read(source, progress=progress)
    if problems:
        del manifests  # As in `loads`.
        raise ManifestError(problems)
    return manifests


def read(
    source: str | os.PathLike[str] | TextIO | BinaryIO | Iterable[str | os.PathLike[str]],
    *,
    progress: Callable[[int], None] | None = None,
) -> tuple[Manifests, list[Problem]]:
    """Reads manifests: `load` that collects instead of raising, for who says more of those that are right.

    Args:
        source: As for `load`.
        progress: Likewise.

    Returns:
        The messages that are right, and what is wrong with the others; without the latter, that is all there is.
    """
    # Imported here, as in all of this module: what reads takes long to import.
    from planton.manifest._collect import Collection, Enough
    from planton.manifest._read import read_content
    from planton.manifest._sources import Unreadable, read_stream

    collection = Collection(progress)
    with suppress(Enough), Uncollected():
        if isinstance(source, str | os.PathLike):
            _read_paths([source], collection)
        elif hasattr(source, "read"):
            try:
                name, content = read_stream(cast("IO[Any]", source))
            except Unreadable as error:
                collection.problem(error.message, error.path)
            else:
                read_content(content, name, collection)
        else:
            _read_paths(source, collection)
    return collection.manifests(), collection.problems


def loads(text: str | bytes, *, file: str = TEXT) -> Manifests:
    """Reads manifests from a text, like `load`.

    Args:
        text: YAML or JSON; bytes are UTF-8.
        file: Name for errors and origins. One that ends in `.json` makes it JSON alone.

    Returns:
        The messages with their defaults filled, each with its origin. They hold credentials in plain text.

    Raises:
        ManifestError: Something is wrong; it holds all problems of all documents at once.
    """
    from planton.manifest._collect import Collection, Enough
    from planton.manifest._read import read_content

    collection = Collection()
    with suppress(Enough), Uncollected():
        read_content(text, file, collection)
    # Tools that record the local variables of a traceback shall not find it here.
    del text
    return _result(collection)


def _read_paths(paths: Iterable[str | os.PathLike[str]], collection: Collection) -> None:
    from planton.manifest._limits import MAX_BYTES, MAX_TOTAL_BYTES
    from planton.manifest._read import read_content
    from planton.manifest._sources import (
        STDIN,
        Unreadable,
        beyond_total,
        count,
        files,
        is_text,
        read_file,
        read_stdin,
        too_large,
    )

    given = [os.fsdecode(path) for path in paths]
    if not given:
        collection.problem("no path was given", "")
    if any(is_text(path) for path in given if path != "-"):
        # It is shown nowhere, and no other path is looked at: whoever mixed them up means something else.
        collection.problem("this is text, not a path: use planton.loads", "")
        return
    entries = list(count(entry for path in given for entry in ([path] if path == "-" else files(path))))
    if beyond := too_large(entries):
        collection.problem(beyond.message, beyond.path)
        return
    total = 0
    for entry in entries:
        try:
            if isinstance(entry, Unreadable):
                raise entry
            content, name = (read_stdin(), STDIN) if entry == "-" else (read_file(entry), entry)
        except Unreadable as error:
            collection.problem(error.message, error.path)
            continue
        # Once more, for pipes and for files that grow.
        total += min(len(content), MAX_BYTES)
        if total > MAX_TOTAL_BYTES:
            beyond = beyond_total(name)
            collection.problem(beyond.message, beyond.path)
            return
        read_content(content, name, collection)


def _result(collection: Collection) -> Manifests:
    if collection.problems:
        raise ManifestError(collection.problems)
    return collection.manifests()


def prepare(messages: Iterable[Resource]) -> Manifests:
    """Fills the defaults of messages and validates them. What is given is not changed.

    Args:
        messages: Messages of any kind, made in Python or loaded; origins are kept.

    Returns:
        Copies with their defaults, and with apiVersion and kind where those were empty.

    Raises:
        ManifestError: Something is wrong; it holds all problems at once.
        TypeError: Something given is not a message of a known kind.
    """
    manifests, reading, problems = _prepared(messages)
    del messages, reading  # As in `loads`.
    if problems:
        raise ManifestError(problems)
    return manifests


def prepared(messages: Iterable[Resource]) -> tuple[Manifests, list[Resource]]:
    """Prepares messages, as `prepare` does, for who reads them at once.

    Args:
        messages: Messages of any kind, made in Python or loaded.

    Returns:
        The copies, of which those that equal what was given are made when they are asked for; and messages with the
        same content to read now, which can be the given ones: nobody writes into them.

    Raises:
        ManifestError: Something is wrong; it holds all problems at once.
        TypeError: Something given is not a message of a known kind.
    """
    manifests, reading, problems = _prepared(messages)
    del messages  # As in `loads`.
    if problems:
        del reading
        raise ManifestError(problems)
    return manifests, reading


def violations(messages: Iterable[Resource]) -> list[Problem]:
    """Finds what is wrong with messages: `prepare` that collects instead of raising.

    Args:
        messages: Messages of any kind, made in Python or loaded.

    Returns:
        All problems, in the order of the messages; empty when nothing is wrong.

    Raises:
        TypeError: Something given is not a message of a known kind.
    """
    return _prepared(messages)[2]


def _prepared(messages: Iterable[Resource]) -> tuple[Manifests, list[Resource], list[Problem]]:
    from planton.kinds import KINDS
    from planton.manifest._collect import complaints
    from planton.manifest._marks import Places
    from planton.manifest._subjects import subject
    from planton.manifest.defaults import fill

    given = messages if isinstance(messages, Manifests) else Manifests(messages)
    classes = {kind.message for kind in KINDS.values()}
    copies: list[Resource | type[Resource]] = []
    reading: list[Resource] = []
    problems: list[Problem] = []
    proven: list[bytes] = []
    for index in range(len(given)):
        unmade = given.unmade(index)
        if unmade is not None:
            # Nobody has had it yet, so that it is as it was when it was found right.
            proven.append(given.proven(index))
            copies.append(unmade)
            reading.append(unmade.FromString(proven[-1]))
            continue
        message = given[index]
        if type(message) not in classes:
            raise TypeError(f"message {index + 1} is of no known kind, but {type(message).__name__}")
        # What was loaded, and has not changed since, is right.
        proven.append(given.proven(index))
        if proven[-1]:
            copies.append(type(message))
            reading.append(message)
            continue
        copy = type(message)()
        copy.CopyFrom(message)  # type: ignore[arg-type]  # Each with its own kind.
        fill(copy)
        copies.append(copy)
        reading.append(copy)
        wrong = complaints(copy)
        if not wrong:
            proven[-1] = as_bytes(copy)
            continue
        origin = given.origin(index)
        places = Places(given.marks(index), origin.line)
        for path, text in wrong:
            spelling, line = places.find(path)
            where = Origin(origin.file, origin.document, line)
            problems.append(Problem(text, spelling, where, subject(copy)))
    marks = [given.marks(index) for index in range(len(given))]
    return Manifests(copies, given.origins, marks, proven), reading, problems
