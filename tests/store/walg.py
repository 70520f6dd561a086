"""What wal-g does with the environment of a database pod, as a value: first Spilo's rules, then wal-g's own.

Between the pod and wal-g stands Spilo: it writes a folder of files from the variables that it knows, some of them
computed, and archiving runs with those and with nothing else. Spilo 4.0-p3 (wal-g 3.0.5) and 4.1 (wal-g 3.0.8) differ,
so the version is an argument. Files: postgres-appliance/scripts/configure_spilo.py of Spilo
(write_wale_environment in 4.0-p3, write_walg_environment in 4.1), pkg/storages/s3 of wal-g.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal
from urllib.parse import urlsplit

Spilo = Literal["4.0", "4.1"]

# Spilo configure_spilo.py, the lists s3_names and walg_names: what concerns the object store. A name that is not there
# (AWS_SESSION_TOKEN, AWS_CA_BUNDLE, SSL_CERT_FILE, HTTPS_PROXY, AWS_PROFILE) never reaches archiving.
_PASSED_ON = frozenset(
    """
    WALG_S3_PREFIX AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_ENDPOINT AWS_REGION AWS_S3_FORCE_PATH_STYLE
    WALG_S3_SSE WALG_S3_SSE_KMS_ID WALG_DISABLE_S3_SSE WALG_S3_CA_CERT_FILE http_proxy https_proxy no_proxy
    """.split()
)
_TRUE = frozenset({"1", "t", "T", "TRUE", "true", "True"})
_FALSE = frozenset({"0", "f", "F", "FALSE", "false", "False"})


class UnusableError(Exception):
    """With these variables wal-g does not get to the object store at all; the message says why."""


@dataclass(frozen=True)
class StoreSettings:
    """How wal-g talks to the object store.

    Attributes:
        bucket: name of the bucket.
        path: path in the bucket, without slashes at its ends; may be empty.
        endpoint: `scheme://host[:port]` without the bucket.
        region: region of the signatures.
        path_style: whether the bucket stands in the path.
        access_key_id: key id.
        secret_access_key: its secret.
        certificate_authority: PEM that replaces the system's authorities; None for the system's.
        encryption: header of server-side encryption; empty for none.
        encryption_key_id: key of that encryption.
        proxy: proxy between wal-g and the store; empty for none.
    """

    bucket: str
    path: str
    endpoint: str
    region: str
    path_style: bool
    access_key_id: str
    secret_access_key: str = field(repr=False)
    certificate_authority: str | None = None
    encryption: str = ""
    encryption_key_id: str = ""
    proxy: str = ""

    @property
    def host(self) -> str:
        """Host of a request: with the bucket in virtual-host style."""
        host = urlsplit(self.endpoint).hostname or ""
        return host if self.path_style else f"{self.bucket}.{host}"


def pod_environment(
    entries: Iterable[Mapping[str, Any]], secrets: Mapping[str, Mapping[str, str]], fields: Mapping[str, str]
) -> dict[str, str]:
    """Gives the environment of a container as the kubelet makes it.

    Kubernetes v1.36, pkg/kubelet/kubelet_pods.go makeEnvironmentVariables and third_party/forked/golang/expansion:
    `$(NAME)` stands for a variable that comes *before* it in the list, anything else stays as it is, `$$` is a `$`;
    what comes from a Secret or a field is not looked into. The last of two with the same name wins.

    Args:
        entries: `env` of the container.
        secrets: Secret's name -> key -> value, not encoded, for all of the pod's namespace.
        fields: path of a pod's field -> its value, such as `metadata.namespace`.

    Returns:
        Name -> value.

    Raises:
        KeyError: the pod would not start: a Secret or a key is missing, or this does not know a field.
    """
    made: dict[str, str] = {}
    for entry in entries:
        source = entry.get("valueFrom") or {}
        if "secretKeyRef" in source:
            made[entry["name"]] = secrets[source["secretKeyRef"]["name"]][source["secretKeyRef"]["key"]]
        elif source:
            made[entry["name"]] = fields[source["fieldRef"]["fieldPath"]]
        else:
            made[entry["name"]] = re.sub(
                r"\$(?:(\$)|\(([^)]*)\))",
                lambda found: found[1] or made.get(found[2], found[0]),
                entry.get("value") or "",
            )
    return made


def settings_of(
    environment: Mapping[str, str],
    *,
    files: Mapping[str, str] | None = None,
    spilo: Spilo = "4.0",
    variable_prefix: Literal["", "CLONE_", "STANDBY_"] = "",
) -> StoreSettings:
    """Gives what wal-g makes of the environment of a database pod.

    Args:
        environment: the pod's whole environment, with values of Secrets in place.
        files: path in the pod -> content, for what is mounted there; None to look at this machine's files.
        spilo: version of the image.
        variable_prefix: which source is meant: the database's own archive, the one it is cloned from, or the one that
            it follows.

    Returns:
        The settings.

    Raises:
        UnusableError: every call of wal-g would fail.
    """
    passed = _after_spilo(environment, spilo, variable_prefix)
    bucket, path = _archive(passed)
    if bool(passed.get("WALG_S3_SSE") == "aws:kms") != bool(passed.get("WALG_S3_SSE_KMS_ID")):
        # wal-g s3/uploader.go, createUploader: while setting the storage up, so reading fails as well.
        raise UnusableError("WALG_S3_SSE_KMS_ID and WALG_S3_SSE 'aws:kms' go together")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        if not passed.get(name):
            # wal-g would go on to identities that a cloud gives to a pod, and here is no cloud.
            raise UnusableError(f"{name} is missing or empty")
    endpoint = _endpoint(passed)
    settings = StoreSettings(
        bucket=bucket,
        path=path,
        endpoint=endpoint,
        # wal-g s3/session.go: with an endpoint of one's own and without a region it is us-east-1.
        region=passed.get("AWS_REGION") or "us-east-1",
        path_style=_path_style(passed),
        access_key_id=passed["AWS_ACCESS_KEY_ID"],
        secret_access_key=passed["AWS_SECRET_ACCESS_KEY"],
        certificate_authority=_authority(passed, files),
        encryption=passed.get("WALG_S3_SSE", ""),
        encryption_key_id=passed.get("WALG_S3_SSE_KMS_ID", ""),
    )
    if not settings.path_style and re.fullmatch(r"[0-9.]+|localhost", urlsplit(endpoint).hostname or ""):
        raise UnusableError(f"{settings.host} is no host's name: an address has no names below it")
    return replace(settings, proxy=_proxy(settings, passed))


def _after_spilo(environment: Mapping[str, str], spilo: Spilo, prefix: str) -> dict[str, str]:
    """Gives what stands in Spilo's folder: an empty value is never written, a clone inherits nothing."""
    given = {
        name.removeprefix(prefix): _first_line(value) for name, value in environment.items() if name.startswith(prefix)
    }
    endpoint_name = "WALE_S3_ENDPOINT"
    if spilo == "4.1":
        endpoint_name = "WALG_S3_ENDPOINT"
        for name in [name for name in given if "WALE" in name]:
            # A twin that is there wins, also when it is empty.
            given.setdefault(name.replace("WALE", "WALG"), given[name])
    if not given.get("WALG_S3_PREFIX"):
        raise UnusableError(f"{prefix}WALG_S3_PREFIX is missing or empty: there is no archive")
    by_walg = bool(prefix) or given.get("USE_WALG_BACKUP") == "true"
    if spilo == "4.0" and not by_walg:
        raise UnusableError("USE_WALG_BACKUP is not 'true': Spilo 4.0 archives by wal-e then, to a wrong address")

    written = {name: given[name] for name in _PASSED_ON if given.get(name)}
    convention, address = _convention(given.get(endpoint_name, ""))
    if address or given.get("AWS_ENDPOINT"):
        written["AWS_ENDPOINT"] = given.get("AWS_ENDPOINT") or address
        # Computed with an endpoint, whatever was given.
        written["AWS_S3_FORCE_PATH_STYLE"] = "true" if convention == "path" else "false"
    elif not given.get("AWS_REGION"):
        raise UnusableError("AWS_REGION is missing, and without an endpoint Spilo makes one up")
    if not given.get("WALG_S3_SSE") and _encrypts_by_default(given, spilo, "AWS_ENDPOINT" in written):
        written["WALG_S3_SSE"] = "AES256"
    return written


