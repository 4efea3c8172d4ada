"""What is passed on of a process's output."""

import asyncio

from coordinator.processes import MAX_LINE_BYTES, READ_BYTES, pass_on


async def passed_on(output: bytes) -> list[str]:
    reader, said = asyncio.StreamReader(), list[str]()
    reader.feed_data(output)
    reader.feed_eof()
    await pass_on(reader, said.append)
    return said


async def test_lines_come_one_by_one_with_the_last_that_has_no_end() -> None:
    assert await passed_on(b"one\n\ntwo\nlast") == ["one", "", "two", "last"]


async def test_nothing_of_a_long_line_is_lost() -> None:
    line = b"x" * (2 * READ_BYTES + 10)
    said = await passed_on(line + b"\nnext\n")
    assert "".join(said[:-1]) == line.decode()
    assert said[-1] == "next"


async def test_a_complete_long_line_comes_in_pieces() -> None:
    assert [len(line) for line in await passed_on(b"x" * (MAX_LINE_BYTES + 1) + b"\n")] == [MAX_LINE_BYTES, 1]


async def test_who_floods_is_passed_on_whole() -> None:
    assert await passed_on(b"x\n" * 1_000) == ["x"] * 1_000
