"""Server-sent events as the client reads them."""

from collections.abc import AsyncIterator

import pytest

from a2a.errors import InvalidAgentResponse
from a2a.sse import event_data


async def chunks_of(*chunks: bytes) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


async def events_of(*chunks: bytes, max_event_bytes: int = 1_000) -> list[bytes]:
    return [data async for data in event_data(chunks_of(*chunks), max_event_bytes=max_event_bytes)]


@pytest.mark.parametrize(
    ("stream", "events"),
    [
        (b"data: a\n\ndata: b\n\n", [b"a", b"b"]),
        (b"data: a\r\n\r\ndata: b\r\n\r\n", [b"a", b"b"]),
        (b"data:a\n\ndata:  b\n\n", [b"a", b" b"]),
        (b'data: {\ndata:   "a": 1\ndata: }\n\n', [b'{\n  "a": 1\n}']),
        (b": ping\n\nevent: x\nid: 7\nretry: 9\ndata: a\n\n", [b"a"]),
        (b"\n\n\n: ping\n\n", []),
        (b"data: a\n\ndata: unfinished\n", [b"a"]),
        (b"data: a\n\ndata: cut in the mid", [b"a"]),
        ("data: ü\n\n".encode(), ["ü".encode()]),
        (b"", []),
    ],
    ids=[
        "LF", "CRLF", "one space is dropped", "lines are joined", "other fields", "comments only",
        "unfinished event", "unfinished line", "UTF-8", "nothing",
    ],
)  # fmt: skip
async def test_a_stream_is_read_as_its_events(stream: bytes, events: list[bytes]) -> None:
    assert await events_of(stream) == events
    assert await events_of(*(stream[i : i + 1] for i in range(len(stream)))) == events


async def test_an_event_over_the_cap_is_refused_before_it_has_ended() -> None:
    with pytest.raises(InvalidAgentResponse, match="too large"):
        await events_of(b"data: " + b"x" * 101, b"never seen", max_event_bytes=100)


async def test_an_event_of_many_lines_counts_as_one() -> None:
    with pytest.raises(InvalidAgentResponse, match="too large"):
        await events_of(b"data: 123456789\n" * 20 + b"\n", max_event_bytes=100)


async def test_the_cap_is_for_one_event_and_not_for_what_arrives_together() -> None:
    stream = (b"data: " + b"x" * 80 + b"\n\n") * 5

    assert await events_of(stream, max_event_bytes=100) == [b"x" * 80] * 5


async def test_a_long_life_of_comments_is_no_large_event() -> None:
    pings = [b": ping\n\n"] * 1_000

    assert await events_of(*pings, b"data: a\n\n", max_event_bytes=100) == [b"a"]
