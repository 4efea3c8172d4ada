"""The agent card and its parts (specification sections 4.4 and 4.5), with the caps we put on untrusted ones.

Where a stranger's card says what this version does not know, such as a new kind of security scheme, the
rest of it still reads.
"""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from a2a.types import Metadata, WireModel

WELL_KNOWN_PATH = "/.well-known/agent-card.json"

Name = Annotated[str, Field(min_length=1, max_length=200)]
Prose = Annotated[str, Field(max_length=8_000)]
Word = Annotated[str, Field(max_length=200)]
Modes = Annotated[list[Word], Field(max_length=100)]
Url = Annotated[str, Field(max_length=2_000)]


class AgentInterface(WireModel):
    url: Url
    protocol_binding: Word
    protocol_version: Annotated[str, Field(max_length=20)]
    tenant: Word | None = None


class AgentProvider(WireModel):
    url: Url
    organization: Name


class AgentExtension(WireModel):
    uri: Annotated[str, Field(min_length=1, max_length=2_000)]
    description: Prose | None = None
    required: bool | None = None
    params: Metadata | None = None


class AgentCapabilities(WireModel):
    streaming: bool | None = None
    push_notifications: bool | None = None
    extended_agent_card: bool | None = None
    extensions: Annotated[list[AgentExtension], Field(max_length=50)] | None = None


class _AtMostOne(WireModel):
    """A oneof of the protocol. None of it set is a kind that only newer versions know."""

    @model_validator(mode="after")
    def _at_most_one(self) -> Self:
        names = type(self).model_fields
        if sum(getattr(self, name) is not None for name in names) > 1:
            raise ValueError("only one kind may be set")
        return self


Scopes = Annotated[dict[Annotated[str, Field(max_length=500)], Prose], Field(max_length=200)]


class AuthorizationCodeOAuthFlow(WireModel):
    authorization_url: Url
    token_url: Url
    refresh_url: Url | None = None
    scopes: Scopes
    pkce_required: bool | None = None


class ClientCredentialsOAuthFlow(WireModel):
    token_url: Url
    refresh_url: Url | None = None
    scopes: Scopes


class DeviceCodeOAuthFlow(WireModel):
    device_authorization_url: Url
    token_url: Url
    refresh_url: Url | None = None
    scopes: Scopes


class ImplicitOAuthFlow(WireModel):
    """Deprecated by the protocol; read, never recommended."""

    authorization_url: Url | None = None
    refresh_url: Url | None = None
    scopes: Scopes | None = None


class PasswordOAuthFlow(WireModel):
    """Deprecated by the protocol; read, never recommended."""

    token_url: Url | None = None
    refresh_url: Url | None = None
    scopes: Scopes | None = None


class OAuthFlows(_AtMostOne):
    authorization_code: AuthorizationCodeOAuthFlow | None = None
    client_credentials: ClientCredentialsOAuthFlow | None = None
    device_code: DeviceCodeOAuthFlow | None = None
    implicit: ImplicitOAuthFlow | None = None
    password: PasswordOAuthFlow | None = None


class APIKeySecurityScheme(WireModel):
    location: Literal["query", "header", "cookie"]
    name: Name
    description: Prose | None = None


class HTTPAuthSecurityScheme(WireModel):
    scheme: Name
    bearer_format: Word | None = None
    description: Prose | None = None


class OAuth2SecurityScheme(WireModel):
    flows: OAuthFlows
    oauth2_metadata_url: Url | None = None
    description: Prose | None = None


class OpenIdConnectSecurityScheme(WireModel):
    open_id_connect_url: Url
    description: Prose | None = None


class MutualTlsSecurityScheme(WireModel):
    description: Prose | None = None


class SecurityScheme(_AtMostOne):
    api_key_security_scheme: APIKeySecurityScheme | None = None
    http_auth_security_scheme: HTTPAuthSecurityScheme | None = None
    oauth2_security_scheme: OAuth2SecurityScheme | None = None
    open_id_connect_security_scheme: OpenIdConnectSecurityScheme | None = None
    mtls_security_scheme: MutualTlsSecurityScheme | None = None


Strings = Annotated[list[Annotated[str, Field(max_length=500)]], Field(max_length=200)]


class StringList(WireModel):
    list: Strings | None = None


class SecurityRequirement(WireModel):
    """Names of schemes that are all needed, each with the scopes it needs."""

    schemes: Annotated[dict[Name, StringList], Field(max_length=50)] | None = None


# Alternatives: a caller needs to fulfil one of them.
SecurityRequirements = Annotated[list[SecurityRequirement], Field(max_length=50)]


class AgentSkill(WireModel):
    id: Name
    name: Name
    description: Prose
    tags: Annotated[list[Word], Field(max_length=100)]
    examples: Annotated[list[Prose], Field(max_length=50)] | None = None
    input_modes: Modes | None = None
    output_modes: Modes | None = None
    security_requirements: SecurityRequirements | None = None


class AgentCardSignature(WireModel):
    """A JWS (RFC 7515) in parts: `protected` and `signature` are base64url, the payload is the card."""

    protected: Annotated[str, Field(max_length=8_000)]
    signature: Annotated[str, Field(max_length=16_000)]
    header: Metadata | None = None


class AgentCard(WireModel):
    name: Name
    description: Prose
    version: Annotated[str, Field(max_length=100)]
    supported_interfaces: Annotated[list[AgentInterface], Field(min_length=1, max_length=20)]
    capabilities: AgentCapabilities
    default_input_modes: Modes
    default_output_modes: Modes
    skills: Annotated[list[AgentSkill], Field(max_length=500)]
    provider: AgentProvider | None = None
    documentation_url: Url | None = None
    icon_url: Url | None = None
    security_schemes: Annotated[dict[Name, SecurityScheme], Field(max_length=50)] | None = None
    security_requirements: SecurityRequirements | None = None
    signatures: Annotated[list[AgentCardSignature], Field(max_length=20)] | None = None
