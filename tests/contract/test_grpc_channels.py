"""Where the gRPC binding connects to, where it refuses to, and what it makes of TLS."""

import asyncio
import datetime as dt
import socket
from typing import Any

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from a2a.client.binding import GET_TASK, LIST_TASKS, Extras
from a2a.errors import AddressRefused, AgentUnreachable
from a2a.grpc.channels import Target
from a2a.guard import AddressPolicy
from a2a.requests import GetTaskRequest, ListTasksRequest
from tests.support.grpc_agent import bound, serving_grpc

PLAIN = Extras()
NONE = GetTaskRequest(id="none")


def resolve_to(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> None:
    """What every name is found to mean."""

    async def getaddrinfo(_host: str, port: int, **_options: Any) -> list[Any]:
        return [(socket.AF_UNSPEC, socket.SOCK_STREAM, 0, "", (address, port)) for address in addresses]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", getaddrinfo)


@pytest.mark.parametrize("url", ["127.0.0.1:9", "localhost:9", "[::1]:9", "http://localhost:9"])
async def test_an_address_that_is_not_permitted_is_not_connected_to(url: str) -> None:
    async with bound(url, AddressPolicy(allow_loopback=False, allow_private=True)) as binding:
        with pytest.raises(AddressRefused) as caught:
            await binding.call(GET_TASK, NONE, PLAIN)
    assert "::1" not in caught.value.detail
    assert "127.0.0.1" not in caught.value.detail


@pytest.mark.parametrize("url", ["", "unix:/run/agent.sock", "dns:///agent:1", "agent:port", "[::1", "a b:1"])
async def test_a_url_that_cannot_be_used_is_unreachable(url: str) -> None:
    async with bound(url) as binding:
        with pytest.raises(AgentUnreachable) as caught:
            await binding.call(GET_TASK, NONE, PLAIN)
    assert not caught.value.may_have_arrived


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("agent:50051", ("agent", 50051, None)),
        ("[::1]:7", ("::1", 7, None)),
        ("agent", ("agent", 443, None)),
        ("https://agent", ("agent", 443, True)),
        ("grpcs://agent:7/", ("agent", 7, True)),
        ("http://agent", ("agent", 80, False)),
    ],
)
def test_a_url_says_where_and_maybe_whether_encrypted(
    url: str, expected: tuple[str, int, bool | None]
) -> None:
    target = Target.parse(url)
    assert (target.host, target.port, target.is_encrypted) == expected


async def test_a_name_is_reached_at_the_next_address_where_one_does_not_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with serving_grpc() as served, bound(f"http://agent.test:{served.port}") as binding:
        resolve_to(monkeypatch, "::1", "127.0.0.1")
        await binding.call(LIST_TASKS, ListTasksRequest(), PLAIN)


async def test_one_address_that_is_not_permitted_is_enough_to_refuse_a_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with serving_grpc() as served, bound(f"http://agent.test:{served.port}") as binding:
        resolve_to(monkeypatch, "127.0.0.1", "10.0.0.1")
        with pytest.raises(AddressRefused):
            await binding.call(LIST_TASKS, ListTasksRequest(), PLAIN)


async def test_tls_verifies_the_name() -> None:
    key, certificate = self_signed("localhost")
    server = grpc.ssl_server_credentials([(key, certificate)])
    trusting = grpc.ssl_channel_credentials(certificate)
    async with serving_grpc(credentials=server) as served:
        for url in (f"localhost:{served.port}", f"https://localhost:{served.port}"):
            async with bound(url, credentials=trusting) as binding:
                await binding.call(LIST_TASKS, ListTasksRequest(), PLAIN)
        async with bound(served.target, credentials=trusting) as other_name:
            with pytest.raises(AgentUnreachable):
                await other_name.call(LIST_TASKS, ListTasksRequest(), PLAIN)
        async with bound(f"https://localhost:{served.port}") as distrusting:
            with pytest.raises(AgentUnreachable):
                await distrusting.call(LIST_TASKS, ListTasksRequest(), PLAIN)


def self_signed(name: str) -> tuple[bytes, bytes]:
    """A private key and its certificate for a host name, as PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return private, certificate.public_bytes(serialization.Encoding.PEM)
