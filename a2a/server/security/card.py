"""The declared schemes and requirements as the agent card says them (specification 4.5)."""

from collections.abc import Sequence
from typing import assert_never

from a2a.card_types import (
    APIKeySecurityScheme,
    ClientCredentialsOAuthFlow,
    HTTPAuthSecurityScheme,
    OAuth2SecurityScheme,
    OAuthFlows,
    SecurityRequirement,
    SecurityScheme,
    StringList,
)
from a2a.server.security.schemes import (
    ApiKey,
    Bearer,
    OAuth2ClientCredentials,
    Requirement,
    Scheme,
    checked_schemes,
)


def card_schemes(schemes: Sequence[Scheme]) -> dict[str, SecurityScheme]:
    """The card's `securitySchemes`."""
    return {name: _card_scheme(scheme) for name, scheme in checked_schemes(schemes).items()}


def card_requirements(requirements: Sequence[Requirement]) -> list[SecurityRequirement]:
    """The `securityRequirements` of the card or of a skill, from what `checked_requirements` returns."""
    return [
        SecurityRequirement(
            schemes={name: StringList(list=list(scopes)) for name, scopes in requirement.items()}
        )
        for requirement in requirements
    ]


def _card_scheme(scheme: Scheme) -> SecurityScheme:
    match scheme:
        case ApiKey():
            key = APIKeySecurityScheme(
                location=scheme.location, name=scheme.name, description=scheme.description
            )
            return SecurityScheme(api_key_security_scheme=key)
        case Bearer():
            bearer = HTTPAuthSecurityScheme(
                scheme="Bearer", bearer_format=scheme.bearer_format, description=scheme.description
            )
            return SecurityScheme(http_auth_security_scheme=bearer)
        case OAuth2ClientCredentials():
            flow = ClientCredentialsOAuthFlow(token_url=scheme.token_url, scopes=dict(scheme.scopes))
            oauth2 = OAuth2SecurityScheme(
                flows=OAuthFlows(client_credentials=flow), description=scheme.description
            )
            return SecurityScheme(oauth2_security_scheme=oauth2)
        case _:
            assert_never(scheme)
