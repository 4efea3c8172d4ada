"""The body of POST /api/tasks: JSON, or a multipart form with files."""

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from pydantic_core import from_json
from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException

from a2a.types import Json, Part
from coordinator.api.json_body import strict_json
from coordinator.api.problems import BadRequest
from coordinator.api.schemas import TaskIn
from coordinator.executor.artifacts import media_type_of

MAX_FILES = 20
# What browsers and curl send when they do not know better: the file's name says more.
_SAYS_NOTHING = ("application/octet-stream", "")


async def read_task(request: Request, *, max_bytes: int) -> TaskIn:
    """`max_bytes` bounds the files of the task together. Raises BadRequest or RequestValidationError."""
    task = await _read(request)
    size = sum(len(part.content()) for part in task.inputs)
    if size > max_bytes:
        raise BadRequest(413, "TOO_LARGE", f"The files have {size:,} bytes, {max_bytes:,} are allowed.")
    return task


async def _read(request: Request) -> TaskIn:
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type == "application/json":
        return _validated(strict_json(await request.body()))
    if media_type == "multipart/form-data":
        return await _from_form(request)
    raise BadRequest(
        415, "UNSUPPORTED_MEDIA_TYPE", "Send the task as application/json or multipart/form-data."
    )


async def _from_form(request: Request) -> TaskIn:
    try:
        async with request.form(max_files=MAX_FILES, max_fields=MAX_FILES) as form:
            fields = {name: _field(name, value) for name, value in form.items() if isinstance(value, str)}
            parts = [await _part(file) for file in _files(form)]
    except BadRequest:
        raise
    except HTTPException as exc:
        raise BadRequest(400, "BAD_FORM", f"The form cannot be read: {exc.detail}") from exc
    except ValueError as exc:
        # Python knows charsets that make what is no text.
        raise BadRequest(400, "BAD_FORM", "The form cannot be read; send names and fields in UTF-8.") from exc
    task = _validated(fields)
    return task.model_copy(update={"inputs": [*task.inputs, *parts]})


def _field(name: str, value: str) -> Json:
    """Fields that are not plain text carry JSON."""
    if name not in ("inputs", "plan", "dry_run", "deadline_s", "priority", "webhook"):
        return value
    try:
        return from_json(value, allow_inf_nan=False)
    except ValueError as exc:
        raise BadRequest(400, "BAD_JSON", f"The form field {name} is not valid JSON.") from exc


def _files(form: FormData) -> list[UploadFile]:
    return [value for _, value in form.multi_items() if isinstance(value, UploadFile)]


async def _part(file: UploadFile) -> Part:
    said = (file.content_type or "").partition(";")[0].strip().lower()
    part = Part(
        raw=await file.read(),
        filename=file.filename or None,
        media_type=None if said in _SAYS_NOTHING else said,
    )
    return part.model_copy(update={"media_type": media_type_of(part)})


def _validated(value: Json) -> TaskIn:
    try:
        return TaskIn.model_validate(value)
    except ValidationError as exc:
        errors = exc.errors(include_url=False, include_context=False, include_input=False)
        located = [{**error, "loc": ("body", *error["loc"])} for error in errors]
        raise RequestValidationError(located) from exc
