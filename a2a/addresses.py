"""Which addresses may be connected to, and the addresses of a name once they are checked."""

import asyncio
import ipaddress
import socket
from dataclasses import dataclass
from typing import TypeAlias

import structlog

from a2a.errors import AddressRefused

log = structlog.get_logger(__name__)

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True, slots=True)
class AddressPolicy:
    """Which addresses may be connected to. Public ones always; multicast and reserved ones never."""

    allow_loopback: bool
    allow_private: bool

    def permits(self, address: Address) -> bool:
        plain = _unmapped(address)
        if plain.is_loopback:
            return self.allow_loopback
        if plain.is_multicast or plain.is_unspecified or plain.is_reserved or plain.is_link_local:
            return False
        # Python calls the retired site-local range (fec0::/10) global.
        if isinstance(plain, ipaddress.IPv6Address) and plain.is_site_local:
            return self.allow_private
        return plain.is_global or (self.allow_private and plain.is_private)

    def check(self, host: str, address: Address) -> None:
        """Raises AddressRefused, which names the host and not its address."""
        if not self.permits(address):
            # The address is for the log only: the error may reach whoever gave us the name.
            log.info("guard.refused", host=host, address=str(address))
            raise AddressRefused(host, "its address is not one we may connect to")

    async def resolve(self, host: str, port: int) -> list[Address]:
        """The addresses of a name, one at least. Raises AddressRefused where any of them is forbidden, and
        OSError where there is none.
        """
        loop = asyncio.get_running_loop()
        try:
            found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except UnicodeError as exc:
            raise OSError("no name of the internet") from exc
        unique = dict.fromkeys(str(entry[4][0]).partition("%")[0] for entry in found)
        addresses = [ipaddress.ip_address(text) for text in unique]
        if not addresses:
            raise OSError("the name has no address")
        for address in addresses:
            self.check(host, address)
        return addresses


def _unmapped(address: Address) -> Address:
    """The IPv4 address inside an IPv6 one that only carries it (mapped, 6to4, NAT64)."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    if address in ipaddress.ip_network("64:ff9b::/96"):
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address
