"""Server-sent events as a client reads them: bytes in any cut, whole events out."""

from collections.abc import AsyncIterator

from a2a.errors import InvalidAgentResponse


async def event_data(chunks: AsyncIterator[bytes], *, max_event_bytes: int) -> AsyncIterator[bytes]:
    """The joined `data:` lines of each event. Comments and other fields are skipped.

    Raises InvalidAgentResponse when the lines of one event are over `max_event_bytes`.
    """
    pending: list[bytes] = []
    data: list[bytes] = []
    pending_size = data_size = 0
    async for chunk in chunks:
        *ends, begun = chunk.split(b"\n")
        for end in ends:
            line = b"".join((*pending, end))
            pending.clear()
            pending_size = 0
            _check_size(data_size + len(line), max_event_bytes)
            content = line.removesuffix(b"\r")
            if content.startswith(b"data:"):
                data.append(content[5:].removeprefix(b" "))
                data_size += len(line)
            elif not content and data:
                yield b"\n".join(data)
                data.clear()
                data_size = 0
        pending.append(begun)
        pending_size += len(begun)
        _check_size(data_size + pending_size, max_event_bytes)


def _check_size(size: int, max_event_bytes: int) -> None:
    if size > max_event_bytes:
        raise InvalidAgentResponse("An event of the stream is too large.")
