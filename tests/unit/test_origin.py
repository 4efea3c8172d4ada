"""Which URLs lead to the same server."""

import pytest

from coordinator.registry.origin import is_same_server

OWN = "http://127.0.0.1:8000/"


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:8000",
        "http://localhost:8000/.well-known/agent-card.json",
        "http://LocalHost.:8000",
        "http://a.localhost:8000",
        "http://[::1]:8000",
        "http://[::ffff:127.0.0.1]:8000",
        "http://127.0.0.2:8000",
        "http://127.1:8000",
        "http://2130706433:8000",
    ],
)
def test_the_loopback_interface_is_one_host_however_it_is_written(url: str) -> None:
    assert is_same_server(url, OWN)


@pytest.mark.parametrize(
    "url",
    [
        "https://127.0.0.1:8000",
        "http://127.0.0.1:8001",
        "http://127.0.0.1",
        "http://127.0.0.1.example:8000",
        "http://10.0.0.1:8000",
        "http://[::2]:8000",
        "http://\x00:8000",
        "http://\u0661\u0662\u0667.1:8000",
    ],
)
def test_another_scheme_host_or_port_is_another_server(url: str) -> None:
    assert not is_same_server(url, OWN)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("http://parley.example", "http://parley.example:80/"),
        ("https://Parley.example:443", "https://parley.example"),
    ],
)
def test_a_port_left_out_is_the_schemes(one: str, other: str) -> None:
    assert is_same_server(one, other)
