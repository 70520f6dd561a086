"""What went wrong with an object store, in words, out of errors that quote requests, keys and answers.

Errors of obstore hold the whole answer of the store and the address that was asked. Of these nothing is passed on but
what is matched here: a status, the code of an S3 error, the name of a region, a kind of failure.
Codes: https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html#ErrorCodeList
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType

from planton.catalogue._address import StoreAddress
from planton.errors import StoreError, StoreProblem
from planton.sensitive import is_showable

_STATUS = re.compile(r"status code: (\d{3})\b")
_CODE = re.compile(r"<Code>\s*([A-Za-z]{3,64})\s*</Code>")
# Of one object out of many that a request was to delete: object_store 0.14, src/aws/client.rs.
_CODE_OF_ONE = re.compile(r"\(code: ([A-Za-z]{3,64})\)")
_REGION = re.compile(r"<Region>\s*([a-z]{2}(?:-[a-z]+){1,3}-\d{1,2}|auto|[a-z]{3,16})\s*</Region>")
_WORDS = re.compile(r"(?:[A-Z][a-z]+){1,6}")
# The library hides the address of a request for keys, and of no other.
_FOR_KEYS = re.compile(r"\A[^<]*(Error performing [A-Z]+ REDACTED|token file|InvalidHeaderValue)")

_PROBLEMS: Mapping[str, StoreProblem] = MappingProxyType(
    {
        "InvalidAccessKeyId": "credentials",
        "XAdminUserNotFound": "credentials",  # versitygw's word for it.
        "SignatureDoesNotMatch": "credentials",
        "InvalidToken": "credentials",
        "ExpiredToken": "credentials",
        "TokenRefreshRequired": "credentials",
        "InvalidSecurity": "credentials",
        "MissingSecurityHeader": "credentials",
        "Unauthorized": "credentials",
        "AccessDenied": "forbidden",
        "AllAccessDisabled": "forbidden",
        "AccountProblem": "forbidden",
        "NotSignedUp": "forbidden",
        "Forbidden": "forbidden",
        "NoSuchBucket": "no bucket",
        "InvalidBucketName": "no bucket",
        "AuthorizationHeaderMalformed": "region",
        "AuthorizationQueryParametersError": "region",
        "PermanentRedirect": "region",
        "TemporaryRedirect": "region",
        "IllegalLocationConstraintException": "region",
        "InvalidRegionName": "region",
        "RequestTimeTooSkewed": "clock",
        "SlowDown": "busy",
        "ServiceUnavailable": "busy",
        "Busy": "busy",
        "TooManyRequests": "busy",
        "RequestLimitExceeded": "busy",
        "RequestTimeout": "busy",
        "InternalError": "busy",
    }
)
_OF_STATUS: Mapping[int, StoreProblem] = MappingProxyType(
    {
        301: "region",
        401: "credentials",
        403: "forbidden",
        429: "busy",
        500: "busy",
        502: "busy",
        503: "busy",
        504: "busy",
    }
)


def status_of(error: BaseException) -> tuple[int, str]:
    """Reads what a store answered.

    Args:
        error: Error of the library.

    Returns:
        HTTP status, 0 without an answer, and the code of the S3 error, empty when there is none of its form.
    """
    # What follows is the same again in the form of the library's debugging.
    text = str(error).partition("\n\nDebug source:")[0]
    status = _STATUS.search(text)
    code = _CODE.search(text) if status else _CODE_OF_ONE.search(text)
    return int(status[1]) if status else 0, code[1] if code else ""


def store_error(
    error: BaseException, address: StoreAddress, *, doing: str, kind: type[StoreError] = StoreError
) -> StoreError:
    """Turns an error of the library into one for people.

    Args:
        error: Error of the library.
        address: Where the request went.
        doing: What was being done, such as `list objects`.
        kind: Class of the error that is made.

    Returns:
        The error; nothing of the other one is in it but what is known to be harmless.
    """
    problem, text, remedy = _explained(error, address)
    return kind(f"cannot {doing}: {text}", subject=address.subject, problem=problem, remedy=remedy)


def _explained(error: BaseException, address: StoreAddress) -> tuple[StoreProblem, str, str]:
    if _FOR_KEYS.search(str(error)):
        return (
            "credentials",
            "the identity of this process gives no keys",
            "Look at the AWS_* variables here, or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.",
        )
    status, code = status_of(error)
    return _answered(status, code, str(error), address) if status or code else _not_answered(str(error), address)


def _answered(status: int, code: str, whole: str, address: StoreAddress) -> tuple[StoreProblem, str, str]:
    shown = f" ({code})" if code in _PROBLEMS or (_WORDS.fullmatch(code) and is_showable(code)) else ""
    problem = _PROBLEMS.get(code) or (_OF_STATUS.get(status) if not code else None) or "refused"
    if problem == "region":
        region = _REGION.search(whole)
        if code == "AuthorizationHeaderMalformed" and region is None:
            # Amazon says this of a key id with characters that none can have, too.
            problem = "credentials"
            return (
                problem,
                f"the store cannot read the key id, or wants another region than {address.region}{shown}",
                ("Look at the key id for blanks and quotes, and at the region."),
            )
        expected = f"{region[1]}, not " if region else "another one than "
        return (
            problem,
            f"the store is in the region {expected}{address.region}{shown}",
            (f"Set the region to {region[1]}." if region else "Set the region to that in which the bucket was made."),
        )
    if not code and status in (502, 504) and address.proxy:
        return (
            "unreachable",
            f"the proxy {address.proxy_host} does not get to the store (HTTP {status})",
            ("Ask whether the proxy may reach the store, or take the store out of it by no_proxy."),
        )
    if address.host.endswith(".r2.cloudflarestorage.com") and code == "InvalidArgument":
        # R2's answer to a key id of another length than its own have.
        return (
            "credentials",
            f"the store does not take the form of the key id{shown}",
            ("Use the S3 access key id of an R2 API token, which has 32 characters."),
        )
    if problem != "refused":
        return problem, *_words(problem, code, shown, status, address)
    if code == "":
        return (
            problem,
            f"the answer is HTTP {status}, and not one of an S3 store",
            (
                "Look whether the endpoint is that of the store's S3 API, and not of its console, and whether it wants "
                "https."
            ),
        )
    return (
        problem,
        f"the store refuses (HTTP {status}{', ' + code if shown else ''})" if status else (f"the store refuses{shown}"),
        "Look into the log of the store.",
    )


def _words(problem: StoreProblem, code: str, shown: str, status: int, address: StoreAddress) -> tuple[str, str]:
    if problem == "credentials":
        if code == "SignatureDoesNotMatch":
            return (
                f"the secret key does not belong to the key id{shown}",
                "Give the secret that was made with the key id.",
            )
        if code in ("ExpiredToken", "TokenRefreshRequired", "InvalidToken"):
            return f"the session token is no longer good{shown}", "Get new keys."
        return f"the store does not know these keys{shown or f' (HTTP {status})'}", (
            "Look whether the keys belong to this store and still exist."
        )
    if problem == "forbidden":
        return f"these keys may not do that here{shown or f' (HTTP {status})'}", (
            "Allow the keys s3:ListBucket on the bucket, and s3:GetObject, s3:PutObject and s3:DeleteObject below "
            f"{address.path or 'it'}."
        )
    if problem == "no bucket":
        return (
            f"there is no bucket {address.bucket}{shown}",
            "Make the bucket, or correct its name; look at the endpoint, too.",
        )
    if problem == "clock":
        return f"the clock of this machine and that of the store differ by too much{shown}", (
            "Set the clock here; pods on nodes with such a clock cannot archive, either."
        )
    return f"the store is busy or has trouble of its own{shown or f' (HTTP {status})'}", "Try again later."


def _not_answered(whole: str, address: StoreAddress) -> tuple[StoreProblem, str, str]:
    """Reads the kind of failure out of what the library says for debugging, where no answer is quoted."""
    host = address.request_host
    if "builder error" in whole and "HTTP client" in whole:
        return _not_made(whole, address)
    for mark, text, remedy in (
        ("UnknownIssuer", "the store's certificate is of an authority that is not trusted", _AUTHORITY),
        ("BadSignature", "the store's certificate is not of the authority that is given", _AUTHORITY),
        ("CaUsedAsEndEntity", "the store's certificate is one of an authority, and not of a server", _AUTHORITY),
        ("NotValidForName", f"the store's certificate is not for {host}", "Use the name for which it was made."),
        ("NotValidYet", "the store's certificate is not valid yet", "Look at the clock here, and at the certificate."),
        ("Expired", "the store's certificate has expired", "Renew it in the store: wal-g refuses it, too."),
        ("InvalidCertificate", "the store's certificate is not good", "Look at it with openssl s_client."),
        (
            "InvalidContentType",
            "the store does not speak TLS at that port",
            "Write http:// into the endpoint, or correct the port.",
        ),
        ("HandshakeFailure", "the store and this machine find no common form of TLS", "Let the store offer TLS 1.2."),
        ("AlertReceived", "the store ends the TLS handshake", "Look into the log of the store."),
    ):
        if mark in whole:
            return "certificate", text, remedy
    if "without LOCATION" in whole:
        return (
            "region",
            f"the bucket is in another region than {address.region}, or at another endpoint",
            ("Set the region to that in which the bucket was made."),
        )
    if "invalid path" in whole:
        return (
            "refused",
            "an object's name there has an empty part, a . or a .., or a character that no name should have",
            ("Remove that object, or give the archive a prefix of its own."),
        )
    if "invalid list response" in whole or "non-partial response" in whole:
        return (
            "refused",
            "the answer is not one of an S3 store",
            "Look whether the endpoint is that of the store's S3 API.",
        )
    if "panicked" in whole or "Option::unwrap" in whole:
        return "refused", "the answer is not one that an S3 store gives", "Look into the log of the store."
    by = f" by the proxy {address.proxy_host}" if address.proxy else ""
    remedy = _PROXY if address.proxy else "Look at the endpoint, and at the network between here and the store."
    for mark, text in (
        ("dns error", f"no such name{f': {host}' if not by else ', or that of the proxy ' + address.proxy_host}"),
        ("TunnelUnsuccessful", f"the proxy {address.proxy_host} does not get to {host}"),
        ("TunnelUnexpectedEof", f"the proxy {address.proxy_host} does not get to {host}"),
        ("ConnectionRefused", f"nobody listens at {address.proxy_host or host}"),
        ("NetworkUnreachable", f"there is no way to {address.proxy_host or host}"),
        ("HostUnreachable", f"there is no way to {address.proxy_host or host}"),
        ("TimedOut", f"no answer from {host}{by} in time"),
        ("Timeout", f"no answer from {host}{by} in time"),
        ("timed out", f"no answer from {host}{by} in time"),
    ):
        if mark in whole:
            return "unreachable", text, remedy
    if address.scheme == "http":
        remedy = f"Look whether the store wants https:// in the endpoint. {remedy}"
    return "unreachable", f"the connection to {host}{by} breaks off", remedy


def _not_made(whole: str, address: StoreAddress) -> tuple[StoreProblem, str, str]:
    """Says why there is not even a client."""
    if "No CA certificates were loaded" in whole:
        return "certificate", "this machine trusts no authority at all", "Install ca-certificates here."
    if address.authority and "ertificate" in whole:
        return "certificate", "the certificate of the store's authority cannot be read", "Give it in PEM, whole."
    if address.proxy:
        return "unreachable", "the address of the proxy cannot be used", "Write it as http://host:port."
    return "unreachable", "the endpoint cannot be used", "Write it as https://host:port."


_AUTHORITY = (
    "Give the certificate of the store's own authority in the manifest (certificate_authority); where one is given, it "
    "is the only one that is trusted, by wal-g and here."
)
_PROXY = "Look at the endpoint, at the proxy, and at no_proxy."
