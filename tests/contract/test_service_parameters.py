"""What comes along with every call, over every binding: the version, extensions, the card that says so."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from a2a.card_types import AgentExtension
from a2a.signing import CardSignatureInvalid, TrustStore, public_jwk, verify_card
from a2a.types import Json
from tests.support.bindings import BINDINGS, GRPC, HTTP_JSON, JSON_RPC, World, message, served
from tests.support.scripted_agent import ScriptedAgent
from tests.unit.card_samples import pem

RECEIPTS, TRACES = "https://example.org/receipts/v1", "https://example.org/traces/v1"
OPERATIONS = ["SendMessage", "SendStreamingMessage", "GetTask", "ListTasks", "SubscribeToTask"]


@pytest.fixture(scope="module")
def plain() -> Iterator[World]:
    with served() as world:
        yield world


@pytest.fixture(scope="module")
def extended() -> Iterator[World]:
    """Its receipts are required, its traces are not."""
    script = ScriptedAgent()
    script.agent.extensions = (
        AgentExtension(uri=RECEIPTS, required=True),
        AgentExtension(uri=TRACES, required=False),
    )
    with served(script=script) as world:
        yield world


@pytest.fixture(params=BINDINGS)
def binding(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


def params_of(operation: str) -> dict[str, object]:
    if operation.startswith("Send"):
        return message()
    return {} if operation == "ListTasks" else {"id": "x"}


# The version


@pytest.mark.parametrize("version", ["1.0", "1.0.3", "1.0.0"])
async def test_version_1_0_is_spoken_whatever_its_patch_number(
    plain: World, binding: str, version: str
) -> None:
    """3.6, 3.6.2"""
    async with plain.caller(binding, A2A_Version=version) as agent:
        assert "tasks" in await agent.call("ListTasks")


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("version", ["", "0.3", "0.3.0", "1.7", "2.0", "1", "1.0-beta", "one", "1.00"])
async def test_another_version_is_refused_and_none_means_0_3(
    plain: World, binding: str, operation: str, version: str
) -> None:
    """3.6.2"""
    async with plain.caller(binding, A2A_Version=version) as agent:
        assert (await agent.refusal(operation, params_of(operation))).name == "VERSION_NOT_SUPPORTED"


@pytest.mark.parametrize(("version", "status"), [("1.0", 200), ("1.0.9", 200), ("0.3", 400), ("1.7", 400)])
async def test_the_version_may_come_in_the_query(plain: World, version: str, status: int) -> None:
    """3.6.1"""
    async with httpx.AsyncClient(trust_env=False) as http:
        answer = await http.get(f"{plain.url}/tasks", params={"A2A-Version": version})

    assert answer.status_code == status


async def test_the_header_counts_more_than_the_query(plain: World) -> None:
    """3.6.1"""
    async with httpx.AsyncClient(trust_env=False) as http:
        answer = await http.get(f"{plain.url}/tasks?A2A-Version=0.3", headers={"A2A-Version": "1.0"})

    assert answer.status_code == 200


# Extensions


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("declared", ["", TRACES, "https://example.org/receipts/v2", RECEIPTS.upper()])
async def test_a_required_extension_has_to_be_declared(
    extended: World, binding: str, operation: str, declared: str
) -> None:
    """3.3.4, 4.6.3: that very one, in no other version"""
    async with extended.caller(binding, A2A_Extensions=declared) as agent:
        refused = await agent.refusal(operation, params_of(operation))

    assert refused.name == "EXTENSION_SUPPORT_REQUIRED"
    assert RECEIPTS in refused.message


@pytest.mark.parametrize(
    ("declared", "activated"),
    [
        (RECEIPTS, [RECEIPTS]),
        (f"{TRACES},{RECEIPTS}", [RECEIPTS, TRACES]),
        (f" https://example.org/unknown , {RECEIPTS} ", [RECEIPTS]),
    ],
)
async def test_what_is_activated_is_said_and_the_unknown_ignored(
    extended: World, binding: str, declared: str, activated: list[str]
) -> None:
    """3.2.6, 4.6.3"""
    async with extended.caller(binding, A2A_Extensions=declared.strip()) as agent:
        await agent.call("ListTasks")
        unary = agent.answered["a2a-extensions"]
        await agent.events("SendStreamingMessage", message())
        streaming = agent.answered["a2a-extensions"]

    assert unary.split(", ") == activated
    assert streaming == unary


async def test_where_nothing_is_activated_nothing_is_said(plain: World, binding: str) -> None:
    """3.2.6"""
    async with plain.caller(binding, A2A_Extensions=TRACES) as agent:
        await agent.call("ListTasks")

    assert "a2a-extensions" not in agent.answered


# The card


async def card_of(world: World) -> dict[str, Json]:
    async with httpx.AsyncClient(trust_env=False) as http:
        card: dict[str, Json] = (await http.get(f"{world.url}/.well-known/agent-card.json")).json()
    return card


async def test_a_signed_card_verifies_as_it_is_served(tmp_path: Path) -> None:
    """8.4: and not with a word changed"""
    key, path = pem("ES256"), tmp_path / "key.pem"
    path.write_bytes(key)
    trust = TrustStore(keys=[public_jwk(key, kid="k-1", alg="ES256")])
    with served(agent_signing_key_file=path, agent_signing_key_id="k-1") as world:
        card = await card_of(world)

    assert (await verify_card(card, trust)).kid == "k-1"
    with pytest.raises(CardSignatureInvalid):
        await verify_card({**card, "description": "Another."}, trust)


async def test_a_card_names_every_interface_it_is_served_on(plain: World) -> None:
    """5.2, 8.3.1: gRPC as host:port"""
    interfaces = (await card_of(plain))["supportedInterfaces"]
    urls = {interface["protocolBinding"]: interface["url"] for interface in interfaces}

    assert list(urls) == [JSON_RPC, HTTP_JSON, GRPC]
    assert urls[GRPC] == plain.grpc_target
