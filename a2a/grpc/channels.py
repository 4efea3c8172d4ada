"""Connections to the addresses that were checked, and to no others.

The name is resolved here, each of its addresses checked, and the channel opened to one of those very
addresses, as the guard does it for HTTP. TLS still verifies the name.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Self
from urllib.parse import urlsplit

import grpc
from grpc import ChannelConnectivity

from a2a.errors import AgentUnreachable
from a2a.guard import Address, AddressPolicy

ENCRYPTED = {"https": True, "grpcs": True, "http": False, "grpc": False}


@dataclass(frozen=True, slots=True)
class Target:
    """`is_encrypted` is None where the URL does not say: that of a gRPC interface may be a bare host:port."""

    url: str
    host: str
    port: int
    is_encrypted: bool | None

    @classmethod
    def parse(cls, url: str) -> Self:
        """Raises AgentUnreachable."""
        try:
            parts = urlsplit(url if "://" in url else f"//{url}")
            host, port, scheme = parts.hostname, parts.port, parts.scheme
        except ValueError:
            host, port, scheme = None, None, ""
        if not host or (scheme and scheme not in ENCRYPTED):
            raise AgentUnreachable(url, "the URL cannot be used", may_have_arrived=False)
        is_encrypted = ENCRYPTED.get(scheme)
        return cls(url, host, port or (80 if is_encrypted is False else 443), is_encrypted)


class Channels:
    """The one channel to a target, opened when it is needed, and again once it is lost, with the name
    resolved anew.

    A URL that does not say is spoken to over TLS, but for this machine itself, and with `credentials` always.
    """

    def __init__(
        self,
        url: str,
        policy: AddressPolicy,
        *,
        credentials: grpc.ChannelCredentials | None,
        max_message_bytes: int,
    ) -> None:
        self._url = url
        self._policy = policy
        self._credentials = credentials
        self._max_message_bytes = max_message_bytes
        self._opening = asyncio.Lock()
        self._channel: grpc.aio.Channel | None = None

    async def ready(self) -> grpc.aio.Channel:
        """A connected channel. Raises AddressRefused or AgentUnreachable; time is the caller's to bound."""
        channel = self._channel
        if channel is not None and channel.get_state() is ChannelConnectivity.READY:
            return channel
        async with self._opening:
            if self._channel is not None and not await _connects(self._channel):
                await self.close()
            if self._channel is None:
                self._channel = await self._connect()
            return self._channel

    async def close(self) -> None:
        """Calls that are under way end."""
        channel, self._channel = self._channel, None
        if channel is not None:
            await channel.close()

    async def _connect(self) -> grpc.aio.Channel:
        target = Target.parse(self._url)
        try:
            addresses = await self._policy.resolve(target.host, target.port)
        except OSError as exc:
            detail = "its name does not resolve"
            raise AgentUnreachable(self._url, detail, may_have_arrived=False) from exc
        for address in addresses:
            async with _closed_on_failure(self._make(target, address)) as channel:
                if await _connects(channel):
                    return channel
                await channel.close()
        raise AgentUnreachable(self._url, "no connection", may_have_arrived=False)

    def _make(self, target: Target, address: Address) -> grpc.aio.Channel:
        where = f"ipv4:{address}:{target.port}" if address.version == 4 else f"ipv6:[{address}]:{target.port}"
        host = f"[{target.host}]" if ":" in target.host else target.host
        options: list[tuple[str, str | int]] = [
            ("grpc.default_authority", f"{host}:{target.port}"),
            ("grpc.max_receive_message_length", self._max_message_bytes),
            ("grpc.max_send_message_length", self._max_message_bytes),
            # Neither the environment nor the name's owner says where calls go or how often they are sent.
            ("grpc.enable_http_proxy", 0),
            ("grpc.enable_retries", 0),
            ("grpc.service_config_disable_resolution", 1),
            ("grpc.use_local_subchannel_pool", 1),
        ]
        is_encrypted = target.is_encrypted
        if is_encrypted is None:
            is_encrypted = not address.is_loopback
        if self._credentials is None and not is_encrypted:
            return grpc.aio.insecure_channel(where, options)
        options.append(("grpc.ssl_target_name_override", target.host))
        return grpc.aio.secure_channel(where, self._credentials or grpc.ssl_channel_credentials(), options)


async def _connects(channel: grpc.aio.Channel) -> bool:
    state = channel.get_state(try_to_connect=True)
    while state in (ChannelConnectivity.IDLE, ChannelConnectivity.CONNECTING):
        await channel.wait_for_state_change(state)
        state = channel.get_state(try_to_connect=True)
    return state is ChannelConnectivity.READY


@asynccontextmanager
async def _closed_on_failure(channel: grpc.aio.Channel) -> AsyncIterator[grpc.aio.Channel]:
    try:
        yield channel
    except BaseException:
        await channel.close()
        raise
