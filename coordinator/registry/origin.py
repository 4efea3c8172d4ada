"""Whether two URLs lead to the same server, as far as the URLs themselves say. Pure."""

import ipaddress
import socket
from urllib.parse import urlsplit

DEFAULT_PORTS = {"http": 80, "https": 443}


def is_same_server(one: str, other: str) -> bool:
    """Scheme, host and port are the same; every name of the loopback interface is one host.

    Both have to be http(s) URLs.
    """
    return _origin(one) == _origin(other)


def _origin(url: str) -> tuple[str, str, int]:
    parts = urlsplit(url)
    host = (parts.hostname or "").rstrip(".")
    port = parts.port if parts.port is not None else DEFAULT_PORTS[parts.scheme]
    return parts.scheme, "localhost" if is_loopback(host) else host, port


def is_loopback(host: str) -> bool:
    """Whether a host is a name or an address of the loopback interface, in any spelling."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        # Also the short and the numeric spellings, which connect as well.
        return ipaddress.IPv4Address(socket.inet_aton(host)).is_loopback
    except (OSError, ValueError):
        pass
    try:
        address = ipaddress.IPv6Address(host)
    except ValueError:
        return False
    return (address.ipv4_mapped or address).is_loopback
