"""How many skills run at once, how many streams and tasks there may be, and how a server ends."""

import asyncio

import httpx

from tests.support.bindings import state
from tests.support.scripted_agent import Rpc, ScriptedAgent
from tests.support.server import serving


async def test_no_more_skills_run_at_once_than_were_set(http: httpx.AsyncClient) -> None:
    script = ScriptedAgent()
    with serving(script.app(max_running=1)) as served:
        rpc = Rpc(http, served.url)
        first = await rpc.send("first", "wait", configuration={"returnImmediately": True})
        await script.started["first"].wait()
        second = await rpc.send("second", "wait", configuration={"returnImmediately": True})
        waiting = await rpc.result("GetTask", {"id": second["id"]})
        for text in ("first", "second"):
            script.go[text].open()
        await script.finished["second"].wait()

    assert (state(first), state(waiting)) == ("WORKING", "SUBMITTED")


async def test_a_running_skill_may_finish_while_the_server_stops(http: httpx.AsyncClient) -> None:
    script = ScriptedAgent()
    with serving(script.app(grace_s=10)) as served:
        await Rpc(http, served.url).send("last", "wait", configuration={"returnImmediately": True})
        await script.started["last"].wait()
        stopping = asyncio.create_task(asyncio.to_thread(served.stop))
        script.go["last"].open()
        await stopping

    assert script.finished["last"].is_open


async def test_a_skill_that_outlasts_the_grace_is_canceled(http: httpx.AsyncClient) -> None:
    script = ScriptedAgent()
    with serving(script.app(grace_s=0.05)) as served:
        await Rpc(http, served.url).send("for ever", "wait", configuration={"returnImmediately": True})
        await script.started["for ever"].wait()
        async with asyncio.timeout(5):
            await asyncio.to_thread(served.stop)

    assert not script.finished["for ever"].is_open
