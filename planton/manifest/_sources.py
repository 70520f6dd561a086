"""Paths, folders and streams -> what stands in them."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterable, Iterator
from typing import IO, Any

from planton.manifest._limits import MAX_BYTES, MAX_FILES, MAX_TOTAL_BYTES
from planton.sensitive import looks_like_key

SUFFIXES = (".yaml", ".yml", ".json")
"""Endings of the files that are read in a folder."""
STDIN = "<stdin>"
STREAM = "<stream>"

_CHUNK = 1024 * 1024


# Longer ones are hardly paths, and nobody reads them.
_LONGEST_SHOWN = 400
_CUT = 150


class Unreadable(Exception):
    """A source that cannot be read.

    Attributes:
        path: Its path.
        message: Why.
    """

    def __init__(self, path: str, message: str) -> None:
        """Makes the error.

        Args:
            path: The path.
            message: Why.
        """
        super().__init__(message)
        self.path = path
        self.message = message


def is_text(path: str) -> bool:
    """Tells a text that stands in the place of a path: it can hold credentials, and must not be quoted.

    Args:
        path: What was given as a path.

    Returns:
        True for what has lines, or looks like a manifest in one line or like a key, and is no path of anything.
    """
    is_like_text = len(path) > _LONGEST_SHOWN or any(sign in path for sign in ("\n", "\r", ": ", "{"))
    if not is_like_text and not (path.isprintable() and looks_like_key(path)):
        return False
    return not os.path.lexists(path)


def shown_path(path: str) -> str:
    """Gives a path the form in which it stands in an error.

    Args:
        path: A path, or the name of a text.

    Returns:
        It, without line breaks and control characters; of a long one its beginning and its end.
    """
    if len(path) > _LONGEST_SHOWN:
        path = f"{path[:_CUT]}…{path[-_CUT:]}"
    if path.isprintable():
        return path
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode("ascii") for one in path)


def files(path: str) -> Iterator[str | Unreadable]:
    """Lists the manifests of a path.

    Args:
        path: A file, or a folder, which is searched with the folders in it. Hidden ones in it (with a dot before
            their name) are passed over. Links are followed.

    Yields:
        Paths of files, in a folder sorted by name; or what cannot be read.
    """
    if not os.path.isdir(path):
        yield path
        return
    found = False
    for entry in _walk(path, ()):
        found = True
        yield entry
    if not found:
        yield Unreadable(path, f"has no manifests in it: no file that ends in {', '.join(SUFFIXES)}")


def _walk(folder: str, above: tuple[tuple[int, int], ...]) -> Iterator[str | Unreadable]:
    try:
        status = os.stat(folder)
        identity = (status.st_dev, status.st_ino)
        if identity in above:
            yield Unreadable(folder, "is a link to a folder above it: remove the link")
            return
        names = sorted(os.listdir(folder))
    except OSError as error:
        yield Unreadable(folder, reason(error))
        return
    for name in names:
        if name.startswith("."):
            continue
        path = os.path.join(folder, name)
        if os.path.isdir(path):
            yield from _walk(path, (*above, identity))
        elif name.lower().endswith(SUFFIXES):
            # A link that leads nowhere is told when it is read.
            ordinary = os.path.isfile(path) or not os.path.exists(path)
            yield path if ordinary else Unreadable(path, "is not a file: take it out of the folder")


def count(entries: Iterator[str | Unreadable]) -> Iterator[str | Unreadable]:
    """Ends a list that is too long with an error.

    Args:
        entries: The list.

    Yields:
        The entries.
    """
    for number, entry in enumerate(entries):
        if number == MAX_FILES:
            path = entry if isinstance(entry, str) else entry.path
            yield Unreadable(path, f"there are more than {MAX_FILES} files: read them in several parts")
            return
        yield entry


def too_large(entries: Iterable[str | Unreadable]) -> Unreadable | None:
    """Finds out, before anything is read, whether the files are too much together.

    Args:
        entries: Paths, `-` among them.

    Returns:
        The file that is too much, with what to say of it; None when there is none.
    """
    total = 0
    for entry in entries:
        if isinstance(entry, str) and entry != "-":
            try:
                # What is too large by itself is told of it alone.
                total += min(os.stat(entry).st_size, MAX_BYTES)
            except (OSError, ValueError):
                continue  # That is told when it is read.
            if total > MAX_TOTAL_BYTES:
                return beyond_total(entry)
    return None


def beyond_total(path: str) -> Unreadable:
    """Says that the files of a reading are too much together.

    Args:
        path: The file that is too much.

    Returns:
        The error.
    """
    return Unreadable(
        path,
        f"the files up to here are larger than {MAX_TOTAL_BYTES // 2**20} MiB together: read them in several parts",
    )


def read_file(path: str) -> bytes:
    """Reads a file, or as much of it as is needed to see that it is too large.

    Pipes are read as files are, `/dev/stdin` and `/dev/fd/N` too, but nobody is waited for to open one.

    Args:
        path: Its path.

    Returns:
        Its content.

    Raises:
        Unreadable: It cannot be read, or is neither a file nor a pipe.
    """
    try:
        # Before it is opened too: opening alone makes some devices do something.
        _check_type(path, os.stat(path))
        # Without O_NONBLOCK, opening a pipe waits for somebody who writes.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
        try:
            opened = os.fstat(descriptor)
            _check_type(path, opened)
            content = _read(descriptor)
        finally:
            os.close(descriptor)
    except (OSError, ValueError) as error:
        raise Unreadable(path, reason(error)) from error
    if not content and stat.S_ISFIFO(opened.st_mode):
        raise Unreadable(path, "is a pipe into which nobody writes")
    return content


def _check_type(path: str, status: os.stat_result) -> None:
    mode = status.st_mode
    if stat.S_ISREG(mode) or stat.S_ISFIFO(mode) or stat.S_ISDIR(mode):
        return  # Reading a folder fails by itself.
    if stat.S_ISCHR(mode) and (path == os.devnull or _is_stdin(status)):
        return
    raise Unreadable(path, "is a socket or a device, not a file")


def _is_stdin(status: os.stat_result) -> bool:
    """Says whether a device is the terminal, or what else stands in its place, that standard input is."""
    try:
        return os.path.samestat(status, os.fstat(0))
    except OSError:
        return False


def _read(descriptor: int) -> bytes:
    chunks: list[bytes] = []
    size = 0
    while size <= MAX_BYTES:
        try:
            chunk = os.read(descriptor, min(_CHUNK, MAX_BYTES + 1 - size))
        except BlockingIOError:
            # Somebody has the pipe open, and has not written yet.
            os.set_blocking(descriptor, True)
            continue
        if not chunk:
            break
        chunks.append(chunk)
        size += len(chunk)
    return b"".join(chunks)


def read_stdin() -> bytes | str:
    """Reads standard input.

    Returns:
        Its content.

    Raises:
        Unreadable: There is none, or it cannot be read.
    """
    if sys.stdin is None:
        raise Unreadable(STDIN, "there is no standard input")
    return read_stream(getattr(sys.stdin, "buffer", sys.stdin))[1]


def read_stream(stream: IO[Any]) -> tuple[str, bytes | str]:
    """Reads a stream to its end, or as much of it as is needed to see that it is too large.

    Args:
        stream: Text or bytes.

    Returns:
        Its name, for errors, and its content.

    Raises:
        Unreadable: It cannot be read.
    """
    given = getattr(stream, "name", None)
    name = given if isinstance(given, str) and given else STREAM
    try:
        chunks = []
        size = 0
        # A stream may give less than it is asked for, as pipes and sockets do.
        while size <= MAX_BYTES and (chunk := stream.read(MAX_BYTES + 1 - size)):
            chunks.append(chunk)
            size += len(chunk)
    except UnicodeDecodeError:
        # No cause: the error holds the bytes.
        raise Unreadable(name, "is not valid UTF-8") from None
    except (OSError, ValueError) as error:
        raise Unreadable(name, reason(error)) from error
    return name, (chunks[0][:0].join(chunks) if chunks else "")


def reason(error: OSError | ValueError) -> str:
    """Says why a file cannot be read or written.

    Args:
        error: The error.

    Returns:
        The system's own words, without the path.
    """
    words = (error.strerror or "") if isinstance(error, OSError) else ""
    return f"cannot be used: {words[:1].lower()}{words[1:]}" if words else "cannot be used"
