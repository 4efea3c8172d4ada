"""Agentic Resource Discovery 0.9 over a real coordinator; the sections are the draft's."""

import re
from collections.abc import Iterator
from typing import Any

import pytest

from a2a import Agent, Request
from coordinator.api.catalog import publisher_of
from tests.support.coordinator import Coordinator, echo_agent, running_coordinator, settings_for

CARD = "application/a2a-agent-card+json"
IDENTIFIER = re.compile(r"^urn:air:[a-zA-Z0-9.-]+(:[a-zA-Z0-9._-]+)+$")


@pytest.fixture
def coordinator(database_url: str) -> Iterator[Coordinator]:
    with running_coordinator(settings_for(database_url)) as running:
        yield running


def weather_agent(url: str) -> Agent:
    agent = Agent(name="Weather", description="Forecasts.", version="1.2.0", url=url)

    @agent.skill(
        id="forecast",
        description="Weather forecast for a city",
        tags=["weather", "echo"],
        examples=["weather in Oslo", "will it rain in Lima"],
    )
    async def forecast(_request: Request) -> str:
        return "rain"

    return agent


def post(coordinator: Coordinator, path: str, **body: Any) -> dict[str, Any]:
    response = coordinator.http.post(path, json=body)
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


def names(entries: list[dict[str, Any]]) -> list[str]:
    return [entry["displayName"] for entry in entries]


def test_the_catalog_lists_the_coordinator_its_registry_and_its_agents(coordinator: Coordinator) -> None:
    """4.1, 4.2, 7: the base URL of the API is that of the entry with the registry's media type."""
    agent_id = coordinator.add_agent(weather_agent)
    agent = coordinator.http.get(f"/api/agents/{agent_id}").json()
    catalog = coordinator.http.get("/.well-known/ai-catalog.json").json()
    assert catalog["specVersion"] == "1.0"
    own, registry, entry = catalog["entries"]
    assert own["url"].endswith("/.well-known/agent-card.json")
    assert registry["type"] == "application/ai-registry+json"
    assert all(IDENTIFIER.match(one["identifier"]) for one in catalog["entries"])
    assert entry.pop("updatedAt").endswith("Z")
    assert entry == {
        "identifier": f"urn:air:agent.localhost:agent:{agent_id}",
        "displayName": "Weather",
        "type": CARD,
        "url": agent["card_url"],
        "description": "Forecasts.",
        "tags": ["weather", "echo"],
        "capabilities": ["forecast"],
        "representativeQueries": ["weather in Oslo", "will it rain in Lima"],
        "version": "1.2.0",
    }


