r"""Finds known values in a text however they are spelled there: escaped, encoded, or with only a part of them shown.

Who answers in the name of an API server quotes a request as it likes: as JSON of Go's (`\u0026`) or of PHP's (`\/`),
as a page (`&#x2F;`), as part of a URL (`%2F`), as base64 of a whole body, as bytes (`[]byte{0x73, 0x65}`, which is how
it says that a value of a Secret is invalid: k8s.io/apimachinery, pkg/util/validation/field/errors.go), or folded over
the lines of a YAML file. No list of spellings of a value is ever complete, so the text is read in each of these ways,
one inside of the other, and the values are looked for in what comes out.
"""

from __future__ import annotations

import base64
import binascii
import html
import re
from array import array
from collections.abc import Callable, Iterable, Iterator
from typing import TypeAlias

SHORTEST_PART = 12
"""Characters of a value from which on a part of it is hidden too; a shorter value is only known as a whole."""

# A part that long covers one piece of this length that begins at a multiple of the step, wherever it stands: so not
# each place of a text is looked at.
_STEP = 6
_PIECE = SHORTEST_PART - _STEP + 1
_DEPTH = 3
_LAYERS = 40
# Characters that are read at most for one text, in all ways together: some, and so many for each of its own. What is
# nested in base64 on purpose would keep a command busy for minutes; what a server quotes takes half of this.
_READ = 100_000
_READ_A_CHARACTER = 120
# So many of its first characters part the short values.
_HEADS = 3
# What it takes to look at a run at all, in characters that are read.
_RUN = 100
_JSON = re.compile(
    r"((?:\\u[0-9a-fA-F]{4})+)|((?:\\x[0-9a-fA-F]{2})+)|((?:\\[0-3][0-7]{2})+)"
    r"|\\u\{([0-9a-fA-F]{1,5})\}|\\U(000[0-9a-fA-F]{5})|\\(.)",
    re.DOTALL,
)
_URL = re.compile(r"(?:%[0-9a-fA-F]{2})+")
_FORM = re.compile(r"(?:%[0-9a-fA-F]{2})+|\+")
_HTML = re.compile(r"&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z]{2,8});?")
_HEX = re.compile(r"(?:[0-9a-fA-F]{2}){8,}")
# As OpenSSL and hexdump write bytes.
_HEX_PARTED = re.compile(r"(?<![0-9a-fA-F])[0-9a-fA-F]{2}([ :-])[0-9a-fA-F]{2}(?:\1[0-9a-fA-F]{2}){6,}(?![0-9a-fA-F])")
_HEX_LIST = re.compile(r"0x[0-9a-fA-F]{1,2}(?:[ ,]+0x[0-9a-fA-F]{1,2}){3,}")
_LIST = re.compile(r"(?<![0-9])[0-9]{1,3}(?:[ ,]+[0-9]{1,3}){3,}(?![0-9])")
_FOLD = re.compile(r"\\?\r?\n[ \t]*")
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "b": "\b", "f": "\f"}
# Where each third byte begins is not known of a part: so all four ways to begin are tried.
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]{16,}={0,2}")
_STANDARD = str.maketrans("-_", "+/")
_URL_SAFE = str.maketrans("+/", "-_")


def _json(match: re.Match[str]) -> str:
    run, hexadecimal, octal, point, long_point, other = match.groups()
    if run:
        return bytes.fromhex(run.replace("\\u", "")).decode("utf-16-be", errors="replace")
    if hexadecimal:
        return _of_bytes(bytes.fromhex(hexadecimal.replace("\\x", "")))
    if octal:
        return _of_bytes(bytes(int(one, 8) for one in octal[1:].split("\\")))
    if point or long_point:
        return chr(int(point or long_point, 16))
    return _ESCAPES.get(other, other)


def _of_bytes(data: bytes) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        # In YAML it is the number of a character.
        return data.decode("latin-1")


def _url(match: re.Match[str]) -> str:
    text = match.group()
    return " " if text == "+" else bytes.fromhex(text.replace("%", "")).decode("utf-8", errors="replace")


def _html(match: re.Match[str]) -> str:
    # Some names do without a semicolon, and then more letters may follow.
    return html.unescape(match.group())


def _hex(match: re.Match[str]) -> str:
    return bytes.fromhex(match.group()).decode("utf-8", errors="replace")


def _hex_parted(match: re.Match[str]) -> str:
    return bytes.fromhex(match.group().replace(match.group(1), "")).decode("utf-8", errors="replace")


