"""OAuth2 access tokens checked against a key set that a real server gives out: hostile tokens, and hostile,
slow, changing and missing key sets."""

import asyncio
import base64
import gzip
import hmac
import json
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from a2a.errors import AuthenticationUnavailable, PermissionDenied, Unauthenticated
from a2a.server.security import Authenticator, Caller, OAuth2ClientCredentials, Requirement
from a2a.server.security.callers import Grant, Refusal
from a2a.server.security.jwks import Jwks, JwksUnavailable, usable_keys
from a2a.server.security.tokens import JwtVerifier
from tests.support.logs import capture_logs
from tests.support.raw_server import Answer, answering, dribbles, response, says, says_and_hangs

Json = dict[str, Any]
PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey

RSA_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
OTHER_RSA_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
WEAK_RSA_KEY = rsa.generate_private_key(public_exponent=65537, key_size=1024)  # noqa: S505 to be refused
EC_KEY = ec.generate_private_key(ec.SECP256R1())
EC_384_KEY = ec.generate_private_key(ec.SECP384R1())
ED_KEY = ed25519.Ed25519PrivateKey.generate()
ISSUER = "https://id.example"
AUDIENCE = "https://agent.example"
INVALID = 'Bearer realm="a2a", error="invalid_token"'


def jwk(key: PrivateKey, kid: str, **members: Any) -> Json:
    """The public half, as a member of a key set."""
    public = key.public_key()
    if isinstance(public, rsa.RSAPublicKey):
        plain = RSAAlgorithm.to_jwk(public, as_dict=True)
    elif isinstance(public, ec.EllipticCurvePublicKey):
        plain = ECAlgorithm.to_jwk(public, as_dict=True)
    else:
        plain = OKPAlgorithm.to_jwk(public, as_dict=True)
    return {**plain, "kid": kid, **members}


def token(
    key: PrivateKey = RSA_KEY,
    algorithm: str = "RS256",
    *,
    kid: str | None = "rsa",
    headers: Json | None = None,
    without: str | None = None,
    **changes: Any,
) -> str:
    now = int(time.time())
    claims = {"iss": ISSUER, "aud": AUDIENCE, "sub": "agent-7", "iat": now, "nbf": now, "exp": now + 3_600}
    claims |= changes
    claims.pop(without or "", None)
    header = {**({"kid": kid} if kid is not None else {}), **(headers or {})}
    return jwt.encode(claims, key, algorithm=algorithm, headers=header)


