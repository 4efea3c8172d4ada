"""The official SDKs' agents as our client meets them."""

import httpx

from a2a.client import fetch_card


async def test_the_sdks_card_is_valid_and_names_three_bindings(sdk_agent: str) -> None:
    async with httpx.AsyncClient(trust_env=False) as http:
        card = await fetch_card(http, sdk_agent, timeout_s=10)
    bindings = [interface.protocol_binding for interface in card.supported_interfaces]
    assert bindings == ["JSONRPC", "HTTP+JSON", "GRPC"]


def test_the_old_sdks_card_is_one_of_protocol_0_3(sdk03_agent: str) -> None:
    card = httpx.get(f"{sdk03_agent}/.well-known/agent-card.json", trust_env=False).json()
    assert "supportedInterfaces" not in card
    assert card["protocolVersion"].startswith("0.3")