def _convention(endpoint: str) -> tuple[str, str]:
    """Reads `https+virtualhost://host:port`; what has no such form counts as path style."""
    found = re.match(r"^(\w+)\+(\w+)(://.+)$", endpoint)
    return (found[2], found[1] + found[3]) if found else ("path", endpoint)


def _encrypts_by_default(given: Mapping[str, str], spilo: Spilo, with_endpoint: bool) -> bool:
    if spilo == "4.0" and with_endpoint and "WALG_DISABLE_S3_SSE" not in given:
        return False
    # Lower case exactly: "True" and "1" do not disable it.
    return given.get("WALG_DISABLE_S3_SSE") != "true"


def _first_line(value: str) -> str:
    # The folder is read by chpst (runit), which takes the first line only and cuts blanks off its end.
    return value.split("\n", 1)[0].rstrip(" \t")


def _archive(passed: Mapping[str, str]) -> tuple[str, str]:
    # In a pod $(SCOPE) and the like are filled in before Spilo sees them.
    found = re.fullmatch(r"s3://([^/]+)(?:/(.*))?", passed["WALG_S3_PREFIX"])
    if found is None or "$(" in passed["WALG_S3_PREFIX"]:
        raise UnusableError(f"WALG_S3_PREFIX is not s3://<bucket>/<path>: {passed['WALG_S3_PREFIX']}")
    return found[1], (found[2] or "").strip("/")


