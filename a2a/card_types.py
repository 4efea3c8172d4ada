"""The agent card and its parts (specification section 4.4), with the caps we put on untrusted ones."""

from typing import Annotated, Any

from pydantic import Field

from a2a.types import WireModel

WELL_KNOWN_PATH = "/.well-known/agent-card.json"

Name = Annotated[str, Field(min_length=1, max_length=200)]
Prose = Annotated[str, Field(max_length=8_000)]
Modes = Annotated[list[Annotated[str, Field(max_length=200)]], Field(max_length=100)]
Url = Annotated[str, Field(max_length=2_000)]


class AgentInterface(WireModel):
    url: Url
    protocol_binding: Annotated[str, Field(max_length=200)]
    protocol_version: Annotated[str, Field(max_length=20)]
    tenant: str | None = None


class AgentProvider(WireModel):
    url: Url
    organization: Name


class AgentExtension(WireModel):
    uri: Url
    description: Prose | None = None
    required: bool | None = None
    params: dict[str, Any] | None = None


class AgentCapabilities(WireModel):
    streaming: bool | None = None
    push_notifications: bool | None = None
    extended_agent_card: bool | None = None
    extensions: Annotated[list[AgentExtension], Field(max_length=50)] | None = None


class AgentSkill(WireModel):
    id: Name
    name: Name
    description: Prose
    tags: Annotated[list[Annotated[str, Field(max_length=200)]], Field(max_length=100)]
    examples: Annotated[list[Prose], Field(max_length=50)] | None = None
    input_modes: Modes | None = None
    output_modes: Modes | None = None


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
    security_schemes: dict[str, Any] | None = None
    security_requirements: list[dict[str, Any]] | None = None
    signatures: list[dict[str, Any]] | None = None
