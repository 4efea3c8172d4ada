"""The cap on the bodies of API requests, whatever their form: counted as they arrive, refused once over."""

from collections.abc import Callable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from coordinator.api.problems import BadRequest, problem_response
from coordinator.api.schemas import Problem


class BodyLimit:
    """ASGI middleware: 413 for a body over `max_bytes` to a path that it `covers`; `advice` says what to do.
    The A2A endpoint is none of them: it has the same cap and answers in its own protocol."""

    def __init__(
        self, app: ASGIApp, *, max_bytes: int, covers: Callable[[str], bool], advice: str = "send less"
    ) -> None:
        self._app = app
        self._max_bytes = max_bytes
        self._covers = covers
        self._advice = advice

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not self._covers(scope["path"]):
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
        kib = self._max_bytes / 2**10
        size = f"{kib / 2**10:.0f} MiB" if kib >= 2**10 else f"{kib:.0f} KiB"
        return f"A request may have {size}; {self._advice}."

    async def _refuse(self, scope: Scope, receive: Receive, send: Send) -> None:
        problem = Problem(
            title="The request is too large", status=413, detail=self._detail(), code="TOO_LARGE"
        )
        await problem_response(problem)(scope, receive, send)
