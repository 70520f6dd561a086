"""Hides credentials: in diffs by the place they stand in, in texts of the server by their value."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

from planton.cluster.api.spellings import Values
from planton.sensitive import HIDDEN as HIDDEN
from planton.sensitive import looks_like_credential
from planton.translate.backup import environment_of
from planton.translate.environment import SPILO_DEFAULTS
from planton.translate.generation import GENERATIONS
from planton.translate.platform import BackupPlatform
from planton.translate.policy import POLICY_VARIABLES
from planton.translate.store import STORE_VARIABLES

# Shorter values would turn every text into stars without hiding anything worth it.
_MIN_LENGTH = 4
# Characters for one of a value: `\\u0026`.
_LONGEST_SPELLING = 6

# Every fact is there, so that every name that planton writes is among those of its environment.
_FULL_PLATFORM = BackupPlatform(
    namespace="any",
    operator_version="",
    bucket="any",
    prefix_template="any",
    schedule="any",
    backup=True,
    restore=True,
    clone=True,
    endpoint="any",
    region="any",
    force_path_style=True,
    disable_server_side_encryption=True,
    secret_name="any",
    generation=1,
    service_account_annotations={"any": "any"},
)

# What the operator writes by itself and what is no credential: names, labels, addresses and times.
# https://github.com/zalando/postgres-operator/blob/v1.15.1/pkg/cluster/k8sres.go (generateSpiloPodEnvVars,
# generateCloneEnvironment, generateStandbyEnvironment). Not SPILO_CONFIGURATION and PAM_OAUTH2: they are free text.
_OF_OPERATOR = frozenset(
    {
        "SCOPE",
        "PGROOT",
        "PGVERSION",
        "PGUSER_SUPERUSER",
        "PGUSER_STANDBY",
        "HUMAN_ROLE",
        "KUBERNETES_SCOPE_LABEL",
        "KUBERNETES_ROLE_LABEL",
        "KUBERNETES_LABELS",
        "KUBERNETES_BOOTSTRAP_LABELS",
        "KUBERNETES_USE_CONFIGMAPS",
        "DCS_ENABLE_KUBERNETES_API",
        "ENABLE_WAL_PATH_COMPAT",
        "WALE_S3_PREFIX",
        "WAL_S3_BUCKET",
        "WAL_GS_BUCKET",
        "WAL_BUCKET_SCOPE_PREFIX",
        "WAL_BUCKET_SCOPE_SUFFIX",
        "LOG_S3_BUCKET",
        "LOG_BUCKET_SCOPE_PREFIX",
        "LOG_BUCKET_SCOPE_SUFFIX",
        "CLONE_SCOPE",
        "CLONE_METHOD",
        "CLONE_HOST",
        "CLONE_PORT",
        "CLONE_USER",
        "CLONE_TARGET_TIME",
        "CLONE_WALE_S3_PREFIX",
        "CLONE_WAL_S3_BUCKET",
        "CLONE_WAL_BUCKET_SCOPE_PREFIX",
        "CLONE_WAL_BUCKET_SCOPE_SUFFIX",
        "STANDBY_HOST",
        "STANDBY_PORT",
        "STANDBY_METHOD",
        "STANDBY_WALE_S3_PREFIX",
        "STANDBY_WAL_BUCKET_SCOPE_PREFIX",
        # And what planton writes into the pods of the operator, or used to be written there.
        "CONFIG_MAP_NAME",
        "POSTGRES_OPERATOR_CONFIGURATION_OBJECT",
        "WATCHED_NAMESPACE",
        "CONTROLLER_ID",
    }
)

# A manifest of planton's gives a proxy without a user; others may have a password in theirs.
_PROXIES = frozenset({"http_proxy", "https_proxy"})

_STANDARD = str.maketrans("-_", "+/")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)

SHOWN_VARIABLES = (
    frozenset(environment_of(_FULL_PLATFORM))
    | frozenset(SPILO_DEFAULTS)
    | (STORE_VARIABLES - _PROXIES)
    | POLICY_VARIABLES
    | {*GENERATIONS}
    | _OF_OPERATOR
    | {
        kind + name
        for kind in ("CLONE_", "STANDBY_")
        for name in (*(STORE_VARIABLES - _PROXIES), "WALG_S3_PREFIX", "WALG_LIBSODIUM_KEY_TRANSFORM")
    }
)
"""Names of the environment variables whose values are shown. What a value under any other name is nobody knows."""


def is_shown_variable(name: str) -> bool:
    """Tells whether the value of an environment variable may be shown.

    Args:
        name: Name of the variable.

    Returns:
        True when planton or the operator writes it and it is no credential.
    """
    return name in SHOWN_VARIABLES


# How credentials are named where a header is quoted. Words that stand there in plain sentences are none.
_SCHEME = re.compile(
    r"\b(bearer|basic|negotiate)((?:\s|%20|\\u0020|&#32;){1,16})(?!(?:auth|credential|token|header|realm)[a-z]*\b)\S{6,}",
    re.IGNORECASE,
)


def without_tokens(text: str) -> str:
    """Hides what a quoted header would authorise with, whoever it belongs to.

    Args:
        text: Text of a server.

    Returns:
        The text without it.
    """
    return _SCHEME.sub(rf"\1\2{HIDDEN}", text)


# A password may have a slash in it.
_USER = re.compile(r"(://)[^\s\"'\\<>@]{0,256}:[^\s\"'\\<>]{0,256}@")


def without_users(text: str) -> str:
    """Hides user and password of addresses, whoever they belong to: others write them where we never would.

    Args:
        text: Any text.

    Returns:
        The text without them.
    """
    return _USER.sub(rf"\1{HIDDEN}@", text) if "@" in text else text


_OF_BYTES = re.compile(r"(?:[0-9a-fA-F]{2}){16,}|[A-Za-z0-9+/_-]{42,88}={0,2}", re.ASCII)


def _other_forms(value: str) -> Iterator[str]:
    """Gives what else a key of bytes is written as: it is the same key in other letters, and in base64 as in hex."""
    if _OF_BYTES.fullmatch(value) is None:
        return
    try:
        content = bytes.fromhex(value)
    except ValueError:
        try:
            content = base64.b64decode(value.translate(_STANDARD), validate=True)
        except (binascii.Error, ValueError):
            return
    yield from (content.hex(), content.hex().upper(), base64.b64encode(content).decode())


class Scrubber:
    """Takes known credentials out of texts. Prints how many it knows and never which.

    Attributes:
        longest: Characters of the longest form of a credential; 0 when none is known.

    Example:
        >>> Scrubber(["hunter22"]).text('Invalid value: "hunter22"')
        'Invalid value: "<hidden>"'
    """

    __slots__ = ("_size", "_values", "longest")

    def __init__(self, values: Iterable[str] = ()) -> None:
        """Makes the scrubber, which costs little until a text is looked at.

        Args:
            values: Credentials; those shorter than four characters are passed over.
        """
        # The same value often stands in the Secret of every database.
        known = {value for value in values if len(value) >= _MIN_LENGTH}
        self._size = len(known)
        known |= {form for value in known for form in _other_forms(value)}
        self.longest = _LONGEST_SPELLING * max(map(len, known), default=0)
        self._values = Values(known)

    def text(self, text: str) -> str:
        """Replaces each known credential, however it is spelled, and each longer part of one; and users of addresses.

        Args:
            text: Text of the server, or of a diff.

        Returns:
            The text without them.
        """
        text = without_users(text)
        if not self._size:
            return text
        shown, last = [], 0
        for begin, end in self._values.spans(text):
            shown += [text[last:begin], HIDDEN]
            last = end
        return "".join([*shown, text[last:]]) if shown else text

    def before(self, text: str, place: int) -> int:
        """Gives where a text can be cut, so that no credential is cut with it.

        Args:
            text: Text of a server.
            place: Where it would be cut; all of a credential that begins before that is in the text.

        Returns:
            That place, or the beginning of the credential in which it is.
        """
        return next((begin for begin, end in self._values.spans(text) if begin < place < end), place)

    def __repr__(self) -> str:
        """Says how many values are known."""
        return f"Scrubber({self._size} values)"

    def __reduce__(self) -> tuple[Any, ...]:
        """Refuses to be written down."""
        raise TypeError("credentials are not pickled")


def _secret_values(obj: Mapping[str, Any]) -> Iterable[str]:
    for value in (obj.get("stringData") or {}).values():
        if isinstance(value, str):
            yield value
    for name, value in (obj.get("data") or {}).items():
        if not isinstance(value, str) or is_shown_variable(str(name)):
            continue
        yield value
        try:
            plain = base64.b64decode(value, validate=False).decode("utf-8", errors="replace")
        except (binascii.Error, ValueError):
            continue
        yield plain
        yield from plain.splitlines()


def scrubber_for(objects: Iterable[Mapping[str, Any]]) -> Scrubber:
    """Makes a scrubber that knows every value in the Secrets of a set.

    Args:
        objects: Objects of any kind.

    Returns:
        The scrubber.
    """
    return Scrubber(value for obj in objects if obj.get("kind") == "Secret" for value in _secret_values(obj))


_DATA = frozenset({"data", "stringData", "binaryData"})
# Lists of a name with a value in which anything may stand: variables, and headers of probes.
_FREE_LISTS = frozenset({"env", "httpHeaders"})


def _is_hidden_entry(name: str) -> bool:
    """Whether the value of an entry of a ConfigMap is hidden: settings are lower case, variables are not."""
    if looks_like_credential(name):
        return True
    is_variable = name != name.lower() or name in _PROXIES
    return is_variable and _VARIABLE.fullmatch(name) is not None and not is_shown_variable(name)


def is_hidden(kind: str, path: tuple[str, ...], entry_names: Collection[str] = ()) -> bool:
    """Tells whether the value at a path of an object must not be shown.

    Args:
        kind: Kind of the object.
        path: Keys from the root of the object.
        entry_names: `name` of the list item in which the value stands, such as that of an environment variable,
            before and after.

    Returns:
        True when it must not be shown.
    """
    if path and path[0] in _DATA and (kind == "Secret" or (len(path) > 1 and _is_hidden_entry(path[1]))):
        return True
    if path and path[-1] in _FREE_LISTS:
        return True
    if path and path[-1] == "value":
        if len(path) > 1 and path[-2] in _FREE_LISTS:
            return not entry_names or not all(is_shown_variable(name) for name in entry_names)
        if any(looks_like_credential(name) for name in entry_names):
            return True
    # kubectl apply keeps the whole object there, a Secret's data with it.
    return any(part.endswith("last-applied-configuration") for part in path)
