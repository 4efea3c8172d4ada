"""Agentic Resource Discovery 0.9 over the registry: catalog, search, list and explore (docs/discovery.md).

Errors have the draft's form here, not that of the rest of the API.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Request, Response
from fastapi.exceptions import RequestValidationError

from a2a.server.http import etag_of
from coordinator.api import discovery_schemas as shapes
from coordinator.api.catalog_queries import facet_of, filter_of, list_filter_of, ordered, page
from coordinator.api.json_body import StrictJsonRoute
from coordinator.api.problems import BadRequest
from coordinator.api.services import Use

MANIFEST_PATH = "/.well-known/ai-catalog.json"
QUERY_PATHS = frozenset({"/search", "/explore"})
MAX_QUERY_BYTES = 64 * 2**10
MAX_AGE_S = 60
MAX_FAULTS = 3


class DiscoveryRoute(StrictJsonRoute):
    """Says what is wrong as appendix B of the draft has it."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def answer(request: Request) -> Response:
            try:
                return await handle(request)
            except RequestValidationError as exc:
                faults = [
                    f"{'.'.join(map(str, fault['loc'][1:])) or 'body'}: {fault['msg']}"
                    for fault in exc.errors()
                ]
                return _error(400, "INVALID_ARGUMENT", "; ".join(faults[:MAX_FAULTS]))
            except BadRequest as exc:
                code = "INVALID_ARGUMENT" if exc.status_code == 400 else exc.code
                return _error(exc.status_code, code, exc.detail)

        return answer


def _error(status: int, code: str, message: str) -> Response:
    error = shapes.DiscoveryError(error_code=code, message=message)
    return Response(error.model_dump_json(), status_code=status, media_type="application/json")


router = APIRouter(
    tags=["discovery"],
    route_class=DiscoveryRoute,
    responses={
        "default": {"model": shapes.DiscoveryError, "description": "What is wrong, as the draft has it"}
    },
)


@router.head(MANIFEST_PATH, include_in_schema=False, response_model=None)
@router.get(
    MANIFEST_PATH,
    summary="The catalog of this network",
    response_model=shapes.Manifest,
    responses={304: {"description": "As the client has it"}},
)
async def get_manifest(use: Use, if_none_match: Annotated[str, Header()] = "") -> Response:
    """The coordinator, this registry, and every agent that may get work."""
    body = await use.catalog.manifest()
    etag = etag_of(body)
    headers = {"ETag": etag, "Cache-Control": f"public, max-age={MAX_AGE_S}"}
    if etag in if_none_match or if_none_match.strip() == "*":
        return Response(status_code=304, headers=headers)
    return Response(body, media_type="application/json", headers=headers)


@router.post("/search", summary="Find agents", response_model_exclude_none=True)
async def search_catalog(use: Use, asked: shapes.DiscoverySearch) -> shapes.DiscoveryResults:
    """Agents by the words of their skills, the most relevant first. Only this registry is searched."""
    fits = filter_of(asked.query.filter)
    matches = [match for match in await use.catalog.matching(asked.query.text) if fits(match.entry)]
    found, token = page(matches, asked.page_size, asked.page_token)
    return shapes.DiscoveryResults(
        results=[
            shapes.SearchedEntry(
                **match.entry.model_dump(by_alias=False), score=match.score, source=use.catalog.own_url + "/"
            )
            for match in found
        ],
        referrals=[] if asked.federation == "referrals" else None,
        page_token=token,
    )


@router.get("/agents", summary="List the catalog", response_model_exclude_none=True)
async def list_catalog(use: Use, asked: Annotated[shapes.ListQuery, Query()]) -> shapes.CatalogPage:
    """Every agent that may get work, filtered, ordered and in pages."""
    fits = list_filter_of(asked.filter)
    items = (await use.catalog.items(fresh=True)).values()
    # A sort of ten thousand agents takes some 20 ms.
    found = await asyncio.to_thread(lambda: ordered((item for item in items if fits(item)), asked.order_by))
    shown, token = page(found, asked.page_size, asked.page_token)
    return shapes.CatalogPage(items=[item.entry for item in shown], total=len(found), page_token=token)


@router.post("/explore", summary="Count the catalog's values")
async def explore_catalog(use: Use, asked: shapes.Exploration) -> shapes.Facets:
    """How many of the matching agents have each value of a field."""
    if asked.query.text.strip():
        entries = [match.entry for match in await use.catalog.matching(asked.query.text)]
    else:
        entries = [item.entry for item in (await use.catalog.items(fresh=True)).values()]

    def count() -> dict[str, shapes.Facet]:
        fits = filter_of(asked.query.filter)
        matched = [entry for entry in entries if fits(entry)]
        return {facet.field: facet_of(matched, facet) for facet in asked.result_type.facets}

    return shapes.Facets(facets=await asyncio.to_thread(count))