def test_the_catalog_is_cacheable_and_follows_the_registry(coordinator: Coordinator) -> None:
    path = "/.well-known/ai-catalog.json"
    first = coordinator.http.get(path)
    assert "max-age" in first.headers["cache-control"]
    again = coordinator.http.get(path, headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    agent_id = coordinator.add_agent(echo_agent)
    changed = coordinator.http.get(path, headers={"If-None-Match": first.headers["etag"]})
    assert (changed.status_code, len(changed.json()["entries"])) == (200, 3)
    coordinator.http.delete(f"/api/agents/{agent_id}")
    assert len(coordinator.http.get(path).json()["entries"]) == 2
    assert coordinator.http.head(path).content == b""


@pytest.mark.parametrize(
    ("url", "publisher"),
    [
        ("https://agents.acme.com/", "agents.acme.com"),
        ("http://127.0.0.1:8000", "agent.localhost"),
        ("http://[::1]:8000", "agent.localhost"),
        ("http://localhost:8000", "agent.localhost"),
        ("http://coordinator:8000", "agent.localhost"),
    ],
)
def test_the_publisher_is_the_coordinators_domain_or_the_placeholder(url: str, publisher: str) -> None:
    """4.2.1 and the naming guide: never localhost, an address, or what a card claims."""
    assert publisher_of(url) == publisher


def test_search_ranks_agents_by_relevance(coordinator: Coordinator) -> None:
    """7.2."""
    coordinator.add_agent(echo_agent)
    coordinator.add_agent(weather_agent)
    answer = post(coordinator, "/search", query={"text": "forecasting weather, echoed"})
    assert answer.keys() == {"results"}
    assert names(answer["results"]) == ["Weather", "Echo Agent"]
    scores = [result["score"] for result in answer["results"]]
    assert scores == sorted(scores, reverse=True)
    assert all(isinstance(score, int) and 0 <= score <= 100 for score in scores)
    assert {result["source"] for result in answer["results"]} == {"http://127.0.0.1:8000/"}
    assert post(coordinator, "/search", query={"text": "fold my laundry"}) == {"results": []}


def test_search_has_pages_and_federates_with_nobody(coordinator: Coordinator) -> None:
    """7.2 and 8."""
    coordinator.add_agent(echo_agent)
    coordinator.add_agent(weather_agent)
    asked: dict[str, Any] = {"query": {"text": "weather echo"}, "pageSize": 1}
    first = post(coordinator, "/search", **asked, federation="referrals")
    second = post(coordinator, "/search", **asked, federation="none", pageToken=first["pageToken"])
    assert (first["referrals"], "referrals" in second, "pageToken" in second) == ([], False, False)
    assert names(first["results"] + second["results"]) == ["Weather", "Echo Agent"]


@pytest.mark.parametrize(
    ("filtered", "left"),
    [
        ({"type": [CARD.upper()]}, ["Weather", "Echo Agent"]),
        ({"type": ["application/mcp-server-card+json"]}, []),
        ({"tags": ["repeat", "weather"]}, ["Weather", "Echo Agent"]),
        ({"tags": "echo", "capabilities": ["echo"]}, ["Echo Agent"]),
        ({"publisher": ["agent.localhost"], "version": "1.2.0"}, ["Weather"]),
    ],
)
def test_filters_are_alternatives_within_a_field_and_all_hold(
    coordinator: Coordinator, filtered: dict[str, Any], left: list[str]
) -> None:
    """7.1, the same for search and explore."""
    coordinator.add_agent(echo_agent)
    coordinator.add_agent(weather_agent)
    query = {"text": "weather echo", "filter": filtered}
    assert names(post(coordinator, "/search", query=query)["results"]) == left
    facets = {"facets": [{"field": "displayName"}]}
    explored = post(coordinator, "/explore", query=query, resultType=facets)["facets"]["displayName"]
    assert sorted(bucket["value"] for bucket in explored["buckets"]) == sorted(left)


def test_explore_counts_values(coordinator: Coordinator) -> None:
    """7.3."""
    coordinator.add_agent(echo_agent)
    coordinator.add_agent(weather_agent)
    facets = [{"field": "tags", "limit": 2}, {"field": "type"}]
    answer = post(coordinator, "/explore", resultType={"facets": facets})
    assert answer == {
        "resultType": "facets",
        "facets": {
            "tags": {
                "buckets": [{"value": "echo", "count": 2}, {"value": "repeat", "count": 1}],
                "otherCount": 1,
            },
            "type": {"buckets": [{"value": CARD, "count": 2}], "otherCount": 0},
        },
    }
    twice = {"facets": [{"field": "tags", "minCount": 2}]}
    narrowed = post(coordinator, "/explore", query={"text": "weather"}, resultType=twice)
    assert narrowed["facets"]["tags"] == {"buckets": [], "otherCount": 0}


@pytest.mark.parametrize(
    ("params", "left"),
    [
        ({}, ["Echo Agent", "Weather"]),
        ({"orderBy": "createdAt DESC, displayName"}, ["Weather", "Echo Agent"]),
        ({"filter": "displayName = 'ECHO'"}, ["Echo Agent"]),
        ({"filter": f"type = {CARD} AND updatedAfter > '2026-01-01'"}, ["Echo Agent", "Weather"]),
        ({"filter": "publisherId = 'a.b,agent.localhost' and displayName = \"weather\""}, ["Weather"]),
        ({"filter": "createdAfter > '2999-01-01T00:00:00Z'"}, []),
    ],
)
def test_the_list_is_filtered_and_ordered(
    coordinator: Coordinator, params: dict[str, str], left: list[str]
) -> None:
    """7.4 and appendix A."""
    coordinator.add_agent(echo_agent)
    coordinator.add_agent(weather_agent)
    answer = coordinator.http.get("/agents", params=params).json()
    assert names(answer["items"]) == left
    assert answer["total"] == len(left)


def test_the_list_has_pages(coordinator: Coordinator) -> None:
    coordinator.add_agent(echo_agent)
    coordinator.add_agent(weather_agent)
    first = coordinator.http.get("/agents", params={"pageSize": 1}).json()
    second = coordinator.http.get("/agents", params={"pageSize": 1, "pageToken": first["pageToken"]}).json()
    assert names(first["items"] + second["items"]) == ["Echo Agent", "Weather"]
    assert (first["total"], "pageToken" in second) == (2, False)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/search", {}),
        ("/search", {"query": {}}),
        ("/search", {"query": {"text": ""}}),
        ("/search", {"query": {"text": "x", "unknown": 1}}),
        ("/search", {"query": {"text": "x", "filter": {"trustManifest.identity": ["x"]}}}),
        ("/search", {"query": {"text": "x"}, "federation": "everywhere"}),
        ("/search", {"query": {"text": "x"}, "pageSize": 101}),
        ("/search", {"query": {"text": "x"}, "pageToken": "!"}),
        ("/search", {"query": {"text": "x"}, "pageToken": "LTE="}),
        ("/explore", {"query": {}}),
        ("/explore", {"resultType": {"facets": [{"field": "metadata.x"}]}}),
        ("/explore", {"resultType": {"facets": [{"field": "tags", "limit": 0}]}}),
    ],
)
def test_what_cannot_be_answered_is_an_invalid_argument(
    coordinator: Coordinator, path: str, body: dict[str, Any]
) -> None:
    """Appendix B."""
    response = coordinator.http.post(path, json=body)
    assert (response.status_code, response.json()["errorCode"]) == (400, "INVALID_ARGUMENT")
    assert response.json()["message"]


