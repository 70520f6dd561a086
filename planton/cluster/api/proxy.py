"""Which proxy the way to an API server goes through: as kubectl decides it, whatever the client's version knows of it.

The official client 33 knows neither `proxy-url` nor the variables, and its requests would go past the proxy; 37 takes
them by rules of its own. kubectl's: k8s.io/client-go, tools/clientcmd/client_config.go (ClientConfig), and
golang.org/x/net/http/httpproxy (FromEnvironment, useProxy).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from contextlib import suppress
from typing import Any
from urllib.parse import unquote, urlsplit

_PORTS = {"http": 80, "https": 443}
# Both lists are read by the client's libraries too, which else ask the environment once more; this matches no host.
_NOBODY = "nobody.invalid"
_EVERYBODY = "*"


def set_proxy(settings: Any, proxy_url: str, environment: Mapping[str, str]) -> None:
    """Says to the official client which proxy it uses.

    Args:
        settings: Its configuration, which knows the server already.
        proxy_url: `proxy-url` of the cluster in the kubeconfig; empty for none.
        environment: Variables.

    Raises:
        ValueError: What was given is no proxy that can be used; the text holds no password.
    """
    server = str(settings.host)
    chosen = proxy_url or _of_environment(urlsplit(server).scheme, environment)
    settings.proxy, settings.no_proxy, settings.proxy_headers = None, None, None
    if not chosen:
        return
    try:
        parts = urlsplit(chosen)
        is_whole = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_whole = False
    if not is_whole:
        whose = "proxy-url of the cluster" if proxy_url else f"{urlsplit(server).scheme.upper()}_PROXY"
        raise ValueError(f"{whose} is not http://HOST:PORT or https://HOST:PORT, which is all that is spoken here")
    settings.proxy = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
    # A proxy of the kubeconfig is used for any server.
    is_used = bool(proxy_url) or not is_direct(server, _first(environment, "NO_PROXY"))
    # The proxy is named in either case: websocket-client takes one from the environment where it is given none.
    settings.no_proxy = _NOBODY if is_used else _EVERYBODY
    if parts.username is not None:
        from urllib3.util import make_headers

        # The client gives urllib3 the address alone, whose user urllib3 does not read.
        login = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        settings.proxy_headers = make_headers(proxy_basic_auth=login)


def is_direct(server: str, no_proxy: str) -> bool:
    """Tells whether a proxy of the environment is passed by.

    Args:
        server: URL of the server.
        no_proxy: Hosts that are reached without it: `*`, names with all below them, `.names` for those below alone,
            addresses and networks; each may have a port.

    Returns:
        True for those, and for this machine itself.
    """
    parts = urlsplit(server)
    host = (parts.hostname or "").rstrip(".")
    try:
        port = parts.port or _PORTS.get(parts.scheme)
    except ValueError:
        port = None
    address = _address(host)
    if host == "localhost" or (address is not None and address.is_loopback):
        return True
    for entry in (one.strip().lower() for one in no_proxy.split(",")):
        if entry == "*":
            return True
        if entry and _matches(entry, host, port, address):
            return True
    return False


def _matches(entry: str, host: str, port: int | None, address: Any) -> bool:
    with suppress(ValueError):
        network = ipaddress.ip_network(entry, strict=False)
        return address is not None and address in network
    name, colon, number = entry.rpartition(":")
    if colon and number.isdigit():
        if int(number) != port:
            return False
        entry = name
    entry = entry.strip("[]").removeprefix("*")
    if (own := _address(entry)) is not None:
        return bool(own == address)
    if address is not None:
        return False
    below = entry if entry.startswith(".") else f".{entry}"
    return len(below) > 1 and (host.endswith(below) or host == entry)


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


def _of_environment(scheme: str, environment: Mapping[str, str]) -> str:
    if scheme not in _PORTS:
        return ""
    # What a program behind a web server is sent as the header Proxy: https://httpoxy.org
    if scheme == "http" and environment.get("REQUEST_METHOD"):
        return ""
    found = _first(environment, f"{scheme.upper()}_PROXY")
    return found if not found or "://" in found else f"http://{found}"


def _first(environment: Mapping[str, str], name: str) -> str:
    return environment.get(name) or environment.get(name.lower()) or ""
