"""A webhook that takes push notifications and keeps them."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tests.support.bindings import Result, told
from tests.support.server import serving
from tests.support.waiting import eventually


@dataclass(slots=True)
class Receiver:
    """What was posted, by the path it was posted to. One that `is_down` takes nothing."""

    url: str = ""
    is_down: bool = False
    posted: list[tuple[str, dict[str, str], Result]] = field(default_factory=list)

    async def take(self, request: Request) -> Response:
        if self.is_down:
            return Response(status_code=503)
        body = json.loads(await request.body())
        self.posted.append((request.url.path.strip("/"), dict(request.headers), body))
        return Response(status_code=204)

    def told(self, path: str) -> list[str]:
        return [told(body) for at, _, body in self.posted if at == path]

    async def heard(self, path: str, last: str) -> list[str]:
        """All that was told at the path, once `last` was."""
        await eventually(lambda: self.told(path)[-1:] == [last], within_s=5)
        return self.told(path)


@contextmanager
def receiving() -> Iterator[Receiver]:
    receiver = Receiver()
    app = Starlette(routes=[Route("/{path}", receiver.take, methods=["POST"])])
    with serving(app) as server:
        receiver.url = server.url
        yield receiver
