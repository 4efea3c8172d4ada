"""Server-sent events as a client reads them: bytes in any cut, whole events out."""

from collections.abc import AsyncIterator

from a2a.errors import InvalidAgentResponse


async def event_data(chunks: AsyncIterator[bytes], *, max_event_bytes: int) -> AsyncIterator[bytes]:
    """The joined `data:` lines of each event. Comments and other fields are skipped.

    Raises InvalidAgentResponse when one event is over `max_event_bytes`.
    """
    pending: list[bytes] = []
    data: list[bytes] = []
    size = 0
    async for chunk in chunks:
        size += len(chunk)
        if size > max_event_bytes:
            raise InvalidAgentResponse("An event of the stream is too large.")
        first, *rest = chunk.split(b"\n")
        pending.append(first)
        if not rest:
            continue
        lines = [b"".join(pending), *rest[:-1]]
        pending = [rest[-1]]
        for line in lines:
            content = line.removesuffix(b"\r")
            if content.startswith(b"data:"):
                data.append(content[5:].removeprefix(b" "))
            elif not content and data:
                yield b"\n".join(data)
                data.clear()
                size = len(rest[-1])
