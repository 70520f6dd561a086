"""Undoes what wal-g does to an object: it compresses, then encrypts (wal-g v3.0.5 and v3.0.8, compress_and_encrypt.go).

How an object is compressed its extension says, how it is encrypted nothing says but the keys of whoever wrote it. What
comes out is bounded by what the caller allows, whatever an object claims of itself.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any, Literal, TypeAlias

from planton.errors import PlantonError

EXTENSIONS = (".lz4", ".lzma", ".gz", ".", ".br", ".zst", "")
"""What stands after the name of a file in the key of its object, in the order in which wal-g looks for it (v3.0.8,
fetch_helper.go, findDecompressorAndDownload; the method `none` leaves the point: uploader.go, uploadFile). What it
found last it tries first, which only matters where a file is there twice."""

DecodeProblem: TypeAlias = Literal["key", "not encrypted", "damaged", "unsupported"]
"""Why an object is not read: the key does not fit it, it is not encrypted although there is a key, it is damaged (or
encrypted, and there is no key), or wal-g may read it and this does not."""

# Of gzip with its only method: an encrypted object begins with anything, and now and then with two given bytes.
_MAGIC = (b"\x04\x22\x4d\x18", b"\x28\xb5\x2f\xfd", b"\x1f\x8b\x08")
# Dictionaries of .lzma files: wal-g's own have 8 MiB.
_LZMA_MEMORY = 256 << 20


class DecodeError(PlantonError):
    """An object that is not what its name says.

    Attributes:
        problem: What is wrong.
    """

    def __init__(self, problem: DecodeProblem, message: str) -> None:
        """Makes the error.

        Args:
            problem: What is wrong.
            message: The same in words, to go on after the name of the object; without any part of a key or an object.
        """
        self.problem = problem
        super().__init__(message)


def compression_of(key: str) -> str | None:
    """Tells how an object is compressed.

    Args:
        key: Its key.

    Returns:
        Its extension, as in EXTENSIONS; empty for one without; None for one that is not known.
    """
    name = key.rpartition("/")[2]
    extension = name[name.rindex(".") :] if "." in name else ""
    if extension in EXTENSIONS:
        return extension
    return None if extension == ".lzo" else ""


def is_compressed(data: bytes) -> bool:
    """Looks for the beginning of a compressed file, where its method has a mark: lz4, zstd and gzip.

    Args:
        data: What an object holds.

    Returns:
        Whether it is there.
    """
    return data.startswith(_MAGIC)


def decompress(data: bytes, extension: str, *, most: int) -> bytes:
    """Uncompresses an object.

    Args:
        data: What it holds, decrypted.
        extension: One of EXTENSIONS.
        most: How many bytes may come out at most.

    Returns:
        The bytes.

    Raises:
        DecodeError: It is damaged, or holds more.
    """
    content, is_whole = _METHODS[extension](data, most)
    if not is_whole:
        raise DecodeError("damaged", f"does not decompress: it is damaged, or holds more than {most} bytes")
    return content


def beginning(data: bytes, extension: str, *, count: int) -> bytes:
    """Uncompresses the first bytes of an object.

    Args:
        data: What it holds, decrypted.
        extension: One of EXTENSIONS.
        count: How many bytes.

    Returns:
        Its first bytes; fewer, or zeroes after them, where it has fewer or is damaged.
    """
    return _METHODS[extension](data, count)[0]


def _plain(data: bytes, most: int) -> tuple[bytes, bool]:
    return data[:most], len(data) <= most


def _cramjam(method: str, data: bytes, most: int) -> tuple[bytes, bool]:
    # Not on the common path.
    import cramjam

    # Into a buffer of fixed size: nothing that a frame says of itself makes this take more memory.
    content = bytearray(most)
    try:
        count = getattr(cramjam, method).decompress_into(data, content)
    except cramjam.DecompressionError:
        return bytes(content), False
    del content[count:]
    return bytes(content), True


def _lzma(data: bytes, most: int) -> tuple[bytes, bool]:
    import lzma

    # The old format without a checksum: wal-g v3.0.8, compression/lzma/compressor.go.
    reader = lzma.LZMADecompressor(lzma.FORMAT_ALONE, memlimit=_LZMA_MEMORY)
    return _streamed(reader.decompress, lambda: reader.eof, lzma.LZMAError, data, most)


def _gzip(data: bytes, most: int) -> tuple[bytes, bool]:
    reader = zlib.decompressobj(wbits=31)
    return _streamed(reader.decompress, lambda: reader.eof, zlib.error, data, most)


def _streamed(
    read: Callable[[bytes, int], bytes],
    is_at_end: Callable[[], bool],
    error: type[Exception],
    data: bytes,
    most: int,
) -> tuple[bytes, bool]:
    try:
        # One more tells that there is more.
        content = read(data, most + 1)
    except error:
        return b"", False
    return content[:most], len(content) <= most and is_at_end()


_METHODS: Mapping[str, Callable[[bytes, int], tuple[bytes, Any]]] = MappingProxyType(
    {
        ".lz4": partial(_cramjam, "lz4"),
        ".zst": partial(_cramjam, "zstd"),
        ".br": partial(_cramjam, "brotli"),
        ".lzma": _lzma,
        ".gz": _gzip,
        ".": _plain,
        "": _plain,
    }
)
"""Extension -> what gives at most so many bytes, and whether these are all."""