def _hex_list(match: re.Match[str]) -> str:
    numbers = re.findall("[0-9a-fA-F]+", match.group().replace("0x", " "))
    return bytes(int(one, 16) for one in numbers).decode("utf-8", errors="replace")


def _list(match: re.Match[str]) -> str:
    numbers = [int(one) for one in re.findall("[0-9]+", match.group())]
    return bytes(one for one in numbers if one < 256).decode("utf-8", errors="replace")


def _fold(match: re.Match[str]) -> str:
    return ""


_Meaning: TypeAlias = Callable[[re.Match[str]], str]
# What has to be in a text that is read so; how; and whether each character takes up as much of it as the next.
_Way: TypeAlias = tuple[str, re.Pattern[str], _Meaning, bool]
_WAYS: tuple[_Way, ...] = (
    ("\\", _JSON, _json, True),
    ("%", _URL, _url, True),
    ("+", _FORM, _url, True),
    ("&", _HTML, _html, False),
    ("", _HEX, _hex, True),
    ("", _HEX_PARTED, _hex_parted, False),
    ("0x", _HEX_LIST, _hex_list, False),
    (" ", _LIST, _list, False),
    ("\n", _FOLD, _fold, True),
)


_Places: TypeAlias = tuple["array[int]", "array[int]"]


class _Layer:
    """A text as it is read in one way, or as it is."""

    __slots__ = ("_above", "_known", "_way", "text")

    def __init__(self, text: str, above: _Layer | None = None, way: _Way | None = None) -> None:
        self.text = text
        self._above = above
        self._way = way
        self._known: _Places | None = None

    def span(self, begin: int, end: int) -> tuple[int, int]:
        """Gives where a part of it stands in the original."""
        places = self._places()
        return (places[0][begin], places[1][end - 1]) if places else (begin, end)

    def _places(self) -> _Places | None:
        """Gives where what each of its characters stands for begins and ends in the original; None for that itself."""
        # Not before somebody asks: in nearly all ways of reading a text nothing is found, and this is most of the work.
        if self._known is None and self._above is not None and self._way is not None:
            self._known = self._places_in(self._above, self._way)
        return self._known

    @staticmethod
    def _places_in(above: _Layer, way: _Way) -> _Places:
        _, pattern, meaning, is_even = way
        known = above._places()
        begins, ends = array("l"), array("l")

        def keep(begin: int, end: int) -> None:
            begins.extend(known[0][begin:end] if known else range(begin, end))
            ends.extend(known[1][begin:end] if known else range(begin + 1, end + 1))

        last = 0
        for match in pattern.finditer(above.text):
            keep(last, match.start())
            last = match.end()
            said = meaning(match)
            size = match.end() - match.start()
            # A run of escapes of the same length, each for one character; else all of it stands for each.
            each = size // len(said) if said and is_even and size % len(said) == 0 and said.isascii() else 0
            for number in range(len(said)):
                begin, end = match.span()
                if each:
                    begin, end = begin + number * each, begin + (number + 1) * each
                begin, end = above.span(begin, end)
                begins.append(begin)
                ends.append(end)
        keep(last, len(above.text))
        return begins, ends


def _layers(text: str) -> Iterator[_Layer]:
    """Gives a text as it is, and in all ways in which it can be read."""
    seen = {text}
    now = [_Layer(text)]
    for depth in range(_DEPTH + 1):
        yield from now
        if depth == _DEPTH:
            return
        further: list[_Layer] = []
        for layer in now:
            for way in _WAYS:
                sign, pattern, meaning, _ = way
                if sign in layer.text and len(seen) < _LAYERS and pattern.search(layer.text):
                    read = pattern.sub(meaning, layer.text)
                    if read not in seen:
                        seen.add(read)
                        further.append(_Layer(read, layer, way))
        now = further


class _Base64:
    """What was read inside of base64 for one text.

    Attributes:
        known: A run, and how many times base64 is read inside of it -> whether a value is in it. The same run stands
            in most ways of reading a text.
        left: Characters that may still be read.
    """

    __slots__ = ("known", "left")

    def __init__(self, text: str) -> None:
        self.known: dict[tuple[str, int], bool] = {}
        self.left = _READ + _READ_A_CHARACTER * len(text)


def _forms_of_short(values: Iterable[str]) -> set[str]:
    """Gives the values that are known only as a whole, and their base64, which is too short to be seen as such."""
    plain = {one for one in values if len(one) < SHORTEST_PART}
    encoded = {base64.b64encode(one.encode()).decode().rstrip("=") for one in plain}
    return plain | encoded | {one.translate(_URL_SAFE) for one in encoded}


