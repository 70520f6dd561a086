"""Credentials that can be told from everything else, and the search for them in all their forms."""

from __future__ import annotations

import base64
import json
import re
import secrets
import string
from collections.abc import Iterable, Iterator
from urllib.parse import quote

from tests.keys import certificate, private_key

_LETTERS = string.ascii_letters + string.digits
_HALF = 10
# What is read before it is written has to be whole.
_WHOLE = {"CERTIFICATE": certificate, "PGP PRIVATE KEY BLOCK": private_key}
_WORD = re.compile(r"[A-Za-z0-9+/=]{8,}")


def _inner(content: bytes) -> Iterator[str]:
    """Gives what of the base64 of a longer text shows that this content is somewhere in it."""
    for before in range(3):
        whole = base64.b64encode(b"\0" * before + content).decode().rstrip("=")
        start = -(-before * 8 // 6)
        # The last letter can hold bits of what follows.
        end = (before + len(content)) * 8 // 6
        yield whole[start:end]


def forms(content: str) -> dict[str, set[str]]:
    """Gives how a text can look when it was quoted, encoded or put into something longer.

    Args:
        content: Letters and digits, so that JSON, URLs, YAML and Python write them as they are.

    Returns:
        What to call a form -> texts.
    """
    raw = content.encode()
    once = set(_inner(raw))
    return {
        "plain": {content},
        "base64": once,
        "base64 twice": {two for one in once for two in _inner(one.encode())},
        "hexadecimal": {raw.hex(), raw.hex().upper()},
    }


class Hunter:
    """Makes credentials and finds them again, whole or half of them."""

    def __init__(self) -> None:
        """Knows none yet."""
        self._forms: dict[str, str] = {}
        self.labels: dict[str, str] = {}

    def key(self, label: str) -> str:
        """Makes a key that every way of quoting writes differently, around letters that none does."""
        core = self._core(label)
        return self._known(label, f"K\"{core}\\/+%<&'=", core)

    def libsodium(self, label: str, transform: str) -> str:
        """Makes a key of libsodium."""
        while True:
            raw = secrets.token_bytes(32)
            if transform == "hex":
                self._remember(label, "its bytes", base64.b64encode(raw).decode())
                return self._known(label, raw.hex(), raw.hex()[:32])
            value = base64.b64encode(raw).decode()
            core = value[: 2 * _HALF]
            if core.isalnum():
                self._known(label, value, core)
                for form in (raw.hex(), raw.hex().upper()):
                    self._remember(label, "its bytes", form)
                return value

    def armored(self, label: str, title: str) -> str:
        """Makes a key or a certificate of several lines."""
        first, last = self._core(label), self._core(label)
        self._known(label, first, first)
        if title in _WHOLE:
            return self._known(label, _WHOLE[title](first, last), last)
        head, end = f"-----BEGIN {title}-----", f"-----END {title}-----"
        return self._known(label, f"{head}\n\n{first}\n{last}\n{end}\n", last)

    def find(self, *texts: str) -> set[str]:
        """Finds credentials.

        Args:
            texts: Where to look.

        Returns:
            Which there are, and in which form.
        """
        # Logs say the same words again and again; no form has other letters, or is shorter.
        words = {word for text in texts for word in _WORD.findall(text)}
        whole = "\n".join(words)
        return {label for form, label in self._forms.items() if form in whole}

    def _core(self, label: str) -> str:
        return "".join(secrets.choice(_LETTERS) for _ in range(2 * _HALF))

    def _known(self, label: str, value: str, core: str) -> str:
        self.labels[label] = value
        # Half of a key is too much already.
        for part in (core[: len(core) // 2], core[len(core) // 2 :]):
            for name, texts in forms(part).items():
                for text in texts:
                    self._remember(label, name, text)
        return value

    def _remember(self, label: str, name: str, text: str) -> None:
        assert _WORD.fullmatch(text)
        self._forms[text] = f"{label} ({name})"


def disguises(value: str) -> Iterable[tuple[str, str]]:
    """Gives a value as it may stand in an output: what the search has to find.

    Args:
        value: A credential.

    Yields:
        Name of the form, and a text with the value in it.
    """
    encoded = base64.b64encode(value.encode()).decode()
    yield "plain", f"x{value}y"
    yield "JSON", json.dumps({"a": [value]})
    yield "JSON in JSON", json.dumps(json.dumps({"a": value}))
    yield "Python", repr([value])
    yield "URL", quote(value, safe="")
    yield "base64", encoded
    yield "base64 in JSON, in base64", base64.b64encode(json.dumps({"data": encoded}).encode()).decode()
    for before in range(3):
        yield f"base64 after {before}", base64.b64encode(f"{'x' * before}{value}more".encode()).decode()
    yield "hexadecimal", value.encode().hex()
    yield "HEXADECIMAL", value.encode().hex().upper()
    yield "half", value[: 2 * len(value) // 3]


WATCHER = '''
"""Notes what the process writes, removes and starts, before it does."""
import os
import sys

_log = os.open(os.environ["WATCH_LOG"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT


def _note(*texts):
    os.write(_log, (" ".join(map(str, texts)) + "\\n").encode(errors="replace"))


def _contents(path):
    try:
        if os.path.isdir(path):
            for folder, _, names in os.walk(path):
                for name in names:
                    _contents(os.path.join(folder, name))
        else:
            with open(path, "rb") as stream:
                _note("content", path, stream.read().decode(errors="replace"))
    except OSError as error:
        _note("gone", path, error)


def _hook(event, arguments):
    if event == "open" and isinstance(arguments[2], int) and arguments[2] & _WRITES:
        _note("write", arguments[0])
    elif event in ("os.remove", "shutil.rmtree", "os.rename"):
        _contents(arguments[0])
    elif event in ("subprocess.Popen", "os.exec", "os.posix_spawn", "os.system"):
        _note("process", arguments)


sys.addaudithook(_hook)
'''
"""A sitecustomize for the command: what is in a file for a moment only is seen, too."""
