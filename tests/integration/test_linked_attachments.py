"""Files that come as links, fetched from real servers on loopback."""

import asyncio
import gzip
import time
from dataclasses import replace

import pytest

from a2a import Part
from a2a.addresses import AddressPolicy
from a2a.attachments import AT_ONCE, AttachmentUnreadable, LinkLimits, fetch_links
from tests.support.keeping_server import Peer
from tests.support.raw_server import Answer, answering, dribbles, response, says, says_and_hangs
from tests.support.waiting import eventually

LOCAL = AddressPolicy(allow_loopback=True, allow_private=False)
LIMITS = LinkLimits(max_bytes=1_000, max_total_bytes=2_500, timeout_s=5)
CSV = b"a,b\n1,2\n"


async def fetched(part: Part, *, policy: AddressPolicy = LOCAL, limits: LinkLimits = LIMITS) -> Part:
    [found] = await fetch_links([part], policy, limits)
    assert isinstance(found, Part), found
    return found


async def reason(url: str, *, policy: AddressPolicy = LOCAL, limits: LinkLimits = LIMITS) -> tuple[str, bool]:
    """Why the link gave no file, and whether it may later."""
    link = Part(url=url, filename="x.csv")
    [found] = await fetch_links([link], policy, limits)
    assert isinstance(found, AttachmentUnreadable), found
    assert found.part == link
    return found.reason, found.retryable


async def test_a_link_becomes_the_file_with_its_name_and_origin() -> None:
    async with answering(says(response(CSV, content_type="text/plain"))) as url:
        link = Part(url=url, filename="visits.csv", media_type="text/csv", metadata={"step": 1})
        assert await fetched(link) == Part(
            raw=CSV, filename="visits.csv", media_type="text/csv", metadata={"step": 1}
        )


async def test_a_link_without_a_media_type_gets_the_one_of_the_answer() -> None:
    async with answering(says(response(CSV, content_type="Text/CSV; charset=utf-8"))) as url:
        assert (await fetched(Part(url=url))).media_type == "text/csv"


async def test_what_is_no_link_stays_and_the_order_too() -> None:
    said, file, data = Part.from_text("Analyse"), Part.from_bytes(b"1", "text/csv"), Part.from_data({"a": 1})
    async with answering(says(response(CSV))) as url:
        gone = Part(url="http://127.0.0.1:1/")
        found = await fetch_links([said, Part(url=url), gone, file, data], LOCAL, LIMITS)
    assert [found[0], *found[3:]] == [said, file, data]
    assert isinstance(found[1], Part)
    assert isinstance(found[2], AttachmentUnreadable)


async def test_a_file_of_just_the_size_is_taken_and_a_larger_one_is_not() -> None:
    async with answering(says(response(b"x" * 1_000))) as url:
        assert len((await fetched(Part(url=url))).content()) == 1_000
    async with answering(says(response(b"x" * 1_001))) as url:
        assert await reason(url) == ("it is over 1,000 bytes", False)


async def test_reading_stops_at_the_size_whatever_length_was_told() -> None:
    endless = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"400\r\n" + b"x" * 1024 + b"\r\n"
    async with answering(says_and_hangs(endless)) as url:
        assert await reason(url) == ("it is over 1,000 bytes", False)


async def test_a_file_counts_by_what_it_unpacks_to() -> None:
    packed = response(gzip.compress(b"x" * 100_000), headers="Content-Encoding: gzip\r\n")
    async with answering(says(packed)) as url:
        assert await reason(url) == ("it is over 1,000 bytes", False)


async def test_all_files_together_have_a_limit_too() -> None:
    async with answering(says(response(b"x" * 1_000))) as url:
        found = await fetch_links([Part(url=url)] * 4, LOCAL, LIMITS)
    lost = [item.reason for item in found if isinstance(item, AttachmentUnreadable)]
    assert lost == ["the linked files are over 2,500 bytes together"] * 2


