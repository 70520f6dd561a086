"""Where wal-g looks for an archive, given its variables: address, region, style, proxy and authority. Pure.

First Spilo's rules, then wal-g's. Spilo 4.0-p3, postgres-appliance/scripts/configure_spilo.py
(write_wale_environment), and 4.1 (write_walg_environment): the endpoint's convention decides about the style. wal-g
v3.0.5 and v3.0.8, pkg/storages/s3/session.go (createSession, configureSession), uploader.go (createUploader).
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from planton.errors import StoreError
from planton.translate.archive_access import ArchiveAccess
from planton.translate.backup import CERTIFICATE
from planton.translate.store import CERTIFICATE_VARIABLE

_CONVENTION = re.compile(r"(\w+)\+(\w+)(://.+)")
# Go's strconv.ParseBool, by which wal-g v3.0.5 reads it: pkg/storages/s3/configure.go.
_TRUE = frozenset({"1", "t", "T", "TRUE", "true", "True"})
# aws-sdk-go v1.55, service/s3/host_style_bucket.go (dnsCompatibleBucketName).
_DNS_NAME = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", re.ASCII)
_ADDRESS_NAME = re.compile(r"(\d+\.){3}\d+", re.ASCII)


@dataclass(frozen=True, slots=True)
class StoreAddress:
    """Where one archive is, and how requests get there. Holds no key; a proxy's address may hold a password.

    Attributes:
        bucket: Name of the bucket.
        path: Path in the bucket, without slashes at its ends; may be empty.
        scheme: `http` or `https`.
        host: Host of the store, and its port where one is given, without the bucket.
        region: Region of the signatures.
        path_style: Whether the bucket stands in the path; else it stands before the host.
        proxy: URL of the proxy; empty for none.
        authority: PEM of the only authorities that are trusted; empty for the system's.
        encryption: Encryption by the store that is asked for when something is written; empty for none.
        encryption_key_id: Key for it.
    """

    bucket: str
    path: str
    scheme: str
    host: str
    region: str
    path_style: bool
    proxy: str = field(default="", repr=False)
    authority: str = field(default="", repr=False)
    encryption: str = ""
    encryption_key_id: str = field(default="", repr=False)

    @property
    def subject(self) -> str:
        """What is reached, for people."""
        return _subject(self.bucket, self.path, self.host)

    @property
    def url(self) -> str:
        """Address of the requests, with the bucket before the host where it belongs there."""
        return f"{self.scheme}://{self.request_host}"

    @property
    def request_host(self) -> str:
        """Host of the requests, and its port where one is given."""
        return self.host if self.path_style else f"{self.bucket}.{self.host}"

    @property
    def proxy_host(self) -> str:
        """Host of the proxy, without a password; `…` for what cannot be told from one, empty for none."""
        try:
            parts = urlsplit(self.proxy)
            # A slash in a password ends what counts as the host.
            return (parts.hostname or "") if "@" not in parts.path + parts.query + parts.fragment else "…"
        except ValueError:
            return "…"


def address_of(access: ArchiveAccess) -> StoreAddress:
    """Says where an archive is, as wal-g sees it.

    Args:
        access: How the archive is reached.

    Returns:
        The address.

    Raises:
        StoreError: With these variables wal-g does not get to a store at all.
    """
    # An empty value never reaches wal-g: Spilo writes no file for it.
    given = {name: value for name, value in access.environment.items() if value}
    style, endpoint = _endpoint(given)
    host_given = _host(endpoint) if endpoint else ""
    subject = _subject(access.bucket, access.path, host_given or "Amazon S3")
    if not access.bucket:
        raise StoreError(
            "the archive's address names no bucket",
            subject=subject,
            problem="no bucket",
            remedy="Write s3://<bucket>/<path>.",
        )
    if any(part in ("", ".", "..") for part in access.path.split("/") if access.path):
        raise StoreError(
            "a path with an empty part, or with . or .. in it, cannot be looked into",
            subject=subject,
            problem="refused",
            remedy="Give the archive a prefix without double slashes and dots.",
        )
    region = given.get("AWS_REGION", "")
    if endpoint:
        if not host_given:
            raise StoreError(
                "the endpoint is no address of the form https://host:port",
                subject=subject,
                problem="unreachable",
                remedy="Correct the endpoint of the store.",
            )
        if urlsplit(endpoint).path.strip("/"):
            # wal-g puts it before the bucket (aws-sdk-go v1.55): with R2, whose console shows the address so, into it.
            raise StoreError(
                "the endpoint has a path behind its host",
                subject=subject,
                problem="unreachable",
                remedy="Write the endpoint without the bucket: https://host:port.",
            )
        scheme, host, region = endpoint.partition("://")[0].lower(), host_given, region or "us-east-1"
    elif not region:
        # wal-g would ask for it, but Spilo makes one up where nothing is said.
        raise StoreError(
            "no region is said, and without an endpoint the store's address follows from it",
            subject=subject,
            problem="region",
            remedy="Say the region of the bucket.",
        )
    else:
        scheme, host = "https", f"s3.{region}.amazonaws.com{'.cn' if region.startswith('cn-') else ''}"
    path_style = style == "path" or not _can_stand_before_host(access.bucket, scheme)
    encryption, key_id = _encryption(given, bool(endpoint), subject)
    return StoreAddress(
        bucket=access.bucket,
        path=access.path,
        scheme=scheme,
        host=host,
        region=region,
        path_style=path_style,
        proxy=_proxy(given, scheme, host if path_style else f"{access.bucket}.{host}"),
        authority=_authority(access, given, subject),
        encryption=encryption,
        encryption_key_id=key_id,
    )


def _subject(bucket: str, path: str, host: str) -> str:
    return f"s3://{bucket}{'/' if path else ''}{path} at {host}"


def _endpoint(given: Mapping[str, str]) -> tuple[str, str]:
    """Gives the style and the endpoint; both follow from WALE_S3_ENDPOINT where there is one."""
    found = _CONVENTION.fullmatch(given.get("WALE_S3_ENDPOINT", ""))
    convention, address = (found[2], found[1] + found[3]) if found else ("path", given.get("WALE_S3_ENDPOINT", ""))
    endpoint = given.get("AWS_ENDPOINT") or address
    if not endpoint:
        # Without an endpoint the variable is passed on as it is; with one Spilo overwrites it.
        return ("path" if given.get("AWS_S3_FORCE_PATH_STYLE") in _TRUE else "virtualhost"), ""
    return convention, (endpoint if "://" in endpoint else f"https://{endpoint}").rstrip("/")


def _host(endpoint: str) -> str:
    """Gives host and port of an endpoint, never what stands before an `@`; empty when it is no address."""
    try:
        parts = urlsplit(endpoint)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return ""
    if parts.scheme.lower() not in ("http", "https") or not re.fullmatch(r"[A-Za-z0-9._:-]+", host):
        return ""
    host = f"[{host}]" if ":" in host else host
    return f"{host}:{port}" if port else host


def _can_stand_before_host(bucket: str, scheme: str) -> bool:
    """Repeats aws-sdk-go v1.55, service/s3/host_style_bucket.go (hostCompatibleBucketName).

    A bucket with a dot in its name has no valid certificate below a wildcard, so that it goes into the path.
    """
    if scheme == "https" and "." in bucket:
        return False
    return bool(_DNS_NAME.fullmatch(bucket)) and not _ADDRESS_NAME.fullmatch(bucket) and ".." not in bucket


def _authority(access: ArchiveAccess, given: Mapping[str, str], subject: str) -> str:
    authority = access.certificates.reveal().get(CERTIFICATE, "")
    if (CERTIFICATE_VARIABLE in given or access.certificates.unresolved) and not authority:
        raise StoreError(
            "the certificate of the store's private authority is not known here",
            subject=subject,
            problem="certificate",
            remedy="Give the certificate in the manifest, or make the Secret readable that holds it.",
        )
    if authority and "-----BEGIN CERTIFICATE-----" not in authority:
        raise StoreError(
            "what is given as the certificate of the store's authority holds no certificate",
            subject=subject,
            problem="certificate",
            remedy="Give it in PEM: it begins with -----BEGIN CERTIFICATE-----.",
        )
    return authority


def _encryption(given: Mapping[str, str], with_endpoint: bool, subject: str) -> tuple[str, str]:
    asked, key_id = given.get("WALG_S3_SSE", ""), given.get("WALG_S3_SSE_KMS_ID", "")
    # Spilo 4.0-p3's rule. 4.1 makes no exception for an endpoint; planton always writes the variable.
    is_exempt = with_endpoint and "WALG_DISABLE_S3_SSE" not in given
    if not asked and not is_exempt and given.get("WALG_DISABLE_S3_SSE") != "true":
        asked = "AES256"
    if (asked == "aws:kms") != bool(key_id):
        raise StoreError(
            "encryption by aws:kms and a KMS key go together: wal-g fails at every call",
            subject=subject,
            problem="refused",
            remedy="Set both WALG_S3_SSE=aws:kms and WALG_S3_SSE_KMS_ID, or neither.",
        )
    return asked, key_id


def _proxy(given: Mapping[str, str], scheme: str, host: str) -> str:
    """Gives the proxy as golang.org/x/net/http/httpproxy does (ProxyFunc), by which wal-g finds it."""
    proxy = given.get(f"{scheme}_proxy", "")
    parts = urlsplit(f"//{host}")
    name, port = parts.hostname or "", parts.port or (443 if scheme == "https" else 80)
    if not proxy or name == "localhost" or _is_excluded(name, port, given.get("no_proxy", "")):
        return ""
    return proxy if "://" in proxy else f"http://{proxy}"


def _is_excluded(host: str, port: int, no_proxy: str) -> bool:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        address = None
    if address is not None and address.is_loopback:
        return True
    for entry in no_proxy.lower().split(","):
        entry = entry.strip()
        if entry == "*":
            return True
        if address is not None:
            try:
                if address in ipaddress.ip_network(entry, strict=False):
                    return True
            except ValueError:  # A name.
                pass
        name, _, only = entry.partition(":")
        if not name or (only and only != str(port)):
            continue
        name = name.removeprefix("*")
        # `.example.com` means what is below it; `example.com` means itself as well.
        if host.endswith("." + name.removeprefix(".")) or (not name.startswith(".") and host == name):
            return True
    return False
