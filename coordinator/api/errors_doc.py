"""The error shapes as OpenAPI shows them."""

from typing import Any

from coordinator.api.schemas import Problem

_TITLES = {
    404: "No such thing",
    409: "Not possible in this state",
    413: "The request is too large",
    415: "The media type is not taken",
    422: "The request is not valid",
    500: "The coordinator failed; the detail has an id that is in its log",
}


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The `responses` of a route that can answer with these statuses."""
    schema = {"$ref": f"#/components/schemas/{Problem.__name__}"}
    return {
        status: {
            "description": _TITLES[status],
            "model": Problem,
            "content": {"application/problem+json": {"schema": schema}},
        }
        for status in statuses
    }


PROBLEMS = problems(422, 500)