@pytest.mark.parametrize(
    ("status", "retryable"), [("404 Not Found", False), ("503 Busy", True), ("304 Not Modified", False)]
)
async def test_an_http_error_is_named_with_its_status(status: str, retryable: bool) -> None:
    async with answering(says(response(b"", status=status))) as url:
        assert await reason(url) == (f"its link answered with status {status[:3]}", retryable)


@pytest.mark.parametrize(
    "target", ["http://10.0.0.7/x", "http://169.254.169.254/latest", "http://[fd00::1]/"]
)
async def test_a_redirect_to_a_refused_address_is_not_followed(target: str) -> None:
    moved = response(b"", status="302 Found", headers=f"Location: {target}\r\n")
    async with answering(says(moved)) as url:
        said, retryable = await reason(url)
    assert (said, retryable) == ("its link leads to an address that this agent may not connect to", False)


async def test_loopback_is_refused_where_the_policy_says_so() -> None:
    peer = Peer(response(CSV))
    async with peer.url() as url:
        said, _ = await reason(url, policy=replace(LOCAL, allow_loopback=False))
    assert said == "its link leads to an address that this agent may not connect to"
    assert peer.requests == []


async def test_a_redirect_that_may_be_followed_leads_to_the_file() -> None:
    async with answering(says(response(CSV))) as there:
        moved = response(b"", status="302 Found", headers=f"Location: {there}\r\n")
        async with answering(says(moved)) as url:
            assert (await fetched(Part(url=url))).content() == CSV


async def test_a_redirect_in_a_circle_ends() -> None:
    async with answering(says(response(b"", status="302 Found", headers="Location: /\r\n"))) as url:
        assert await reason(url) == ("its link redirects too often", False)


def drips(every_s: float = 0.02) -> Answer:
    """A body that always comes and never ends."""

    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
        while not writer.is_closing():
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(every_s)

    return answer


@pytest.mark.parametrize("slow", [drips(), dribbles(), says_and_hangs()], ids=["body", "head", "silence"])
async def test_a_server_that_takes_its_time_does_not_take_ours(slow: Answer) -> None:
    started = time.monotonic()
    async with answering(slow) as url:
        said = await reason(url, limits=replace(LIMITS, timeout_s=0.3))
    assert said == ("its link gave no whole file within 0.3 s", True)
    assert time.monotonic() - started < 3


@pytest.mark.parametrize(
    "url",
    ["file:///etc/passwd", "ftp://127.0.0.1/x", "data:text/csv,a", "x.csv", "http://", "http://[::1",
     "http://xn--/", "http://127.0.0.1:99999/"],
)  # fmt: skip
async def test_what_is_no_address_of_http_is_not_tried(url: str) -> None:
    assert await reason(url) == ("its link is no address of the form http://... or https://...", False)


@pytest.mark.parametrize(
    "broken",
    [b"", b"SSH-2.0\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\na"],
    ids=["nothing", "no HTTP", "cut"],
)
async def test_a_connection_that_breaks_may_hold_another_time(broken: bytes) -> None:
    async with answering(says(broken)) as url:
        assert await reason(url) == ("its link cannot be reached", True)


async def test_many_links_are_fetched_at_the_same_time_but_not_all_at_once() -> None:
    open_now = most = 0
    go_on = asyncio.Event()

    async def answer(writer: asyncio.StreamWriter) -> None:
        nonlocal open_now, most
        open_now += 1
        most = max(most, open_now)
        await go_on.wait()
        open_now -= 1
        await says(response(CSV))(writer)

    async with answering(answer) as url:
        links = [Part(url=f"{url}/{number}") for number in range(3 * AT_ONCE)]
        fetching = asyncio.create_task(fetch_links(links, LOCAL, LIMITS))
        await eventually(lambda: open_now == AT_ONCE)
        go_on.set()
        found = await fetching
    assert most == AT_ONCE
    assert [part.content() for part in found if isinstance(part, Part)] == [CSV] * len(links)
