"""What has to hold for any input: only planton's errors, no secret in any text, little time, little memory."""

from __future__ import annotations

import base64
import gc
import logging
import re
import resource
import time
import warnings
from collections.abc import Callable, Iterable, Iterator

from planton.errors import PlantonError

ACCESS_KEY = "AKIAZ7Q3X9K2M8P4W1R5"
SECRET_KEY = "q7Xz9KpLm2WvT4sRb8NcYd1FgHj3QeUa6ZtBk5Vw"
LIBSODIUM_KEY = "9f3ac27b51d8e604b7a92c5f18e3d06a4b7c91f25e8d3a60c7b4f19e2d58a306"
PASSPHRASE = "vK8#tR2! mZ5&wY9?"
MARKERS = (ACCESS_KEY, SECRET_KEY, LIBSODIUM_KEY, PASSPHRASE)
"""Secrets as people have them. Wherever an input has one, no text that planton shows may have it."""

SECONDS = 0.15
SECONDS_A_BYTE = 20e-6
"""Processor time for one input, its instruments included: a manifest of 10 KB may take 0.35 s."""
BYTES = 48 << 20
BYTES_A_BYTE = 400
"""What the process may grow by at one input."""


class Finding(Exception):
    """Something that must not be."""


def _chain(error: BaseException) -> Iterator[BaseException]:
    """What a traceback would show of an error."""
    current: BaseException | None = error
    while current is not None:
        yield current
        current = current.__cause__ or (None if current.__suppress_context__ else current.__context__)


class _Records(logging.Handler):
    def __init__(self) -> None:
        super().__init__(0)
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(record.getMessage())


def shown(error: BaseException) -> list[str]:
    """Gives all that can be seen of an error.

    Args:
        error: The error.

    Returns:
        Its texts, and those of the errors behind it.
    """
    texts = []
    for one in _chain(error):
        facts = [str(value) for value in vars(one).values()]
        texts += [str(one), repr(one), *map(repr, one.args), *facts]
    return texts


def check_texts(texts: Iterable[str], hidden: Iterable[str] = MARKERS) -> None:
    """Looks for secrets, and for what cannot be printed.

    Args:
        texts: What a person may come to see.
        hidden: Secrets.

    Raises:
        Finding: There is one.
    """
    whole = "\n".join(texts)
    for mark in hidden:
        for form in (mark, base64.b64encode(mark.encode()).decode()):
            if form in whole:
                place = whole.index(form)
                raise Finding(f"a secret is shown: …{whole[max(place - 80, 0) : place]}<HERE>")
    try:
        whole.encode()
    except UnicodeEncodeError:
        raise Finding(f"a text that cannot be printed: {ascii(whole)[:200]}") from None


# Control characters, and what turns the direction of writing or ends a line.
_ACTED_ON = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]")


def check_screen(text: str) -> None:
    """Looks for what a terminal acts on.

    Args:
        text: What was printed.

    Raises:
        Finding: There is some.
    """
    if found := _ACTED_ON.search(text):
        raise Finding(f"what is printed holds {found[0]!a}: {text[max(found.start() - 60, 0) : found.end()]!a}")


def attempt(call: Callable[[], Iterable[str]], allowed: tuple[type[BaseException], ...] = (PlantonError,)) -> list[str]:
    """Calls something that may fail in planton's way only.

    Args:
        call: Gives the texts that it shows.
        allowed: Errors that it may raise.

    Returns:
        The texts, or those of its error.
    """
    try:
        return [*call()]
    except allowed as error:
        return shown(error)


def _once(call: Callable[[bytes], Iterable[str]], data: bytes) -> tuple[list[str], float, int]:
    records = _Records()
    logging.getLogger().addHandler(records)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    begin = time.process_time()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            texts = [*call(data)]
    finally:
        logging.getLogger().removeHandler(records)
    seconds = time.process_time() - begin
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    return texts + records.texts, seconds, grown


def judge(call: Callable[[bytes], Iterable[str]], data: bytes, *, twice: bool = False) -> list[str]:
    """Tries one input.

    Args:
        call: Gives what it shows of an input; raises on anything that must not be.
        data: The input.
        twice: Whether it is tried again, which has to give the same.

    Returns:
        The texts.

    Raises:
        Finding: It took too long or too much, showed a secret, or gave something else the second time.
    """
    texts, seconds, grown = _once(call, data)
    check_texts(texts)
    most = SECONDS + SECONDS_A_BYTE * len(data)
    tries = 0
    # The collector, a page fault or a module that is imported late may fall into one try, and not into three.
    while seconds > most and tries < 2:
        gc.collect()
        seconds = min(seconds, _once(call, data)[1])
        tries += 1
    if seconds > most:
        raise Finding(f"{len(data)} bytes took {seconds:.2f} s")
    if grown > BYTES + BYTES_A_BYTE * len(data):
        raise Finding(f"{len(data)} bytes took {grown >> 20} MiB of memory")
    if twice and _once(call, data)[0] != texts:
        raise Finding("the second time it gave something else")
    return texts
