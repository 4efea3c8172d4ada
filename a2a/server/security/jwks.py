"""The public keys of an authorization server (RFC 7517), fetched when they are needed and kept for a while.

However many callers wait and whatever key ids they name, one fetch runs at a time, and the next one starts no
sooner than `min_interval_s` after it. While the server is down the last keys serve on, within a bound.
"""

import asyncio
import json
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx
import structlog

from a2a.errors import A2AError
from a2a.guard import read_capped
from a2a.server.security.schemes import ALGORITHMS

if TYPE_CHECKING:
    from jwt import PyJWK

log = structlog.get_logger(__name__)

MAX_BYTES = 512 * 1024
MAX_KEYS = 100
MAX_MODULUS_CHARS = 2_800  # 16,384 bits
MAX_EXPONENT_CHARS = 12


class JwksUnavailable(Exception):
    """No keys that may still be used, and none to be had."""


@dataclass(frozen=True, slots=True)
class _Key:
    """A key ready for one algorithm."""

    kid: str | None
    algorithm: str
    public: "PyJWK"


class Jwks:
    """The keys at `url` that fit `algorithms`. The keys are fresh for `ttl_s` seconds, and usable until they
    are `max_stale_s` old if no newer ones can be had. A whole fetch may take `timeout_s`."""

    def __init__(
        self,
        http: httpx.AsyncClient,
        url: str,
        algorithms: Sequence[str],
        *,
        ttl_s: float = 600.0,
        max_stale_s: float = 3_600.0,
        min_interval_s: float = 10.0,
        timeout_s: float = 5.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._http = http
        self._url = url
        self._algorithms = algorithms
        self._ttl_s = ttl_s
        self._max_stale_s = max_stale_s
        self._min_interval_s = min_interval_s
        self._timeout_s = timeout_s
        self._clock = clock
        self._keys: list[_Key] = []
        self._fetched_at = -math.inf
        self._ended_at = -math.inf
        self._is_failing = False
        self._flight: asyncio.Task[None] | None = None

    async def find(self, kid: str | None, algorithm: str) -> "PyJWK | None":
        """The one key that fits; None where there is none, or more than one. Raises JwksUnavailable where
        that cannot be known."""
        if self._age_s() > self._ttl_s:
            await self._refresh()
        key = self._pick(kid, algorithm)
        if key is None:
            await self._refresh()
            key = self._pick(kid, algorithm)
        if self._age_s() > self._max_stale_s or (key is None and self._is_failing):
            raise JwksUnavailable
        return key

    def _age_s(self) -> float:
        return self._clock() - self._fetched_at

    def _pick(self, kid: str | None, algorithm: str) -> "PyJWK | None":
        fitting = [key.public for key in self._keys if key.algorithm == algorithm and kid in (None, key.kid)]
        return fitting[0] if len(fitting) == 1 else None

    async def _refresh(self) -> None:
        if self._flight is None:
            if self._clock() - self._ended_at < self._min_interval_s:
                return
            self._flight = asyncio.create_task(self._fetch(), name="jwks")
        # A caller who goes away takes the fetch from nobody else.
        await asyncio.shield(self._flight)

    async def _fetch(self) -> None:
        try:
            async with asyncio.timeout(self._timeout_s):
                body = await self._download()
            self._keys = usable_keys(body, self._algorithms)
        except (httpx.HTTPError, A2AError, TimeoutError, ValueError, RecursionError) as exc:
            self._is_failing = True
            host = httpx.URL(self._url).host
            log.warning("security.jwks_unavailable", host=host, error=type(exc).__name__)
        else:
            self._is_failing = False
            self._fetched_at = self._clock()
        finally:
            self._ended_at = self._clock()
            self._flight = None

    async def _download(self) -> bytes:
        # Compressed, a few bytes could become many before they are counted.
        headers = {"Accept": "application/jwk-set+json, application/json", "Accept-Encoding": "identity"}
        async with self._http.stream(
            "GET", self._url, headers=headers, timeout=self._timeout_s, follow_redirects=False
        ) as response:
            if response.status_code != 200 or "content-encoding" in response.headers:
                raise ValueError("no plain 200 answer")
            return await read_capped(response, max_bytes=MAX_BYTES)


def usable_keys(body: bytes, algorithms: Sequence[str]) -> list[_Key]:
    """The keys of a set that can verify one of `algorithms`; others are passed over (RFC 7517, 5). Raises
    ValueError where the whole is no key set, or too large a one."""
    document = json.loads(body)
    entries = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(entries, list) or len(entries) > MAX_KEYS:
        raise ValueError("not a key set that can be used")
    keys = []
    for entry in entries:
        for algorithm in algorithms:
            if isinstance(entry, dict) and _fits(entry, algorithm):
                public = _loaded(entry, algorithm)
                if public is not None:
                    keys.append(_Key(entry.get("kid"), algorithm, public))
    return keys


def _fits(jwk: dict[str, Any], algorithm: str) -> bool:
    """Whether the key is a public one, made for verifying this algorithm."""
    key_type, curve = ALGORITHMS[algorithm]
    operations = jwk.get("key_ops", ["verify"])
    return (
        jwk.get("kty") == key_type
        and (curve is None or jwk.get("crv") == curve)
        and jwk.get("use", "sig") == "sig"
        and jwk.get("alg", algorithm) == algorithm
        and isinstance(operations, list)
        and "verify" in operations
        and "d" not in jwk
        and len(str(jwk.get("n", ""))) <= MAX_MODULUS_CHARS
        and len(str(jwk.get("e", ""))) <= MAX_EXPONENT_CHARS
    )


def _loaded(jwk: dict[str, Any], algorithm: str) -> "PyJWK | None":
    from cryptography.exceptions import UnsupportedAlgorithm
    from jwt import PyJWK, PyJWTError

    try:
        return PyJWK(jwk, algorithm)
    except (PyJWTError, UnsupportedAlgorithm, ValueError, TypeError):
        return None
