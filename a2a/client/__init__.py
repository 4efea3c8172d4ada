"""The client's side of A2A: find an agent, choose a binding and version, call every operation."""

from a2a.client.auth import (
    ApiKeyCredential,
    BearerCredential,
    ClientCredentials,
    Credential,
    authenticator_for,
)
from a2a.client.cards import CardCache, FetchedCard, fetch_card, fetch_card_if_changed, parse_card
from a2a.client.choice import choose_interface, json_rpc_url
from a2a.client.client import A2AClient
from a2a.client.retries import ONE_TRY, Retries

__all__ = [
    "ONE_TRY",
    "A2AClient",
    "ApiKeyCredential",
    "BearerCredential",
    "CardCache",
    "ClientCredentials",
    "Credential",
    "FetchedCard",
    "Retries",
    "authenticator_for",
    "choose_interface",
    "fetch_card",
    "fetch_card_if_changed",
    "json_rpc_url",
    "parse_card",
]
