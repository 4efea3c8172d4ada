"""A card as a stranger may serve it, and keys to sign it with."""

from collections.abc import Callable
from functools import cache
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from a2a.signing import Algorithm

ALGORITHMS: tuple[Algorithm, ...] = ("ES256", "RS256", "EdDSA")
NEW_KEY: dict[Algorithm, Callable[[], PrivateKeyTypes]] = {
    "ES256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "RS256": lambda: rsa.generate_private_key(public_exponent=65537, key_size=2048),
    "EdDSA": ed25519.Ed25519PrivateKey.generate,
}


def pem_of(key: PrivateKeyTypes) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


@cache
def pem(alg: Algorithm) -> bytes:
    """The private key of this algorithm."""
    return pem_of(NEW_KEY[alg]())


def card_json(**changes: Any) -> dict[str, Any]:
    return {
        "name": "Weather",
        "description": "Knows the weather.",
        "version": "1.2.0",
        "supportedInterfaces": [
            {"url": "https://weather.example/", "protocolBinding": "JSONRPC", "protocolVersion": "1.0"}
        ],
        "capabilities": {"streaming": False},
        "defaultInputModes": ["text/plain"],
        "defaultOutputModes": ["text/plain"],
        "skills": [{"id": "now", "name": "Now", "description": "The weather now.", "tags": ["weather"]}],
    } | changes