def _endpoint(passed: Mapping[str, str]) -> str:
    endpoint = passed.get("AWS_ENDPOINT") or f"s3.{passed['AWS_REGION']}.amazonaws.com"
    # aws-sdk-go v1, aws/endpoints, AddScheme: https where none is given.
    return (endpoint if "://" in endpoint else f"https://{endpoint}").rstrip("/")


def _path_style(passed: Mapping[str, str]) -> bool:
    value = passed.get("AWS_S3_FORCE_PATH_STYLE", "false")
    if value not in _TRUE | _FALSE:
        # wal-g s3/configure.go reads it by Go's strconv.ParseBool.
        raise UnusableError(f"AWS_S3_FORCE_PATH_STYLE is no truth value: {value}")
    return value in _TRUE


def _authority(passed: Mapping[str, str], files: Mapping[str, str] | None) -> str | None:
    """Reads the authorities as wal-g s3/session.go createSession does: also with an endpoint without TLS."""
    if not (path := passed.get("WALG_S3_CA_CERT_FILE")):
        return None
    try:
        if files is None:
            with open(path, encoding="utf-8") as handle:
                text = handle.read()
        else:
            text = files[path]
    except (OSError, KeyError):
        raise UnusableError(f"WALG_S3_CA_CERT_FILE: there is no file {path}") from None
    if "-----BEGIN CERTIFICATE-----" not in text:
        raise UnusableError(f"WALG_S3_CA_CERT_FILE: no certificate is in {path}")
    return text


def _proxy(settings: StoreSettings, passed: Mapping[str, str]) -> str:
    """Gives the proxy as Go's ProxyFromEnvironment does (golang.org/x/net/http/httpproxy), which the SDK uses."""
    address = urlsplit(settings.endpoint)
    port = address.port or (443 if address.scheme == "https" else 80)
    proxy = passed.get(f"{address.scheme}_proxy", "")
    if not proxy or is_loopback(settings.host) or _is_excluded(settings.host, port, passed.get("no_proxy", "")):
        return ""
    return proxy if "://" in proxy else f"http://{proxy}"


def is_loopback(host: str) -> bool:
    """Tells whether Go never uses a proxy for a host, and no resolver is needed for it.

    Args:
        host: host of a request.

    Returns:
        True for `localhost` and for addresses of loopback.
    """
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _is_excluded(host: str, port: int, no_proxy: str) -> bool:
    for entry in no_proxy.lower().split(","):
        name, _, only = entry.strip().partition(":")
        if name == "*":
            return True
        if not name or (only and only != str(port)):
            continue
        name = name.removeprefix("*")
        # `.example.com` means what is below it; `example.com` means itself as well.
        if host.endswith("." + name.removeprefix(".")) or (not name.startswith(".") and host == name):
            return True
    return False
