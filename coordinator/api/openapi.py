"""The OpenAPI document: FastAPI's, and the shapes of what it does not see by itself."""

from collections.abc import Callable
from typing import Any

from fastapi import FastAPI
from pydantic.json_schema import models_json_schema

from coordinator.api.schemas import Problem, TaskIn

REF_TEMPLATE = "#/components/schemas/{model}"
_TITLES = {
    400: "The request cannot be read",
    401: "A join token is missing or wrong",
    404: "No such thing",
    409: "Not possible in this state",
    413: "The request is too large",
    415: "The media type is not taken",
    422: "The request is not valid",
    429: "Too many at once; Retry-After says when to try again",
    500: "The coordinator failed; the detail has an id that is in its log",
    503: "Not ready, or no room",
}


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The `responses` of a route that can answer with these statuses."""
    schema = {"$ref": REF_TEMPLATE.format(model=Problem.__name__)}
    return {
        status: {
            "description": _TITLES[status],
            "content": {"application/problem+json": {"schema": schema}},
        }
        for status in statuses
    }


PROBLEMS = problems(422, 500)

# The body of POST /api/tasks is read by hand, as JSON or as a form.
TASK_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {"schema": {"$ref": REF_TEMPLATE.format(model=TaskIn.__name__)}},
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["description"],
                    "properties": {
                        "description": {"type": "string"},
                        "session_id": {"type": "string"},
                        "user_id": {"type": "string"},
                        "deadline_s": {"type": "number"},
                        "files": {"type": "array", "items": {"type": "string", "format": "binary"}},
                    },
                }
            },
        },
    }
}


def with_hidden_shapes(app: FastAPI) -> Callable[[], dict[str, Any]]:
    """The app's `openapi` with the schemas that only references name."""
    made = app.openapi

    def openapi() -> dict[str, Any]:
        document = made()
        _, definitions = models_json_schema(
            [(TaskIn, "validation"), (Problem, "serialization")], ref_template=REF_TEMPLATE
        )
        schemas = document.setdefault("components", {}).setdefault("schemas", {})
        for name, schema in definitions["$defs"].items():
            schemas.setdefault(name, schema)
        return document

    return openapi