def _any_of(texts: Iterable[str], heads: int) -> str:
    """Writes an expression that finds the longest of some texts, parted by their first characters.

    One after the other they would all be tried at each place of a text, and thousands of databases have thousands.
    """
    if not heads:
        return "|".join(map(re.escape, sorted(texts, key=lambda one: (-len(one), one))))
    groups: dict[str, list[str]] = {}
    for one in texts:
        groups.setdefault(one[:1], []).append(one[1:])
    # What ends here comes after what goes on.
    parted = sorted(groups.items(), reverse=True)
    return "|".join(f"{re.escape(head)}(?:{_any_of(rest, heads - 1)})" if head else "" for head, rest in parted)


class Values:
    """Values that are looked for. What it takes to find them is made once, and only when a text is looked at."""

    __slots__ = ("_parts", "_pieces", "_short", "_values")

    def __init__(self, values: Iterable[str]) -> None:
        """Makes it.

        Args:
            values: What is looked for.
        """
        self._values = frozenset(values)
        self._parts: frozenset[str] | None = None
        self._pieces: frozenset[str] = frozenset()
        self._short: re.Pattern[str] | None = None

    def _prepare(self) -> frozenset[str]:
        if self._parts is None:
            short = _forms_of_short(self._values)
            self._short = re.compile(_any_of(short, _HEADS)) if short else None
            long = [one for one in self._values if len(one) >= SHORTEST_PART]
            self._pieces = frozenset(one[at : at + _PIECE] for one in long for at in range(len(one) - _PIECE + 1))
            # Last: other threads take it for the sign that all is there.
            self._parts = frozenset(
                one[at : at + SHORTEST_PART] for one in long for at in range(len(one) - SHORTEST_PART + 1)
            )
        return self._parts

    def _parts_in(self, text: str, parts: frozenset[str]) -> Iterator[tuple[int, int]]:
        pieces = self._pieces
        first = last = 0
        for at in range(0, len(text) - _PIECE + 1, _STEP):
            if text[at : at + _PIECE] not in pieces:
                continue
            lowest = end = 0
            for begin in range(at, max(at - _STEP, -1), -1):
                if text[begin : begin + SHORTEST_PART] in parts:
                    lowest, end = begin, end or begin + SHORTEST_PART
                    # A value is full of parts, which are one place together: the ones between need no look.
                    if begin <= last:
                        break
            if lowest > last:
                if last:
                    yield first, last
                first = lowest
            last = end or last
        if last:
            yield first, last

    def spans(self, text: str) -> list[tuple[int, int]]:
        """Finds the values, and parts of them.

        Args:
            text: Where they are looked for.

        Returns:
            Where they begin and end, in order; they do not touch each other. Base64 that is too much to be read is
            among them, as if a value were in it.
        """
        joined: list[tuple[int, int]] = []
        for begin, end in sorted(self._found(text, 2, _Base64(text))):
            if joined and begin <= joined[-1][1]:
                joined[-1] = joined[-1][0], max(joined[-1][1], end)
            else:
                joined.append((begin, end))
        return joined

    def _found(self, text: str, depth: int, inside: _Base64) -> Iterator[tuple[int, int]]:
        """Gives where values are, in any order; reads base64 inside of base64 so many times."""
        parts = self._prepare()
        for layer in _layers(text):
            said = layer.text
            inside.left -= len(said)
            if parts:
                yield from (layer.span(begin, end) for begin, end in self._parts_in(said, parts))
            if self._short is not None:
                yield from (layer.span(*match.span()) for match in self._short.finditer(said))
            if depth:
                for match in _BASE64.finditer(said):
                    if self._is_in_base64(match.group(), depth - 1, inside):
                        yield layer.span(*match.span())

    def _is_in_base64(self, run: str, depth: int, inside: _Base64) -> bool:
        known = inside.known.get((run, depth))
        if known is not None:
            return known
        found = inside.known[run, depth] = self._is_in_any_part(run, depth, inside)
        return found

    def _is_in_any_part(self, run: str, depth: int, inside: _Base64) -> bool:
        letters = run.rstrip("=").translate(_STANDARD)
        for skipped in range(4):
            inside.left -= _RUN
            if inside.left < 0:
                return True
            part = letters[skipped:]
            part = part[: len(part) - (len(part) % 4 == 1)]
            try:
                plain = base64.b64decode(part + "=" * (-len(part) % 4)).decode("utf-8", errors="replace")
            except (binascii.Error, ValueError):  # Not reached by what the pattern lets through.
                continue
            if any(True for _ in self._found(plain, depth, inside)):
                return True
        return False
