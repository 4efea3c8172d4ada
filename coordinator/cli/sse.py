"""Server-sent events of a task, read off a byte stream. A line ends at a line feed and nowhere else."""

from collections.abc import AsyncGenerator, AsyncIterator
from typing import Final

from pydantic import ValidationError

from coordinator.cli.shapes import Event

MAX_EVENT_BYTES: Final = 16 * 2**20


class StreamBroken(Exception):
    """What arrives is no stream of events."""


async def _lines(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    rest = b""
    async for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            yield line.removesuffix(b"\r")
        if len(rest) > MAX_EVENT_BYTES:
            raise StreamBroken


async def read_events(chunks: AsyncIterator[bytes]) -> AsyncGenerator[Event]:
    """Whole events in their order; comments and unfinished ones are skipped. Raises StreamBroken."""
    data: list[bytes] = []
    async for line in _lines(chunks):
        if line.startswith(b"data:"):
            data.append(line[5:].removeprefix(b" "))
            if sum(map(len, data)) > MAX_EVENT_BYTES:
                raise StreamBroken
        elif not line and data:
            try:
                event = Event.model_validate_json(b"\n".join(data))
            except ValidationError as exc:
                raise StreamBroken from exc
            data.clear()
            yield event
