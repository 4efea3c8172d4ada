"""Liveness and readiness."""

import asyncio

from fastapi import APIRouter, Response
from sqlalchemy import Connection, text
from sqlalchemy.exc import SQLAlchemyError

from coordinator.api import schemas
from coordinator.api.openapi import problems
from coordinator.api.problems import problem_response
from coordinator.api.services import Use
from coordinator.version import VERSION

router = APIRouter(tags=["operation"])

DATABASE_TIMEOUT_S = 3.0


@router.head("/health", include_in_schema=False)
@router.get("/health", summary="Liveness")
async def health() -> schemas.Live:
    """The process answers; nothing else is looked at."""
    return schemas.Live(status="ok", version=VERSION)


@router.head("/ready", include_in_schema=False, response_model=None)
@router.get(
    "/ready",
    summary="Readiness",
    response_model=schemas.Ready,
    responses=problems(503),
)
async def ready(use: Use) -> schemas.Ready | Response:
    """The database answers too, so tasks can be taken."""
    try:
        async with asyncio.timeout(DATABASE_TIMEOUT_S):
            await use.database.read(_select_one)
    except (SQLAlchemyError, OSError, TimeoutError):
        detail = "The database does not answer. Check DATABASE_URL and the server behind it."
        return problem_response(
            schemas.Problem(title="Not ready", status=503, detail=detail, code="DATABASE_DOWN")
        )
    return schemas.Ready(status="ready", database="ok", running_tasks=use.executor.worker.running)


def _select_one(connection: Connection) -> None:
    connection.execute(text("SELECT 1"))
