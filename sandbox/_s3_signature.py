"""The signature of a request to an S3 server, for the few requests that a sandbox makes itself."""

from __future__ import annotations

import datetime
import hashlib
import hmac


def signature(method: str, host: str, path: str, region: str, keys: tuple[str, str]) -> dict[str, str]:
    """Return the headers of a request that has neither a query nor a body.

    https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html

    Args:
        method: HTTP method.
        host: host and port, as in the request's header.
        path: path, with what needs it encoded.
        region: region of the server.
        keys: key id and secret.

    Returns:
        Name -> value.
    """
    now = datetime.datetime.now(datetime.UTC).strftime("%Y%m%dT%H%M%SZ")
    empty = hashlib.sha256(b"").hexdigest()
    headers = {"host": host, "x-amz-content-sha256": empty, "x-amz-date": now}
    names = ";".join(headers)
    canonical = [method, path, "", *(f"{name}:{value}" for name, value in headers.items()), "", names, empty]
    scope = (now[:8], region, "s3", "aws4_request")
    digest = hashlib.sha256("\n".join(canonical).encode()).hexdigest()
    key = f"AWS4{keys[1]}".encode()
    for part in (*scope, "\n".join(["AWS4-HMAC-SHA256", now, "/".join(scope), digest])):
        key = hmac.digest(key, part.encode(), "sha256")
    credential = "/".join([keys[0], *scope])
    headers["authorization"] = f"AWS4-HMAC-SHA256 Credential={credential},SignedHeaders={names},Signature={key.hex()}"
    return headers
