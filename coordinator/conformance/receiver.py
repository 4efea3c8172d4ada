"""Where an agent's push notifications arrive, as this package needs it."""

import asyncio
from contextlib import AbstractContextManager
from typing import Protocol


class Expected(Protocol):
    """`arrived` is set by a notification to `url` that carries `token`."""

    @property
    def url(self) -> str: ...

    @property
    def token(self) -> str: ...

    @property
    def arrived(self) -> asyncio.Event: ...


class PushReceiver(Protocol):
    def expecting(self) -> AbstractContextManager[Expected]: ...
