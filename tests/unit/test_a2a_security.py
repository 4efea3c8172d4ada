"""API keys, opaque bearer tokens, requirements, and what the card says of them."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest
from pydantic import SecretStr

from a2a.errors import AuthenticationUnavailable, Unauthenticated
from a2a.server.security import (
    ANONYMOUS,
    ApiKey,
    Authenticator,
    Bearer,
    Caller,
    Grant,
    OAuth2ClientCredentials,
    Scheme,
    card_requirements,
    card_schemes,
    checked_requirements,
    header_map,
    parse_keys,
    query_map,
)
from a2a.server.security.schemes import Location, Requirement
from tests.support.logs import capture_logs

ALICES_KEY = "alices-key-0123456789"
BOBS = "bobs-token-0123456789"
KEYS = {"carol": SecretStr("carols-key-0123456789"), "alice": SecretStr(ALICES_KEY)}
API_KEY = ApiKey(keys=KEYS)
BEARER = Bearer(tokens={"bob": SecretStr(BOBS)})
OAUTH2 = OAuth2ClientCredentials(
    token_url="https://id.example/token",  # noqa: S106 an address
    jwks_url="https://id.example/keys",
    issuer="https://id.example",
    audience="agent",
    scopes={"tasks.read": "See tasks", "tasks.write": "Give tasks"},
)
KEY_HEADER = {"x-api-key": ALICES_KEY}
TOKEN_HEADER = {"authorization": f"Bearer {BOBS}"}
KEY_CHALLENGE = 'ApiKey realm="a2a", in="header", name="X-API-Key"'


async def authenticate(
    headers: Mapping[str, str],
    *schemes: Scheme,
    requirements: Sequence[Requirement] | None = None,
    query: Mapping[str, str] | None = None,
) -> Caller:
    return await Authenticator(schemes, requirements).authenticate(headers, query or {})


async def challenge(
    headers: Mapping[str, str], *schemes: Scheme, requirements: Sequence[Requirement] | None = None
) -> str:
    with pytest.raises(Unauthenticated) as caught:
        await authenticate(headers, *schemes, requirements=requirements)
    return caught.value.challenge


@pytest.mark.parametrize(
    ("location", "name", "headers", "query"),
    [
        ("header", "X-API-Key", {"x-api-key": ALICES_KEY}, {}),
        ("query", "key", {}, {"key": ALICES_KEY}),
        ("cookie", "key", {"cookie": f"theme=dark; key={ALICES_KEY}; keys=1"}, {}),
    ],
)
async def test_a_key_names_its_owner_wherever_it_is_declared_to_stand(
    location: Location, name: str, headers: dict[str, str], query: dict[str, str]
) -> None:
    scheme = ApiKey(keys=KEYS, name=name, location=location)
    caller = await authenticate(headers, scheme, query=query)
    assert (caller.name, caller.scheme, caller.scopes) == ("alice", "apiKey", frozenset())


async def test_a_key_in_another_place_counts_for_nothing() -> None:
    with pytest.raises(Unauthenticated):
        await authenticate({"cookie": f"X-API-Key={ALICES_KEY}"}, API_KEY, query={"X-API-Key": ALICES_KEY})


async def test_without_a_key_the_challenge_names_the_header() -> None:
    assert await challenge({}, API_KEY) == KEY_CHALLENGE


@pytest.mark.parametrize(
    "key", ["", " ", "alice", ALICES_KEY[:-1], ALICES_KEY + "x", ALICES_KEY.upper(), "é" * 20, "x" * 10**6]
)
async def test_a_wrong_key_is_refused(key: str) -> None:
    assert await challenge({"x-api-key": key}, API_KEY) == KEY_CHALLENGE


async def test_a_repeated_header_is_nobodys() -> None:
    """Even when one of the two holds a good key, or both do."""
    for second in (ALICES_KEY, "another"):
        headers = header_map([(b"X-API-Key", ALICES_KEY.encode()), (b"x-api-key", second.encode())])
        assert await challenge(headers, API_KEY) == KEY_CHALLENGE


async def test_a_repeated_parameter_or_cookie_is_nobodys() -> None:
    in_query = ApiKey(keys=KEYS, name="key", location="query")
    in_cookie = ApiKey(keys=KEYS, name="key", location="cookie")
    with pytest.raises(Unauthenticated):
        await authenticate({}, in_query, query=query_map([("key", ALICES_KEY), ("key", "x")]))
    await challenge({"cookie": f"key={ALICES_KEY}; key=x"}, in_cookie)
    await challenge(header_map([("Cookie", f"key={ALICES_KEY}"), ("Cookie", "key=x")]), in_cookie)


async def test_cookies_may_come_in_several_headers() -> None:
    scheme = ApiKey(keys=KEYS, name="key", location="cookie")
    headers = header_map([("Cookie", "theme=dark"), ("Cookie", f"key={ALICES_KEY}"), ("Cookie", "x=1")])
    assert (await authenticate(headers, scheme)).name == "alice"


async def test_metadata_of_grpc_serves_as_headers() -> None:
    metadata = (("x-api-key", ALICES_KEY), ("trace-bin", b"\xff\x00"))
    assert (await authenticate(header_map(metadata), API_KEY)).name == "alice"


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
async def test_a_bearer_token_names_its_owner(scheme: str) -> None:
    caller = await authenticate({"authorization": f"{scheme} {BOBS}"}, BEARER)
    assert (caller.name, caller.scheme) == ("bob", "bearer")


@pytest.mark.parametrize("value", ["", "Basic Ym9iOmJvYg==", BOBS, f"Token {BOBS}"])
async def test_without_a_bearer_token_the_challenge_tells_no_error(value: str) -> None:
    """RFC 6750, 3.1."""
    assert await challenge({"authorization": value}, BEARER) == 'Bearer realm="a2a"'


@pytest.mark.parametrize(
    "token", ["", "wrong-token-0123456789", "a b", "\x00", "é", "=", f"{BOBS}, Bearer x", "x" * 10**6]
)
async def test_a_wrong_bearer_token_is_an_invalid_one(token: str) -> None:
    expected = 'Bearer realm="a2a", error="invalid_token"'
    assert await challenge({"authorization": f"Bearer {token}"}, BEARER) == expected


async def test_a_function_may_know_the_callers() -> None:
    async def owner(credential: str) -> str | None:
        return {ALICES_KEY: "alice", BOBS: "bob"}.get(credential)

    assert (await authenticate(KEY_HEADER, ApiKey(keys=owner))).name == "alice"
    assert (await authenticate(TOKEN_HEADER, Bearer(tokens=owner))).name == "bob"
    await challenge({"x-api-key": "unknown"}, ApiKey(keys=owner))


@pytest.mark.parametrize("credential", ["", "two words", "\x00", "é" * 20, "x" * 16_385])
async def test_a_function_is_asked_about_well_formed_credentials_only(credential: str) -> None:
    asked: list[str] = []

    async def owner(credential: str) -> str | None:
        asked.append(credential)
        return "anybody"

    headers = {"x-api-key": credential, "authorization": f"Bearer {credential}"}
    await challenge(headers, ApiKey(keys=owner), Bearer(tokens=owner))
    assert asked == []


@pytest.mark.parametrize("name", ["", "a\nb", "\x00", "x" * 501])
async def test_a_name_that_names_nobody_is_refused(name: str) -> None:
    async def owner(_credential: str) -> str | None:
        return name

    await challenge(KEY_HEADER, ApiKey(keys=owner))


async def test_a_function_that_fails_says_nothing_of_the_credential() -> None:
    async def owner(credential: str) -> str | None:
        return {"nobody": "none"}[credential]

    with capture_logs() as logs, pytest.raises(AuthenticationUnavailable) as caught:
        await authenticate(KEY_HEADER, ApiKey(keys=owner))
    assert [entry["event"] for entry in logs] == ["security.verify_failed"]
    assert ALICES_KEY not in f"{logs} {caught.value!r}"
    assert caught.value.__context__ is None


async def test_any_one_scheme_is_enough_unless_requirements_say_otherwise() -> None:
    assert (await authenticate(KEY_HEADER, API_KEY, BEARER)).name == "alice"
    assert (await authenticate(TOKEN_HEADER, API_KEY, BEARER)).name == "bob"
    assert await challenge({}, API_KEY, BEARER) == f'{KEY_CHALLENGE}, Bearer realm="a2a"'


async def test_all_schemes_of_one_requirement_are_needed() -> None:
    both: list[Requirement] = [{"bearer": [], "apiKey": []}]
    for one in (KEY_HEADER, TOKEN_HEADER):
        await challenge(one, API_KEY, BEARER, requirements=both)
    caller = await authenticate({**KEY_HEADER, **TOKEN_HEADER}, API_KEY, BEARER, requirements=both)
    assert caller.name == "bob", "the first one of the requirement names the caller"
    assert caller.grants == (Grant("apiKey", "alice"), Grant("bearer", "bob"))


async def test_a_scheme_that_no_requirement_names_lets_nobody_in() -> None:
    assert await challenge(TOKEN_HEADER, API_KEY, BEARER, requirements=[{"apiKey": []}]) == KEY_CHALLENGE


async def test_a_good_credential_stands_beside_a_wrong_one() -> None:
    headers = {**KEY_HEADER, "authorization": "Bearer wrong"}
    assert (await authenticate(headers, API_KEY, BEARER)).name == "alice"


@pytest.mark.parametrize("requirements", [(), ({},), ({}, {"apiKey": ()})])
async def test_where_nothing_is_required_callers_may_stay_unknown(
    requirements: Sequence[Requirement],
) -> None:
    assert await authenticate({}, API_KEY, requirements=requirements) == ANONYMOUS
    assert (await authenticate(KEY_HEADER, API_KEY, requirements=requirements)).name == "alice"
    await challenge({"x-api-key": "wrong"}, API_KEY, requirements=requirements)


async def test_an_agent_without_schemes_asks_nobody() -> None:
    assert await Authenticator(()).authenticate(KEY_HEADER, {}) == ANONYMOUS


def test_a_skill_may_ask_for_more_than_the_agent() -> None:
    authenticator = Authenticator((API_KEY, BEARER))
    alice = Caller("alice", "apiKey", grants=(Grant("apiKey", "alice"),))
    authenticator.check(alice, ())
    authenticator.check(alice, [{"bearer": ()}, {"apiKey": ()}])
    with pytest.raises(Unauthenticated) as caught:
        authenticator.check(alice, [{"bearer": (), "apiKey": ()}])
    assert caught.value.challenge == 'Bearer realm="a2a"'
    with pytest.raises(Unauthenticated):
        authenticator.check(ANONYMOUS, [{"apiKey": ()}])


def test_a_challenge_for_a_strange_realm_stays_one_header() -> None:
    authenticator = Authenticator((API_KEY,), realm='Ä "quoted\\"\r\nX-Evil: 1')
    with pytest.raises(Unauthenticated) as caught:
        authenticator.check(ANONYMOUS, [{"apiKey": ()}])
    assert caught.value.challenge.startswith('ApiKey realm=" \\"quoted\\\\\\"X-Evil: 1", in=')


def test_a_check_that_fails_is_worth_another_try() -> None:
    assert AuthenticationUnavailable.is_retryable


def declared(**changes: Any) -> OAuth2ClientCredentials:
    values = {"token_url": "https://a/t", "jwks_url": "https://a/k", "issuer": "i", "audience": "a"}
    return OAuth2ClientCredentials(**{**values, **changes})


@pytest.mark.parametrize(
    "mistake",
    [
        lambda: ApiKey(keys={"alice": SecretStr("short")}),
        lambda: ApiKey(keys={"alice": SecretStr("with a space 0123456789")}),
        lambda: ApiKey(keys={"": SecretStr(ALICES_KEY)}),
        lambda: ApiKey(keys={"alice": SecretStr(ALICES_KEY), "eve": SecretStr(ALICES_KEY)}),
        lambda: ApiKey(keys=KEYS, name='X-"Key'),
        lambda: Bearer(tokens={"bob": SecretStr("not;a;token;0123456789")}),
        lambda: declared(algorithms=["HS256"]),
        lambda: declared(algorithms=["none"]),
        lambda: declared(algorithms=[]),
        lambda: declared(jwks_url="http://id.example/keys"),
        lambda: declared(token_url="file:///etc/passwd"),  # noqa: S106 an address
        lambda: declared(issuer=""),
        lambda: declared(audience=""),
        lambda: declared(scopes={"two words": ""}),
        lambda: Authenticator([API_KEY, ApiKey(keys=KEYS, name="other")]),
        lambda: Authenticator([API_KEY], [{"oauth2": []}]),
        lambda: Authenticator([API_KEY], [{"apiKey": ["tasks.read"]}]),
        lambda: Authenticator([OAUTH2]),
        lambda: checked_requirements([OAUTH2], [{"oauth2": ["tasks.delete"]}]),
        lambda: checked_requirements([OAUTH2], [{"oauth2": "tasks.read"}]),
    ],
)
def test_a_mistake_in_a_declaration_is_told_without_its_secrets(mistake: Callable[[], object]) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        mistake()
    assert "0123456789" not in str(caught.value)


def test_a_declaration_shows_no_secret() -> None:
    assert "0123456789" not in f"{API_KEY!r} {BEARER!r}"


def test_keys_are_read_from_one_setting_or_file() -> None:
    keys = parse_keys(SecretStr("alice = key-1==, bob=key-2\n\ncarol=key-3\r\n"))
    assert {owner: key.get_secret_value() for owner, key in keys.items()} == {
        "alice": "key-1==",
        "bob": "key-2",
        "carol": "key-3",
    }
    assert parse_keys(SecretStr("")) == {}


@pytest.mark.parametrize("text", ["a=1,secret", "a=1,=secret", "a=1,secret=", "a=1,a=secret"])
def test_an_entry_that_is_no_key_is_named_by_its_number(text: str) -> None:
    with pytest.raises(ValueError, match="entry 2 of the keys") as caught:
        parse_keys(SecretStr(text))
    assert "secret" not in str(caught.value)


def test_the_card_says_each_scheme() -> None:
    """Specification 4.5."""
    said = card_schemes([API_KEY, Bearer(tokens={}, bearer_format="opaque"), OAUTH2])
    assert {name: scheme.to_json() for name, scheme in said.items()} == {
        "apiKey": {"apiKeySecurityScheme": {"location": "header", "name": "X-API-Key"}},
        "bearer": {"httpAuthSecurityScheme": {"scheme": "Bearer", "bearerFormat": "opaque"}},
        "oauth2": {
            "oauth2SecurityScheme": {
                "flows": {
                    "clientCredentials": {
                        "tokenUrl": "https://id.example/token",
                        "scopes": {"tasks.read": "See tasks", "tasks.write": "Give tasks"},
                    }
                }
            }
        },
    }


def test_the_card_says_each_requirement() -> None:
    by_default = checked_requirements([API_KEY, BEARER], None)
    assert [said.to_json() for said in card_requirements(by_default)] == [
        {"schemes": {"apiKey": {"list": []}}},
        {"schemes": {"bearer": {"list": []}}},
    ]
    scoped = checked_requirements([API_KEY, OAUTH2], [{"oauth2": ["tasks.write"], "apiKey": []}])
    assert [said.to_json() for said in card_requirements(scoped)] == [
        {"schemes": {"oauth2": {"list": ["tasks.write"]}, "apiKey": {"list": []}}}
    ]
