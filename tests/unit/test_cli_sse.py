"""Reading a task's events off a byte stream, whatever way it is cut."""

import json
from collections.abc import AsyncIterator

import pytest

from coordinator.cli.shapes import Event
from coordinator.cli.sse import StreamBroken, read_events

DATA = {
    "number": 7,
    "kind": "step.progress",
    "data": {"text": "a\u2028b"},
    "created_at": "2026-01-02T03:04:05Z",
}
WIRE = (
    b": comment\n\nid: 7\nevent: step.progress\ndata: "
    + json.dumps(DATA, ensure_ascii=False).encode()
    + b"\n\n"
)


async def chunks(data: bytes, size: int) -> AsyncIterator[bytes]:
    for start in range(0, len(data), size):
        yield data[start : start + size]


async def read(data: bytes, size: int = 1 << 20) -> list[Event]:
    return [event async for event in read_events(chunks(data, size))]


@pytest.mark.parametrize("size", [1, 3, 1000])
@pytest.mark.parametrize("wire", [WIRE, WIRE.replace(b"\n", b"\r\n")])
async def test_event_is_whole_in_any_cut(wire: bytes, size: int) -> None:
    [event] = await read(wire, size)
    assert (event.number, event.kind, event.data) == (7, "step.progress", {"text": "a\u2028b"})


async def test_event_that_was_cut_off_is_left_out() -> None:
    assert len(await read(WIRE + WIRE[:-1])) == 1


@pytest.mark.parametrize("wire", [b"data: hello\n\n", b'data: {"number": "x"}\n\n'])
async def test_stream_of_something_else_is_told(wire: bytes) -> None:
    with pytest.raises(StreamBroken):
        await read(wire)


async def endless() -> AsyncIterator[bytes]:
    while True:
        yield b"x" * 2**20


async def test_line_without_an_end_is_given_up() -> None:
    with pytest.raises(StreamBroken):
        [event async for event in read_events(endless())]
