"""What wal-g does to an object, undone: with objects of real wal-g where it makes them here."""

from __future__ import annotations

import gzip
import lzma
import os
import random
import subprocess
import sys
import traceback
from pathlib import Path

import cramjam
import pytest
from hypothesis import given
from hypothesis import strategies as st

from planton.catalogue.decode import EXTENSIONS, DecodeError, beginning, compression_of, decompress, is_compressed
from planton.catalogue.decrypt import Decryption
from planton.translate.archive_access import ArchiveAccess
from planton.translate.secret_values import Credentials, Reference
from tests.catalogue.walg_files import CHUNK, HISTORY, PGP, STORED, pgp, sodium, stored
from tests.keys import TEST_ONLY_KEY

KEY = "sentinel-key-of-libsodium-0123456789"
RAW = KEY.encode()[:32]


def access(*, transform: str = "", **contents: str) -> ArchiveAccess:
    """An archive with keys in a Secret."""
    return ArchiveAccess(
        namespace="orders",
        scope="db-orders",
        version="17",
        prefix="s3://bucket/path",
        environment={"WALG_LIBSODIUM_KEY_TRANSFORM": transform} if transform else {},
        references={name: f"keys/{name}" for name in contents},
        contents=Credentials(contents),
    )


def compressed(extension: str, data: bytes) -> bytes:
    """Compresses by other means than those that are tested, where there are any."""
    if extension == ".lzma":
        return lzma.compress(data, format=lzma.FORMAT_ALONE)
    if extension == ".gz":
        return gzip.compress(data)
    if extension in (".lz4", ".zst", ".br"):
        return bytes(getattr(cramjam, {".lz4": "lz4", ".zst": "zstd", ".br": "brotli"}[extension]).compress(data))
    return data


def problem_of(error: pytest.ExceptionInfo[DecodeError]) -> str:
    assert "sentinel" not in str(error.value) + repr(error.value)
    assert error.value.__cause__ is None
    assert error.value.__context__ is None or error.value.__suppress_context__
    frames = traceback.TracebackException.from_exception(error.value, capture_locals=True).stack
    assert "sentinel" not in "".join(f"{one.locals}" for one in frames if "/planton/" in one.filename)
    return error.value.problem


@pytest.mark.parametrize("extension", sorted(STORED))
def test_objects_of_wal_g(extension: str) -> None:
    assert decompress(stored(extension), extension, most=4096) == HISTORY
    assert beginning(stored(extension), extension, count=5) == HISTORY[:5]


@pytest.mark.parametrize("extension", EXTENSIONS)
@given(data=st.binary(max_size=3000), times=st.integers(1, 40))
def test_every_method(extension: str, data: bytes, times: int) -> None:
    data *= times
    written = compressed(extension, data)
    assert decompress(written, extension, most=len(data)) == data
    assert decompress(written, extension, most=len(data) + 100) == data
    first = len(data) // 2
    assert beginning(written, extension, count=first) == data[:first]
    if data:
        with pytest.raises(DecodeError, match="more than") as caught:
            decompress(written, extension, most=len(data) - 1)
        assert problem_of(caught) == "damaged"


