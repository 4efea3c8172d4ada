"""Which addresses may be connected to."""

import ipaddress

import pytest

from a2a.guard import AddressPolicy

STRICT = AddressPolicy(allow_loopback=False, allow_private=False)
LOOPBACK = AddressPolicy(allow_loopback=True, allow_private=False)
PRIVATE = AddressPolicy(allow_loopback=False, allow_private=True)
OPEN = AddressPolicy(allow_loopback=True, allow_private=True)

PUBLIC = ["8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8", "2002:808:808::1", "64:ff9b::808:808"]
LOOPBACK_ADDRESSES = [
    "127.0.0.1",
    "127.255.255.254",
    "::1",
    "::ffff:127.0.0.1",  # mapped
    "2002:7f00:1::",  # 6to4
    "64:ff9b::7f00:1",  # NAT64
]
PRIVATE_ADDRESSES = [
    "10.0.0.1",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.1.1",
    "fd00::1",
    "fec0::1",  # site-local, retired
    "::ffff:10.0.0.1",
    "2002:a00:1::",
    "64:ff9b::c0a8:101",
]
NEVER = [
    "169.254.169.254",  # the metadata service of clouds
    "::ffff:169.254.169.254",
    "2002:a9fe:a9fe::",
    "64:ff9b::a9fe:a9fe",
    "fe80::1",
    "0.0.0.0",
    "::",
    "::ffff:0.0.0.0",
    "224.0.0.1",
    "ff02::1",
    "255.255.255.255",
    "240.0.0.1",
    "100.100.100.200",  # another cloud's metadata service, in the carriers' range
    "::127.0.0.1",  # IPv4-compatible, retired
]


def permits(policy: AddressPolicy, address: str) -> bool:
    return policy.permits(ipaddress.ip_address(address))


@pytest.mark.parametrize("address", PUBLIC)
def test_a_public_address_is_always_permitted(address: str) -> None:
    assert [permits(policy, address) for policy in (STRICT, LOOPBACK, PRIVATE, OPEN)] == [True] * 4


@pytest.mark.parametrize("address", LOOPBACK_ADDRESSES)
def test_loopback_is_permitted_where_it_is_allowed(address: str) -> None:
    assert [permits(policy, address) for policy in (STRICT, LOOPBACK, PRIVATE, OPEN)] == [
        False,
        True,
        False,
        True,
    ]


@pytest.mark.parametrize("address", PRIVATE_ADDRESSES)
def test_a_private_address_is_permitted_where_it_is_allowed(address: str) -> None:
    assert [permits(policy, address) for policy in (STRICT, LOOPBACK, PRIVATE, OPEN)] == [
        False,
        False,
        True,
        True,
    ]


@pytest.mark.parametrize("address", NEVER)
def test_some_addresses_are_never_permitted(address: str) -> None:
    assert [permits(policy, address) for policy in (STRICT, LOOPBACK, PRIVATE, OPEN)] == [False] * 4
