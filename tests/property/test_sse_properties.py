"""However the bytes of a stream are cut on their way, the events are the same."""

import asyncio
from collections.abc import AsyncIterator

from hypothesis import given
from hypothesis import strategies as st

from a2a.errors import InvalidAgentResponse
from a2a.sse import event_data

CAP = 40
LINE = st.one_of(
    st.just(b""),
    st.sampled_from([b"data", b"data:", b"data: ", b": ping", b"event: x", b"id", b"\xff"]),
    st.binary(max_size=30).map(lambda raw: b"data: " + raw.replace(b"\n", b"").replace(b"\r", b"")),
)
STREAM = st.builds(
    lambda lines, end: end.join(lines) + end * 2,
    st.lists(LINE, max_size=20),
    st.sampled_from([b"\n", b"\r\n"]),
)


async def _read(chunks: list[bytes]) -> list[bytes | str]:
    async def arriving() -> AsyncIterator[bytes]:
        for chunk in chunks:
            yield chunk

    events: list[bytes | str] = []
    try:
        async for data in event_data(arriving(), max_event_bytes=CAP):
            events.append(data)  # noqa: PERF401 what came before the error counts
    except InvalidAgentResponse:
        events.append("too large")
    return events


def _cut(stream: bytes, places: list[int]) -> list[bytes]:
    ends = sorted({min(place, len(stream)) for place in places} | {len(stream)})
    return [stream[start:end] for start, end in zip([0, *ends], ends, strict=False)]


@given(stream=STREAM, places=st.lists(st.integers(0, 500), max_size=30))
def test_any_cut_gives_the_same_events(stream: bytes, places: list[int]) -> None:
    whole = asyncio.run(_read([stream]))

    assert asyncio.run(_read(_cut(stream, places))) == whole


@given(contents=st.lists(st.binary(min_size=1, max_size=30), max_size=8), size=st.integers(1, 50))
def test_what_was_framed_is_what_is_read(contents: list[bytes], size: int) -> None:
    payloads = [content.hex().encode()[: CAP - len(b"data: ")] for content in contents]
    stream = b"".join(b"data: " + payload + b"\n\n" for payload in payloads)
    chunks = [stream[start : start + size] for start in range(0, len(stream), size)]

    assert asyncio.run(_read(chunks)) == payloads
