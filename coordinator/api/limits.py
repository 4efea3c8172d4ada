"""The cap on the bodies of API requests, whatever their form: counted as they arrive, refused once over."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from coordinator.api.problems import BadRequest, problem_response
from coordinator.api.schemas import Problem


class BodyLimit:
    """ASGI middleware: 413 for a body over `max_bytes` under `path_prefix`. The A2A endpoint is not there: it
    has the same cap and answers in its own protocol."""

    def __init__(self, app: ASGIApp, *, max_bytes: int, path_prefix: str) -> None:
        self._app = app
        self._max_bytes = max_bytes
        self._path_prefix = path_prefix

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not scope["path"].startswith(self._path_prefix):
            await self._app(scope, receive, send)
            return
        declared = dict(scope["headers"]).get(b"content-length", b"0")
        if declared.isdigit() and int(declared) > self._max_bytes:
            await self._refuse(scope, receive, send)
            return
        read = 0
        started = False

        async def counted() -> Message:
            nonlocal read
            message = await receive()
            read += len(message.get("body", b""))
            if read <= self._max_bytes:
                return message
            if started:
                return {"type": "http.disconnect"}
            raise BadRequest(413, "TOO_LARGE", self._detail())

        async def noted(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        await self._app(scope, counted, noted)

    def _detail(self) -> str:
        megabytes = self._max_bytes / 2**20
        return f"A request may have {megabytes:.0f} MiB; send less, or raise TASKS_MAX_UPLOAD_BYTES."

    async def _refuse(self, scope: Scope, receive: Receive, send: Send) -> None:
        problem = Problem(
            title="The request is too large", status=413, detail=self._detail(), code="TOO_LARGE"
        )
        await problem_response(problem)(scope, receive, send)