@pytest.mark.parametrize("extension", [one for one in EXTENSIONS if one.strip(".")])
def test_what_is_cut_or_is_something_else_is_damaged(extension: str) -> None:
    data = random.Random(5).randbytes(5000)
    written = compressed(extension, data)
    # Always the same: brotli has no mark and no sum, and one in some hundred random texts is one of its streams.
    for wrong in (written[: len(written) // 2], written[:10], b"", b"\xff" * 100):
        with pytest.raises(DecodeError) as caught:
            decompress(wrong, extension, most=10_000)
        assert problem_of(caught) == "damaged"


@pytest.mark.parametrize("extension", [".lz4", ".zst", ".gz"])
def test_a_small_object_cannot_take_much_memory(extension: str, tmp_path: Path) -> None:
    bomb = tmp_path / "bomb"
    bomb.write_bytes(compressed(extension, b"\0" * (1 << 27)))
    # In a process of its own, that may not have more than 50 MB above what it has before.
    script = f"""
import resource, sys
from pathlib import Path
import cramjam, lzma
from planton.catalogue.decode import DecodeError, decompress
data = Path({str(bomb)!r}).read_bytes()
pages = int(Path("/proc/self/statm").read_text().split()[0])
limit = pages * resource.getpagesize() + 50_000_000
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
try:
    decompress(data, {extension!r}, most=1 << 20)
except DecodeError:
    print("refused")
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "refused", done.stderr[-500:]


def test_a_dictionary_of_four_gigabytes_is_not_made() -> None:
    written = bytearray(compressed(".lzma", b"data" * 100))
    written[1:5] = b"\xff\xff\xff\xff"
    with pytest.raises(DecodeError) as caught:
        decompress(bytes(written), ".lzma", most=4096)
    assert problem_of(caught) == "damaged"


def test_extensions() -> None:
    assert compression_of("wal_005/000000010000000000000001.lz4") == ".lz4"
    assert compression_of("wal_005/000000010000000000000001") == ""
    assert compression_of("wal_005/000000010000000000000001.") == "."
    assert compression_of("wal_005/00000002.history") == ""
    assert compression_of("wal_005/00000002.history.zst") == ".zst"
    assert compression_of("base_1.x/part_001.tar.br") == ".br"
    assert compression_of("wal_005/000000010000000000000001.lzo") is None


# Encryption.


def test_an_archive_without_encryption() -> None:
    decryption = Decryption(access())
    assert decryption.problem == ""
    assert decryption.decrypt(b"anything") == b"anything"


@pytest.mark.parametrize("version", sorted(PGP))
@pytest.mark.parametrize("lines", ["\n", "\\n"], ids=["lines", "as in a Secret"])
def test_openpgp_of_wal_g(version: str, lines: str) -> None:
    decryption = Decryption(access(WALG_PGP_KEY=TEST_ONLY_KEY.replace("\n", lines), WALG_PGP_KEY_PASSPHRASE=""))
    assert decryption.problem == ""
    assert decompress(decryption.decrypt(pgp(version)), ".lz4", most=4096) == HISTORY


@pytest.mark.parametrize("size", [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK, 3 * CHUNK + 7])
def test_libsodium(size: int) -> None:
    data = os.urandom(size)
    decryption = Decryption(access(WALG_LIBSODIUM_KEY=KEY))
    assert decryption.decrypt(sodium(data, RAW)) == data


@pytest.mark.parametrize(
    ("text", "transform", "key"),
    [
        (KEY, "", RAW),
        (KEY, "none", RAW),
        ("a" * 25, "none", b"a" * 25 + b"\0" * 7),
        ("ab" * 32, "hex", b"\xab" * 32),
        ("q6urq6urq6urq6urq6urq6urq6urq6urq6urq6urq6s=", "base64", b"\xab" * 32),
        ("q6urq6urq6urq6urq6ur\nq6urq6urq6urq6urq6urq6s=\n", "base64", b"\xab" * 32),
    ],
)
def test_forms_of_a_libsodium_key(text: str, transform: str, key: bytes) -> None:
    decryption = Decryption(access(transform=transform, WALG_LIBSODIUM_KEY=text))
    assert decryption.decrypt(sodium(b"content", key)) == b"content"


@pytest.mark.parametrize(
    ("text", "transform", "words"),
    [
        ("sentinel" * 3, "none", "shorter than 25"),
        ("sentinel" * 4, "hex", "32 bytes in hex"),
        ("ab" * 31, "hex", "32 bytes in hex"),
        ("ab " * 32, "hex", "32 bytes in hex"),
        ("sentinel-sentinel", "base64", "32 bytes in base64"),
        (KEY, "rot13", "none of none, hex and base64"),
    ],
)
def test_a_libsodium_key_that_wal_g_refuses(text: str, transform: str, words: str) -> None:
    decryption = Decryption(access(transform=transform, WALG_LIBSODIUM_KEY=text))
    assert words in decryption.problem
    assert "sentinel" not in decryption.problem + repr(decryption)
    with pytest.raises(DecodeError) as caught:
        decryption.decrypt(b"data")
    assert problem_of(caught) == "key"


def test_another_libsodium_key() -> None:
    decryption = Decryption(access(WALG_LIBSODIUM_KEY="another sentinel key of libsodium"))
    for data in (sodium(b"content", RAW), sodium(os.urandom(3 * CHUNK), RAW), os.urandom(500), b"", b"short"):
        with pytest.raises(DecodeError) as caught:
            decryption.decrypt(data)
        assert problem_of(caught) in ("key", "damaged")
    with pytest.raises(DecodeError, match="another key") as caught:
        decryption.decrypt(sodium(b"content", RAW))
    assert problem_of(caught) == "key"


def test_a_damaged_stream_of_libsodium() -> None:
    decryption = Decryption(access(WALG_LIBSODIUM_KEY=KEY))
    whole = sodium(os.urandom(3 * CHUNK + 7), RAW)
    wrong = bytearray(whole)
    wrong[2 * CHUNK] ^= 1
    # wal-g itself takes the first of these for a whole object.
    for data in (whole[: 24 + 2 * (CHUNK + 17)], whole[:-1], bytes(wrong)):
        with pytest.raises(DecodeError) as caught:
            decryption.decrypt(data)
        assert problem_of(caught) == "damaged"


def test_another_openpgp_key() -> None:
    import pysequoia

    other = str(pysequoia.Tsk.generate("sentinel <sentinel@example.test>"))
    decryption = Decryption(access(WALG_PGP_KEY=other))
    assert decryption.problem == ""
    with pytest.raises(DecodeError, match="another key") as caught:
        decryption.decrypt(pgp("3.0.5"))
    assert problem_of(caught) == "key"
    damaged = bytearray(pgp("3.0.8"))
    damaged[-30] ^= 1
    with pytest.raises(DecodeError) as caught:
        Decryption(access(WALG_PGP_KEY=TEST_ONLY_KEY)).decrypt(bytes(damaged))
    assert problem_of(caught) == "unsupported"
    with pytest.raises(DecodeError, match="no OpenPGP message") as caught:
        decryption.decrypt(b"\x00 something else")
    assert problem_of(caught) == "damaged"
    both = Decryption(access(WALG_PGP_KEY=TEST_ONLY_KEY, WALG_LIBSODIUM_KEY=KEY))
    assert both.decrypt(pgp("3.0.5"))  # OpenPGP wins, as in wal-g.


def test_an_openpgp_key_that_opens_nothing() -> None:
    import pysequoia

    public = str(pysequoia.Cert.from_bytes(TEST_ONLY_KEY.encode()))
    for text in ("sentinel", public, "-----BEGIN PGP PRIVATE KEY BLOCK-----\n\nsentinel\n"):
        decryption = Decryption(access(WALG_PGP_KEY=text))
        assert "no private OpenPGP key" in decryption.problem
        assert "sentinel" not in decryption.problem


def test_what_was_written_before_there_was_a_key() -> None:
    for decryption in (
        Decryption(access(WALG_LIBSODIUM_KEY=KEY)),
        Decryption(access(WALG_PGP_KEY=TEST_ONLY_KEY)),
    ):
        for extension in (".lz4", ".zst"):
            with pytest.raises(DecodeError, match="before there was a key") as caught:
                decryption.decrypt(stored(extension))
            assert problem_of(caught) == "not encrypted"


def test_what_is_encrypted_may_begin_with_two_bytes_of_gzip() -> None:
    assert is_compressed(gzip.compress(b"content"))
    assert not is_compressed(b"\x1f\x8b\x51" + bytes(40))


def test_a_key_that_nobody_looked_up() -> None:
    reference = Reference("Secret", "orders/keys", "WALG_LIBSODIUM_KEY")
    unresolved = ArchiveAccess(
        namespace="orders",
        scope="db-orders",
        version="17",
        prefix="s3://bucket/path",
        environment={},
        references={"WALG_LIBSODIUM_KEY": "keys/WALG_LIBSODIUM_KEY"},
        contents=Credentials({}, {"WALG_LIBSODIUM_KEY": reference}),
    )
    problem = Decryption(unresolved).problem
    assert "WALG_LIBSODIUM_KEY" in problem
    assert str(reference) in problem


@pytest.mark.parametrize(
    ("module", "contents"),
    [("nacl", {"WALG_LIBSODIUM_KEY": KEY}), ("pysequoia", {"WALG_PGP_KEY": TEST_ONLY_KEY})],
)
def test_without_the_extra(module: str, contents: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    decryption = Decryption(access(**contents))
    assert "pip install 'planton[encryption]'" in decryption.problem
    with pytest.raises(DecodeError):
        decryption.decrypt(b"data")