def segment(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


def by_hand(header: Json, signature: Callable[[bytes], bytes]) -> str:
    """A token that no library would make, with claims that are all right."""
    claims = token().split(".")[1]
    signing_input = f"{segment(json.dumps(header).encode())}.{claims}"
    return f"{signing_input}.{segment(signature(signing_input.encode()))}"


class KeyServer:
    """Gives out `answer`, and counts how often it was asked."""

    def __init__(self, *keys: Json) -> None:
        self.asked = 0
        self.answer: Answer
        self.give(*keys)

    def give(self, *keys: Json) -> None:
        self.answer = says(response(json.dumps({"keys": keys}).encode()))

    def fail(self) -> None:
        self.answer = says(response(b"{}", status="503 Service Unavailable"))

    async def __call__(self, writer: asyncio.StreamWriter) -> None:
        self.asked += 1
        await self.answer(writer)


class FakeClock:
    def __init__(self) -> None:
        self.now_s = 1_000.0

    def __call__(self) -> float:
        return self.now_s


def declared(url: str, algorithms: Sequence[str] = ("RS256", "ES256", "EdDSA")) -> OAuth2ClientCredentials:
    return OAuth2ClientCredentials(
        token_url=f"{url}/token",
        jwks_url=f"{url}/keys",
        issuer=ISSUER,
        audience=AUDIENCE,
        scopes={"tasks.read": "See tasks", "tasks.write": "Give tasks"},
        algorithms=algorithms,
    )


@pytest.fixture
def server() -> KeyServer:
    return KeyServer(jwk(RSA_KEY, "rsa"), jwk(EC_KEY, "ec"), jwk(ED_KEY, "ed"))


@asynccontextmanager
async def authenticating(
    server: KeyServer, requirements: Sequence[Requirement] | None = None
) -> AsyncIterator[Authenticator]:
    async with answering(server) as url, httpx.AsyncClient(trust_env=False) as http:
        yield Authenticator([declared(url)], requirements, http=http)


@asynccontextmanager
async def keys_of(
    server: KeyServer, clock: Callable[[], float] | None = None, timeout_s: float = 5.0
) -> AsyncIterator[Jwks]:
    """Fresh for 600 s, usable for 3,600 s, asked for every 10 s at most."""
    async with answering(server) as url, httpx.AsyncClient(trust_env=False) as http:
        algorithms = ("RS256", "ES256", "EdDSA")
        clock = clock or FakeClock()
        yield Jwks(http, f"{url}/keys", algorithms, timeout_s=timeout_s, clock=clock)


async def call(authenticator: Authenticator, bearer: str) -> Caller:
    return await authenticator.authenticate({"authorization": f"Bearer {bearer}"}, {})


async def refused(authenticator: Authenticator, bearer: str) -> str:
    with capture_logs() as logs, pytest.raises(Unauthenticated) as caught:
        await call(authenticator, bearer)
    assert bearer not in f"{logs} {caught.value.detail} {caught.value.challenge}"
    return caught.value.challenge


@pytest.mark.parametrize(
    ("key", "algorithm", "kid"), [(RSA_KEY, "RS256", "rsa"), (EC_KEY, "ES256", "ec"), (ED_KEY, "EdDSA", "ed")]
)
async def test_a_signed_token_names_its_subject_at_its_issuer(
    server: KeyServer, key: PrivateKey, algorithm: str, kid: str
) -> None:
    async with authenticating(server) as authenticator:
        caller = await call(authenticator, token(key, algorithm, kid=kid))
    assert (caller.name, caller.scheme) == (f"{ISSUER}#agent-7", "oauth2")


async def test_a_client_without_a_subject_goes_by_its_client_id(server: KeyServer) -> None:
    async with authenticating(server) as authenticator:
        caller = await call(authenticator, token(without="sub", client_id="client-9"))
    assert caller.name == f"{ISSUER}#client-9"


@pytest.mark.parametrize(
    "claims",
    [
        {"scope": "tasks.read tasks.write"},
        {"scp": "tasks.read tasks.write"},
        {"scp": ["tasks.read", "tasks.write", 7, None]},
        {"scope": "tasks.read", "scp": ["tasks.write"]},
    ],
)
async def test_scopes_are_read_however_the_issuer_writes_them(server: KeyServer, claims: Json) -> None:
    async with authenticating(server, [{"oauth2": ["tasks.write", "tasks.read"]}]) as authenticator:
        assert (await call(authenticator, token(**claims))).scopes == {"tasks.read", "tasks.write"}


@pytest.mark.parametrize("claims", [{}, {"scope": "tasks.read"}, {"scope": {"tasks.write": True}}])
async def test_a_caller_without_the_scope_is_forbidden(server: KeyServer, claims: Json) -> None:
    """RFC 6750, 3.1."""
    async with authenticating(server, [{"oauth2": ["tasks.write"]}]) as authenticator:
        with pytest.raises(PermissionDenied) as caught:
            await call(authenticator, token(**claims))
    assert caught.value.challenge == 'Bearer realm="a2a", error="insufficient_scope", scope="tasks.write"'


async def test_a_skill_may_ask_for_a_scope_of_its_own(server: KeyServer) -> None:
    async with authenticating(server) as authenticator:
        caller = await call(authenticator, token(scope="tasks.read"))
        authenticator.check(caller, [{"oauth2": ["tasks.read"]}])
        with pytest.raises(PermissionDenied):
            authenticator.check(caller, [{"oauth2": ["tasks.write"]}])


@pytest.mark.parametrize(
    "changes",
    [
        {"exp": 1},
        {"exp": int(time.time()) - 31},
        {"exp": "soon"},
        {"exp": 1e400},
        {"exp": []},
        {"nbf": int(time.time()) + 600},
        {"nbf": {}},
        {"iat": int(time.time()) + 600},
        {"aud": "https://other.example"},
        {"aud": []},
        {"aud": {AUDIENCE: 1}},
        {"aud": [AUDIENCE, 7]},
        {"iss": "https://evil.example"},
        {"iss": ISSUER + "/"},
        {"iss": [ISSUER]},
        {"sub": ""},
        {"sub": 7},
        {"sub": "a\nb"},
        {"sub": "x" * 600},
        *({"without": claim} for claim in ("exp", "iss", "aud", "sub")),
    ],
    ids=" ".join,
)
async def test_a_signed_token_that_says_the_wrong_thing_is_refused(server: KeyServer, changes: Json) -> None:
    # Past the library's own encoder, which refuses some of these itself.
    claims: Json = json.loads(base64.urlsafe_b64decode(token().split(".")[1] + "=="))
    claims |= {name: value for name, value in changes.items() if name != "without"}
    claims.pop(changes.get("without", ""), None)
    signed = jwt.PyJWS().encode(json.dumps(claims).encode(), RSA_KEY, "RS256", {"kid": "rsa"})
    async with authenticating(server) as authenticator:
        assert await refused(authenticator, signed) == INVALID


async def test_a_clock_may_be_a_little_wrong(server: KeyServer) -> None:
    now = int(time.time())
    async with authenticating(server) as authenticator:
        await call(authenticator, token(exp=now - 10))
        await call(authenticator, token(nbf=now + 10, iat=now + 10))


async def test_a_token_without_nbf_and_iat_is_accepted(server: KeyServer) -> None:
    signed = token(without="nbf")
    async with authenticating(server) as authenticator:
        await call(authenticator, signed)


@pytest.mark.parametrize(
    "hostile",
    [
        "x",
        "a.b",
        "a.b.c.d",
        "..",
        "=.=.=",
        "!!!.???.###",
        "x" * 16_384,
        "x" * 10**6,
        f"{'a' * 5_000}.{'b' * 5_000}.{'c' * 5_000}",
        f"{segment(b'[' * 8_000)}.{segment(b'{}')}.x",
        f"{segment(b'[]')}.{segment(b'{}')}.x",
        f"{segment(b'null')}.{segment(b'{}')}.x",
        f"{segment(b'{}')}.{segment(b'{}')}.x",
        f"{segment(bytes(range(128, 256)))}.{segment(b'{}')}.x",
        by_hand({"alg": []}, lambda _: b""),
        by_hand({"alg": "RS256", "kid": ["rsa"]}, lambda _: b""),
        by_hand({"alg": "RS256", "kid": None}, lambda _: b""),
        by_hand({"alg": "RS256", "kid": "rsa"}, lambda _: b""),
        by_hand({"alg": "ES256", "kid": "ec"}, lambda _: bytes(64)),
        by_hand({"alg": "EdDSA", "kid": "ed"}, lambda _: bytes(64)),
        by_hand({"alg": "none", "kid": "rsa"}, lambda _: b""),
        by_hand({"alg": "None"}, lambda _: b""),
        by_hand({"kid": "rsa"}, lambda _: b""),
        token(OTHER_RSA_KEY),
        token(kid="ec"),
        token(RSA_KEY, "PS256"),
        token(RSA_KEY, "RS512"),
        token(EC_384_KEY, "ES384", kid="ec"),
        token(OTHER_RSA_KEY, headers={"jwk": jwk(OTHER_RSA_KEY, "rsa")}),
        token(OTHER_RSA_KEY, headers={"jku": "http://127.0.0.1:1/keys"}),
        token(headers={"crit": ["exp"]}),
        token()[:-6] + "AAAAAA",
        token().replace(".", ".e30.", 1),
    ],
    ids=lambda hostile: str(hostile)[:40],
)
async def test_a_hostile_token_is_an_invalid_one(server: KeyServer, hostile: str) -> None:
    async with authenticating(server) as authenticator:
        assert await refused(authenticator, hostile) == INVALID
    assert server.asked <= 1


async def test_a_public_key_is_no_shared_secret(server: KeyServer) -> None:
    """HS256 with the public key, in each form an attacker can have it, signed by hand."""
    public = RSA_KEY.public_key()
    forms = [
        public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
        public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
        json.dumps(jwk(RSA_KEY, "rsa")).encode(),
    ]
    async with authenticating(server) as authenticator:
        for secret in forms:
            forged = by_hand({"alg": "HS256", "kid": "rsa"}, partial(hmac.digest, secret, digest="sha256"))
            assert await refused(authenticator, forged) == INVALID


@pytest.mark.parametrize(
    "key",
    [
        {"kty": "oct", "k": segment(b"0" * 32), "kid": "rsa", "alg": "RS256"},
        jwk(RSA_KEY, "rsa", use="enc"),
        jwk(RSA_KEY, "rsa", key_ops=["encrypt"]),
        jwk(RSA_KEY, "rsa", alg="RS512"),
        {**RSAAlgorithm.to_jwk(RSA_KEY, as_dict=True), "kid": "rsa", "key_ops": ["verify"]},
        jwk(RSA_KEY, "rsa", n=7),
        jwk(WEAK_RSA_KEY, "rsa"),
        jwk(EC_KEY, "rsa"),
        {"kty": "RSA", "kid": "rsa"},
        {"kty": ["RSA"], "kid": "rsa"},
        "rsa",
        None,
    ],
    ids=range(12),
)
async def test_a_key_that_is_not_for_this_is_passed_over(key: Any) -> None:
    server = KeyServer(key, jwk(EC_KEY, "ec"))
    async with authenticating(server) as authenticator:
        assert await refused(authenticator, token()) == INVALID
        await call(authenticator, token(EC_KEY, "ES256", kid="ec"))


@pytest.mark.parametrize("member", [{"n": segment(b"\xff" * 3_000)}, {"e": segment(b"\xff" * 100)}])
def test_a_key_of_absurd_size_is_passed_over(member: Json) -> None:
    """It would verify slowly, for every caller."""
    body = json.dumps({"keys": [jwk(RSA_KEY, "rsa", **member)]}).encode()
    assert usable_keys(body, ("RS256",)) == []


async def test_an_algorithm_that_is_not_declared_costs_no_fetch(server: KeyServer) -> None:
    async with authenticating(server) as authenticator:
        for algorithm in ("none", "HS256", "PS256", "RS1"):
            await refused(authenticator, by_hand({"alg": algorithm}, lambda _: b""))
    assert server.asked == 0


async def test_a_token_without_a_key_id_needs_a_set_with_one_fitting_key(server: KeyServer) -> None:
    async with authenticating(server) as authenticator:
        await call(authenticator, token(kid=None))
    server.give(jwk(RSA_KEY, "rsa"), jwk(OTHER_RSA_KEY, "other"))
    async with authenticating(server) as authenticator:
        assert await refused(authenticator, token(kid=None)) == INVALID


async def test_a_key_id_that_two_keys_share_serves_neither() -> None:
    async with authenticating(KeyServer(jwk(RSA_KEY, "rsa"), jwk(OTHER_RSA_KEY, "rsa"))) as authenticator:
        assert await refused(authenticator, token()) == INVALID


async def test_the_keys_are_fetched_once_for_many_callers(server: KeyServer) -> None:
    async with authenticating(server) as authenticator:
        await asyncio.gather(*(call(authenticator, token()) for _ in range(50)))
    assert server.asked == 1


async def test_unknown_key_ids_do_not_hammer_the_issuer(server: KeyServer) -> None:
    clock = FakeClock()
    async with keys_of(server, clock) as keys:
        for number in range(30):
            assert await keys.find(f"unknown-{number}", "RS256") is None
        assert server.asked == 1
        clock.now_s += 10
        await asyncio.gather(*(keys.find(f"unknown-{number}", "RS256") for number in range(30)))
        assert server.asked == 2


async def test_a_new_key_is_found_as_soon_as_a_token_names_it(server: KeyServer) -> None:
    clock = FakeClock()
    async with keys_of(server, clock) as keys:
        assert await keys.find("rsa", "RS256")
        server.give(jwk(OTHER_RSA_KEY, "new"))
        clock.now_s += 10
        assert await keys.find("new", "RS256")
        assert await keys.find("rsa", "RS256") is None


async def test_a_key_that_was_taken_back_serves_until_the_set_is_stale(server: KeyServer) -> None:
    clock = FakeClock()
    async with keys_of(server, clock) as keys:
        assert await keys.find("rsa", "RS256")
        server.give()
        clock.now_s += 600
        assert await keys.find("rsa", "RS256")
        clock.now_s += 1
        assert await keys.find("rsa", "RS256") is None
    assert server.asked == 2


async def test_known_keys_serve_within_a_bound_while_the_issuer_is_down(server: KeyServer) -> None:
    clock = FakeClock()
    async with keys_of(server, clock) as keys:
        await keys.find("rsa", "RS256")
        server.fail()
        clock.now_s += 3_600
        assert await keys.find("rsa", "RS256")
        with pytest.raises(JwksUnavailable):
            await keys.find("unknown", "RS256")
        clock.now_s += 1
        with pytest.raises(JwksUnavailable):
            await keys.find("rsa", "RS256")
        assert server.asked == 2
        server.give(jwk(RSA_KEY, "rsa"))
        clock.now_s += 10
        assert await keys.find("rsa", "RS256")


ONE_KEY = json.dumps({"keys": [jwk(RSA_KEY, "rsa")]}).encode()


def too_many() -> bytes:
    small = {"kty": "OKP", "crv": "Ed25519", "x": "A" * 43}
    return json.dumps({"keys": [{**small, "kid": str(number)} for number in range(10_000)]}).encode()


@pytest.mark.parametrize(
    "answer",
    [
        says(),
        says(b"nonsense\r\n\r\n"),
        says(response(b"<html>")),
        says(response(b"[" * 100_000)),
        says(response(b"[]")),
        says(response(b'{"keys": 7}')),
        says(response(b"\xff\xfe")),
        says(response(b'{"keys": []}', status="404 Not Found")),
        says(response(b'{"keys": []}', status="302 Found", headers="Location: http://127.0.0.1:1/\r\n")),
        says(response(gzip.compress(ONE_KEY), headers="Content-Encoding: gzip\r\n")),
        says(response(b" " * 10 * 2**20 + ONE_KEY)),
        says(response(too_many())),
        says(response(b'{"keys": [' + b"{}," * 10_000 + b"{}]}")),
        says_and_hangs(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"),
        dribbles(),
    ],
    ids=range(15),
)
async def test_without_a_usable_key_set_it_is_not_the_callers_fault(answer: Answer) -> None:
    server = KeyServer()
    server.answer = answer
    with capture_logs() as logs:
        async with keys_of(server, timeout_s=0.5) as keys:
            verifier = JwtVerifier(declared("https://id.example"), keys)
            headers = {"authorization": f"Bearer {token()}"}
            for _ in range(3):
                assert await verifier.verify(headers, {}) is Refusal.UNAVAILABLE
    assert server.asked == 1
    assert [entry["event"] for entry in logs] == ["security.jwks_unavailable"]


async def test_an_issuer_that_is_not_there_is_told_as_such() -> None:
    async with httpx.AsyncClient(trust_env=False) as http:
        authenticator = Authenticator([declared("http://127.0.0.1:1")], http=http)
        with pytest.raises(AuthenticationUnavailable):
            await call(authenticator, token())


async def test_a_caller_who_goes_away_takes_the_fetch_from_nobody(server: KeyServer) -> None:
    asked, go_on = asyncio.Event(), asyncio.Event()
    answer = server.answer

    async def slow(writer: asyncio.StreamWriter) -> None:
        asked.set()
        await go_on.wait()
        await answer(writer)

    server.answer = slow
    async with keys_of(server) as keys:
        verifier = JwtVerifier(declared("https://id.example"), keys)
        headers = {"authorization": f"Bearer {token()}"}
        first, second = (asyncio.create_task(verifier.verify(headers, {})) for _ in range(2))
        await asked.wait()
        first.cancel()
        await asyncio.wait([first])
        go_on.set()
        assert isinstance(await second, Grant)
    assert server.asked == 1
