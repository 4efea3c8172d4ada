"""The shapes of Agentic Resource Discovery 0.9: the catalog, what is asked and what is answered."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from coordinator.api.shapes import Utc

AGENT_CARD = "application/a2a-agent-card+json"
REGISTRY = "application/ai-registry+json"
MAX_TEXT_CHARS = 2_000
MAX_TOKEN_CHARS = 100

FieldPath = Annotated[str, Field(min_length=1, max_length=200)]
FilterValue = Annotated[str, Field(max_length=2_000)]
PageSize = Annotated[int, Field(ge=1, le=100)]
PageToken = Annotated[str, Field(max_length=MAX_TOKEN_CHARS, description="of the page before")]


class _Answer(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, serialize_by_alias=True)


class _Request(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, extra="forbid")


class CatalogEntry(_Answer):
    """4.2: one agent; `url` is where its card is."""

    identifier: str
    display_name: str
    type: str
    url: str
    description: str | None = None
    tags: list[str] | None = None
    capabilities: Annotated[list[str] | None, Field(description="ids of its skills")] = None
    representative_queries: Annotated[list[str] | None, Field(description="2 to 5 examples")] = None
    version: str | None = None
    updated_at: Utc | None = None


class CatalogHost(_Answer):
    display_name: str
    identifier: str


class Manifest(_Answer):
    """4.1: the document at /.well-known/ai-catalog.json."""

    spec_version: Literal["1.0"] = "1.0"
    host: CatalogHost
    entries: list[CatalogEntry]


class Query(_Request):
    """7.1: values of one field are alternatives, fields have to hold together."""

    text: Annotated[str, Field(max_length=MAX_TEXT_CHARS)] = ""
    filter: dict[FieldPath, FilterValue | Annotated[list[FilterValue], Field(max_length=100)]] = Field(
        default_factory=dict, max_length=20
    )


class TextQuery(Query):
    text: Annotated[str, Field(min_length=1, max_length=MAX_TEXT_CHARS)]


class DiscoverySearch(_Request):
    """7.2. This coordinator has no other registries, so every kind of federation searches its own index."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"query": {"text": "analyse a table"}, "federation": "none"}]}
    )

    query: TextQuery
    federation: Literal["auto", "referrals", "none"] = "auto"
    page_size: PageSize = 10
    page_token: PageToken | None = None


class SearchedEntry(CatalogEntry):
    """`score` is relevance and says nothing of trust; `source` is this registry."""

    score: Annotated[int, Field(ge=0, le=100)]
    source: str


class DiscoveryResults(_Answer):
    results: list[SearchedEntry]
    referrals: list[CatalogEntry] | None = None
    page_token: str | None = None


class FacetRequest(_Request):
    field: FieldPath
    limit: Annotated[int, Field(ge=1, le=1_000)] = 20
    min_count: Annotated[int, Field(ge=0)] = 1


class ResultType(_Request):
    facets: Annotated[list[FacetRequest], Field(max_length=10)]


class Exploration(_Request):
    """7.3."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"resultType": {"facets": [{"field": "tags", "limit": 5}]}}]}
    )

    query: Query = Query()
    result_type: ResultType


class Bucket(_Answer):
    value: str
    count: int


class Facet(_Answer):
    """`other_count` is of the entries in buckets beyond the limit."""

    buckets: list[Bucket]
    other_count: int


class Facets(_Answer):
    result_type: Literal["facets"] = "facets"
    facets: dict[str, Facet]


class ListQuery(_Request):
    """7.4; `filter` as in appendix A, e.g. displayName = 'weather' AND updatedAfter > '2026-01-01'."""

    filter: Annotated[str, Field(max_length=2_000)] = ""
    order_by: Annotated[
        str, Field(max_length=200, description="displayName, createdAt, updatedAt; each with ASC or DESC")
    ] = "displayName"
    page_size: PageSize = 20
    page_token: PageToken | None = None


class CatalogPage(_Answer):
    items: list[CatalogEntry]
    total: int
    page_token: str | None = None


class DiscoveryError(_Answer):
    """Appendix B."""

    error_code: str
    message: str
