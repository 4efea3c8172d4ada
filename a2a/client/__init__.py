"""The client's side of A2A: find an agent, choose a binding and version, call every operation."""

from a2a.client.client import A2AClient, fetch_card, json_rpc_url, parse_card

__all__ = ["A2AClient", "fetch_card", "json_rpc_url", "parse_card"]
