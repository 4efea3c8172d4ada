"""Authentication of callers, as the agent card declares it (specification 4.5, 7 and 13.1).

An author declares schemes (`ApiKey`, `Bearer`, `OAuth2ClientCredentials`) and requirements; the
`Authenticator` says who is calling, on every binding alike. Which tasks are whose is decided elsewhere.
"""

from a2a.server.security.authenticator import Authenticator
from a2a.server.security.callers import ANONYMOUS, Caller, Grant
from a2a.server.security.card import card_requirements, card_schemes
from a2a.server.security.credentials import header_map, query_map
from a2a.server.security.schemes import (
    ApiKey,
    Bearer,
    OAuth2ClientCredentials,
    Requirement,
    Scheme,
    checked_requirements,
    parse_keys,
)

__all__ = [
    "ANONYMOUS",
    "ApiKey",
    "Authenticator",
    "Bearer",
    "Caller",
    "Grant",
    "OAuth2ClientCredentials",
    "Requirement",
    "Scheme",
    "card_requirements",
    "card_schemes",
    "checked_requirements",
    "header_map",
    "parse_keys",
    "query_map",
]
