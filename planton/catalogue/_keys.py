"""With which keys an archive is looked into: those that wal-g has, or for a cloud identity those of this process."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from urllib.parse import urlsplit

from planton.catalogue._address import StoreAddress
from planton.errors import StoreError
from planton.translate.archive import store_name
from planton.translate.archive_access import ArchiveAccess
from planton.translate.secret_values import Credentials

KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")

# The library's name of a setting -> the variables that give it: the AWS SDKs' settings reference,
# https://docs.aws.amazon.com/sdkref/latest/guide/settings-reference.html
_STATIC = {
    "access_key_id": ("AWS_ACCESS_KEY_ID",),
    "secret_access_key": ("AWS_SECRET_ACCESS_KEY",),
    "session_token": ("AWS_SESSION_TOKEN", "AWS_SECURITY_TOKEN"),
}
_WEB_IDENTITY = {
    "web_identity_token_file": ("AWS_WEB_IDENTITY_TOKEN_FILE",),
    "role_arn": ("AWS_ROLE_ARN",),
    "role_session_name": ("AWS_ROLE_SESSION_NAME",),
    "endpoint_url_sts": ("AWS_ENDPOINT_URL_STS",),
}
_CONTAINER = {
    "container_credentials_relative_uri": ("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",),
    "container_credentials_full_uri": ("AWS_CONTAINER_CREDENTIALS_FULL_URI",),
    "container_authorization_token_file": ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",),
}


def keys_of(access: ArchiveAccess, environment: Credentials, address: StoreAddress) -> Credentials:
    """Finds the keys for an archive.

    Args:
        access: How the archive is reached.
        environment: Variables of this process.
        address: Where the archive is.

    Returns:
        Settings of the library.

    Raises:
        StoreError: There are none.
    """
    subject = address.subject
    # Names alone: what breaks shows the local variables of its frames.
    known = {name for name in KEYS if _value(access, name)}
    # wal-g takes them where both are there: v3.0.5, pkg/storages/s3/session.go (configureSession).
    if len(known) == len(KEYS):
        return Credentials({name.removeprefix("AWS_").lower(): _value(access, name) for name in KEYS})
    for name in KEYS:
        if name in access.contents.unresolved:
            raise StoreError(
                f"{name} was not looked up: it is in {access.contents.unresolved[name]}",
                subject=subject,
                problem="credentials",
                remedy="Make that readable here, then run the same command again.",
            )
        if name in access.references and name not in known:
            raise StoreError(
                f"{name} is not known here: the pods have it from key {_key(access.references[name])}",
                subject=subject,
                problem="credentials",
                remedy="Let this user read that Secret, or give the keys in the manifest.",
            )
    if known:
        lacking = next(name for name in KEYS if name not in known)
        raise StoreError(
            f"{lacking} is missing or empty",
            subject=subject,
            problem="credentials",
            remedy="A key id and its secret go together: give both.",
        )
    return _of_process(environment, address)


def _of_process(environment: Credentials, address: StoreAddress) -> Credentials:
    """Gives keys of this process, in the order of the AWS SDKs; never the identity of the machine.

    Where the archive is says whoever may write a custom resource. He must not have the credentials of whoever looks at
    his database: a session token goes with every request, and the token of a web identity through the same proxy.
    """
    subject, is_here = address.subject, _is_loopback(address.host)
    if not is_here and (address.scheme != "https" or store_name(address.url, address.bucket)):
        raise StoreError(
            "its pods have no keys for it, and the AWS_* credentials of this process are sent to Amazon S3 only, by "
            "https",
            subject=subject,
            problem="credentials",
            remedy="Give the keys of this store in the manifest.",
        )
    static, web, container = (_settings(environment, table) for table in (_STATIC, _WEB_IDENTITY, _CONTAINER))
    if {"access_key_id", "secret_access_key"} <= {*static.keys()}:
        return static
    if address.authority and not is_here:
        # The token would go by the same way, and whoever has that authority's key could read it there.
        web = container = Credentials({})
    if {"web_identity_token_file", "role_arn"} <= {*web.keys()}:
        return web
    if {"container_credentials_relative_uri", "container_credentials_full_uri"} & {*container.keys()}:
        return container
    raise StoreError(
        "the database's pods have an identity of their cloud in the place of keys, and outside of them nobody has it",
        subject=subject,
        problem="credentials",
        remedy="Set AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY (and AWS_SESSION_TOKEN) here to keys of your own that may "
        "read the bucket, such as `eval $(aws configure export-credentials --format env)` does.",
    )


def _is_loopback(host: str) -> bool:
    name = urlsplit(f"//{host}").hostname or ""
    try:
        return name == "localhost" or ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def _settings(environment: Credentials, table: Mapping[str, tuple[str, ...]]) -> Credentials:
    given = environment.reveal()
    found = {setting: next((given[name] for name in names if given.get(name)), "") for setting, names in table.items()}
    return Credentials({setting: value for setting, value in found.items() if value})


def _value(access: ArchiveAccess, name: str) -> str:
    value = access.contents.reveal().get(name) or access.environment.get(name, "")
    # What reaches wal-g: envdir (runit's chpst -e) passes on the first line without blanks at its end.
    return value.split("\n", 1)[0].rstrip(" \t")


def _key(reference: str) -> str:
    secret, _, key = reference.partition("/")
    return f"{key} of Secret {secret}"