@pytest.mark.parametrize(
    "params",
    [
        {"filter": "type"},
        {"filter": "type = 'a' OR type = 'b'"},
        {"filter": "type = 'a' type = 'b'"},
        {"filter": "secret = 'a'"},
        {"filter": "updatedAfter > 'yesterday'"},
        {"filter": "('" * 900},
        {"orderBy": "score"},
        {"orderBy": "displayName SIDEWAYS"},
        {"pageSize": "0"},
        {"pageToken": "é"},
    ],
)
def test_a_list_that_cannot_be_made_is_an_invalid_argument(
    coordinator: Coordinator, params: dict[str, str]
) -> None:
    response = coordinator.http.get("/agents", params=params)
    assert (response.status_code, response.json()["errorCode"]) == (400, "INVALID_ARGUMENT"), response.text


def test_a_query_over_the_limit_is_refused_and_no_json_is_an_invalid_argument(
    coordinator: Coordinator,
) -> None:
    for path in ("/search", "/explore"):
        assert coordinator.http.post(path, content=b" " * 70_000).status_code == 413
        response = coordinator.http.post(path, content=b'{"query": NaN}')
        assert (response.status_code, response.json()["errorCode"]) == (400, "INVALID_ARGUMENT")


def test_the_coordinator_stays_an_a2a_agent_beside_it(coordinator: Coordinator) -> None:
    """A tenant may be called as one of the paths, and the card stays where it was."""
    assert coordinator.http.get("/.well-known/agent-card.json").json()["name"] == "Parley coordinator"
    headers = {"A2A-Version": "1.0"}
    for path in ("/tasks", "/agents/tasks", "/search/tasks"):
        assert coordinator.http.get(path, headers=headers).status_code == 200, path
    paths = coordinator.http.get("/openapi.json").json()["paths"].keys()
    assert {"/search", "/explore", "/agents", "/.well-known/ai-catalog.json"} <= paths
