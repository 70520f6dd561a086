"""A history file as wal-g stores it, and its encryption by libsodium, written after its description."""

from __future__ import annotations

import base64

HISTORY = b"1\t0/3000060\tno recovery target specified\n"

# Made by `wal-g st put` with each method. Those of 3.0.5 and 3.0.8 are the same, and 3.0.5 has no method `none`.
STORED = {
    ".lz4": "BCJNGGRwuSkAAIAxCTAvMzAwMDA2MAlubyByZWNvdmVyeSB0YXJnZXQgc3BlY2lmaWVkCgAAAAAYauG1",
    ".lzma": "XQAAgAD//////////wAYgkJCve/4ssiXXMVEXM2ye99EEi6VbKEPPgtl02Qkjb7s37vN0REdUED////ZiwAA",
    ".zst": "KLUv/QQASQEAMQkwLzMwMDAwNjAJbm8gcmVjb3ZlcnkgdGFyZ2V0IHNwZWNpZmllZAo1eqhc",
    ".": base64.b64encode(HISTORY).decode(),
}
"""Extension -> the object, in base64."""

PGP = {
    "3.0.5": (
        "wV4D8r8VaugZuywSAQdAsqZYPlJWeb+sbyyYyXI7DiVW52JJyvB0q6C1P3DW9RUwRSa3gg2P1qKzgpQPzmlF8IspJbI+BhlHakCd"
        "21IcUhKq/oxfJpALSYrUeFfhYRCw0m0BgeoFm4PIuMoLqgOC1quim/6pKTJwAESyw77yl/MWCtPynwLMqIod0sb3WwKJSsQ0zHeV"
        "V+SGtV/hVXHarfVOpB5DpbgNeexQgikxL2KKj4g/Mb2CbjpA6snFU9V8twBnEgZFXQv5QoRX6Quk"
    ),
    "3.0.8": (
        "wV4D8r8VaugZuywSAQdAdS3zsWxciWwKw/zSYy9bKOWgUXJYZRSPWHGrlcRXww0w6s4IVpNf4Szefv1QbAc9qhkkj5s3BQS9gjGj"
        "YbiqUIPKw4F2XZQhdxjyoFMqLnUb0m0BT4JCcLpWnUfreHnodYD+btIvxHj71+G1OAFnP/4W2+AUZIoUeJvAzlo3OpJs3PxmGJ2X"
        "87/4xlkaSKD1wcUgeojQo80eLGXxgMQgoMeMP26TmY9XBCTi47SmVyN4JNQ5aAF+xfQBJpYe2Z/i"
    ),
}
"""Version -> the object with .lz4, encrypted with tests.keys.TEST_ONLY_KEY, in base64."""

CHUNK = 8192


def stored(extension: str) -> bytes:
    """The history file as an object."""
    return base64.b64decode(STORED[extension])


def pgp(version: str) -> bytes:
    """The history file as an object, encrypted."""
    return base64.b64decode(PGP[version])


def sodium(data: bytes, key: bytes) -> bytes:
    """Encrypts as wal-g 3.0.5 and 3.0.8 do: crypto/libsodium/writer.go."""
    from nacl import bindings

    state = bindings.crypto_secretstream_xchacha20poly1305_state()
    parts = [bindings.crypto_secretstream_xchacha20poly1305_init_push(state, key)]
    for place in range(0, len(data) // CHUNK * CHUNK, CHUNK):
        parts.append(bindings.crypto_secretstream_xchacha20poly1305_push(state, data[place : place + CHUNK]))
    final = bindings.crypto_secretstream_xchacha20poly1305_TAG_FINAL
    rest = data[len(data) // CHUNK * CHUNK :]
    return b"".join([*parts, bindings.crypto_secretstream_xchacha20poly1305_push(state, rest, tag=final)])
