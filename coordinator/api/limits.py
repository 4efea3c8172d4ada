"""The cap on request bodies, whatever their form: counted as they arrive, refused once they are over."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from coordinator.api.problems import problem_response
from coordinator.api.schemas import Problem


class _TooLarge(Exception):
    pass


class BodyLimit:
    """ASGI middleware: 413 for a request body over `max_bytes`."""

    def __init__(self, app: ASGIApp, *, max_bytes: int) -> None:
        self._app = app
        self._max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
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
            if read > self._max_bytes:
                raise _TooLarge
            return message

        async def noted(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self._app(scope, counted, noted)
        except _TooLarge:
            if started:
                raise
            await self._refuse(scope, receive, send)

    async def _refuse(self, scope: Scope, receive: Receive, send: Send) -> None:
        megabytes = self._max_bytes / 2**20
        problem = Problem(
            title="The request is too large",
            status=413,
            detail=f"A request may have {megabytes:.0f} MiB; send less, or raise TASKS_MAX_UPLOAD_BYTES.",
            code="TOO_LARGE",
        )
        await problem_response(problem)(scope, receive, send)
