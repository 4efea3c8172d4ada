"""Errors as RFC 9457 problem+json: the one table from our errors to status and stable code."""

from dataclasses import dataclass

import structlog
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from coordinator.api.schemas import Problem
from coordinator.executor.errors import (
    ArtifactNotFound,
    ExecutorError,
    IdempotencyConflict,
    TaskNotFound,
    WrongState,
)
from coordinator.memory.errors import MemoryServiceError, SessionNotFound
from coordinator.planner.errors import PlanInvalid, PlannerError, UnknownTaskType
from coordinator.registry.errors import (
    AgentNotFound,
    CardRejected,
    ChecksAreOff,
    InboxRefused,
    JoinRefused,
    RegistryBusy,
    RegistryError,
    RegistryFull,
    ReportNotFound,
)
from models.ids import new_id

log = structlog.get_logger(__name__)

MAX_FIELDS = 20


@dataclass(frozen=True, slots=True)
class Rule:
    status: int
    code: str
    title: str


RULES: dict[type[Exception], Rule] = {
    TaskNotFound: Rule(404, "TASK_NOT_FOUND", "No such task"),
    ArtifactNotFound: Rule(404, "ARTIFACT_NOT_FOUND", "No such artifact"),
    SessionNotFound: Rule(404, "SESSION_NOT_FOUND", "No such session"),
    AgentNotFound: Rule(404, "AGENT_NOT_FOUND", "No such agent"),
    WrongState: Rule(409, "WRONG_STATE", "Not possible in this state"),
    IdempotencyConflict: Rule(409, "IDEMPOTENCY_CONFLICT", "Idempotency-Key used before"),
    CardRejected: Rule(422, "CARD_REJECTED", "The agent's card cannot be used"),
    ReportNotFound: Rule(404, "REPORT_NOT_FOUND", "Not checked yet"),
    ChecksAreOff: Rule(409, "CHECKS_ARE_OFF", "Agents are not checked here"),
    JoinRefused: Rule(401, "JOIN_REFUSED", "The join token is missing or wrong"),
    InboxRefused: Rule(401, "INBOX_REFUSED", "The inbox's secret is missing or wrong"),
    RegistryBusy: Rule(429, "REGISTRY_BUSY", "Too many registrations at once"),
    RegistryFull: Rule(503, "REGISTRY_FULL", "No room for another agent"),
    UnknownTaskType: Rule(422, "UNKNOWN_TASK_TYPE", "No agent can do this"),
    PlanInvalid: Rule(422, "PLAN_INVALID", "The plan cannot run"),
}

FAMILIES = (ExecutorError, MemoryServiceError, PlannerError, RegistryError)

_HTTP_CODES = {
    400: "BAD_REQUEST",
    404: "NOT_FOUND",
    405: "METHOD_NOT_ALLOWED",
    413: "TOO_LARGE",
    415: "UNSUPPORTED_MEDIA_TYPE",
}


class BadRequest(HTTPException):
    """A request that cannot be read; `detail` says what to change. An HTTPException, because FastAPI makes a
    400 of whatever else is raised while it reads a body."""

    def __init__(self, status: int, code: str, detail: str) -> None:
        super().__init__(status, detail)
        self.code = code


def problem_response(problem: Problem) -> Response:
    return Response(
        problem.model_dump_json(exclude_none=True),
        status_code=problem.status,
        media_type="application/problem+json",
    )


def install(app: FastAPI) -> None:
    """Every error leaves the API in this one shape."""
    for family in FAMILIES:
        app.add_exception_handler(family, _known)
    app.add_exception_handler(BadRequest, _bad_request)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(Exception, _unknown)


async def _known(request: Request, exc: Exception) -> Response:
    rule = RULES.get(type(exc))
    if rule is None:
        return await _unknown(request, exc)
    response = problem_response(
        Problem(title=rule.title, status=rule.status, detail=str(exc), code=rule.code)
    )
    if isinstance(exc, RegistryBusy):
        response.headers["Retry-After"] = str(exc.retry_after_s)
    return response


async def _bad_request(_request: Request, exc: Exception) -> Response:
    assert isinstance(exc, BadRequest)
    return problem_response(
        Problem(title="The request cannot be read", status=exc.status_code, detail=exc.detail, code=exc.code)
    )


async def _invalid(_request: Request, exc: Exception) -> Response:
    assert isinstance(exc, RequestValidationError)
    errors = [
        {"field": ".".join(str(step) for step in error["loc"][1:]) or "body", "message": error["msg"]}
        for error in exc.errors()[:MAX_FIELDS]
    ]
    detail = "; ".join(f"{error['field']}: {error['message']}" for error in errors[:3])
    return problem_response(
        Problem(
            title="The request is not valid",
            status=422,
            detail=detail,
            code="VALIDATION_FAILED",
            errors=errors,
        )
    )


async def _http(_request: Request, exc: Exception) -> Response:
    assert isinstance(exc, HTTPException)
    code = _HTTP_CODES.get(exc.status_code, "HTTP_ERROR")
    response = problem_response(
        Problem(title=str(exc.detail), status=exc.status_code, detail=str(exc.detail), code=code)
    )
    response.headers.update(exc.headers or {})
    return response


async def _unknown(request: Request, exc: Exception) -> Response:
    error_id = new_id("error")
    log.error("request.crashed", error_id=error_id, path=request.url.path, exc_info=exc)
    detail = f"The coordinator failed; its log has {error_id}."
    return problem_response(Problem(title="Internal error", status=500, detail=detail, code="INTERNAL_ERROR"))
