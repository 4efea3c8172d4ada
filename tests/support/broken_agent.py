"""An agent with a fine card that is broken in one way: AGENT_URL says where it is, BROKEN_WAY how.

Made of bare HTTP, for no agent made with our package could be broken so. In all else it is good: it answers
with a task that completes, or stays at work where the caller does not wait.
"""

import asyncio
import json
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from itertools import count
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.responses import HTMLResponse, StreamingResponse

Json = dict[str, Any]
TASK_NOT_FOUND, INVALID_PARAMS, METHOD_NOT_FOUND, INTERNAL_ERROR = -32001, -32602, -32601, -32603
STREAM = "SendStreamingMessage"
SENDS = ("SendMessage", STREAM)
HUGE_BYTES = 70 * 2**20
RESULT: Json = {"artifacts": [{"artifactId": "a", "parts": [{"text": "done"}]}]}
# What a way adds to the card.
CAPABILITIES = {
    "stream_is_one_answer": {"streaming": True},
    "stream_hangs": {"streaming": True},
    "stream_breaks_off": {"streaming": True},
    "only_its_stream_works": {"streaming": True},
    "never_notifies": {"pushNotifications": True},
    "refuses_notifications": {"pushNotifications": True},
}

way = os.environ.get("BROKEN_WAY", "")
url = os.environ.get("AGENT_URL", "http://127.0.0.1:1")
app = FastAPI()
tasks: dict[str, Json] = {}
numbers = count(1)


class Refused(Exception):
    def __init__(self, code: int) -> None:
        self.code = code


@app.get("/health")
async def health() -> Json:
    return {}


@app.get("/.well-known/agent-card.json")
async def card() -> Json:
    interfaces = [{"url": url, "protocolBinding": "JSONRPC", "protocolVersion": "1.0"}]
    if way == "declares_0_3":
        interfaces[0]["protocolVersion"] = "0.3"
    if way == "rest_is_missing":
        interfaces.append({"url": url, "protocolBinding": "HTTP+JSON", "protocolVersion": "1.0"})
    tags = ["write"] if way.startswith("writes_") else ["do"]
    return {
        "name": "Broken Agent",
        "description": way,
        "version": "1",
        "supportedInterfaces": interfaces,
        "capabilities": CAPABILITIES.get(way, {}),
        "defaultInputModes": ["text/plain"],
        "defaultOutputModes": ["text/plain"],
        "skills": [
            {"id": "do", "name": "Do", "description": "Do it", "tags": tags, "examples": ["do it"]},
            {"id": "redo", "name": "Redo", "description": "Do it again", "tags": tags},
        ],
    }


@app.post("/", response_model=None)
async def rpc(request: Request) -> Response:
    call = json.loads(await request.body())
    method, params = call["method"], call["params"]
    broken = BROKEN_ANSWERS.get(way)
    answer = await broken(call) if broken is not None else None
    if answer is not None:
        return answer
    try:
        result = answer_to(method, params)
    except Refused as refused:
        return envelope(call["id"], error={"code": refused.code, "message": "no"})
    return envelope(call["id"], result=result)


def answer_to(method: str, params: Json) -> Json:
    if method == "SendMessage":
        return {"task": begun(params)}
    if method == "ListTasks" and way != "has_no_list":
        return {"tasks": list(tasks.values()), "nextPageToken": "", "pageSize": 50, "totalSize": len(tasks)}
    if method not in ("GetTask", "CancelTask"):
        raise Refused(METHOD_NOT_FOUND)
    task = tasks.get(params["id"])
    if task is None or way == "task_is_lost":
        raise Refused(TASK_NOT_FOUND)
    if method == "CancelTask" and way != "goes_on_when_canceled":
        task["status"] = {"state": "TASK_STATE_CANCELED"}
    return task | {"id": "another"} if way == "gets_another_task" else task


def begun(params: Json) -> Json:
    message, configuration = params["message"], params.get("configuration", {})
    if not message["parts"] and way != "takes_everything":
        raise Refused(INTERNAL_ERROR if way == "writes_and_crashes" else INVALID_PARAMS)
    if way == "refuses_notifications" and "taskPushNotificationConfig" in configuration:
        raise Refused(INVALID_PARAMS)
    return task(state_of(is_waited_for=not configuration.get("returnImmediately", False)))


def state_of(*, is_waited_for: bool) -> str:
    if way in ("every_task_fails", "hangs_where_it_is_waited_for_and_fails"):
        return "FAILED"
    if way == "task_is_lost":
        return "WORKING"
    return "COMPLETED" if is_waited_for else "WORKING"


def task(state: str) -> Json:
    made: Json = {
        "id": f"t-{next(numbers)}",
        "contextId": "c",
        "status": {"state": f"TASK_STATE_{state}"},
        **(RESULT if state == "COMPLETED" else {}),
    }
    if state == "FAILED":
        words = {"messageId": "m", "role": "ROLE_AGENT", "parts": [{"text": "The API key is not set."}]}
        made["status"]["message"] = words
    tasks[made["id"]] = made
    return made


def envelope(call_id: Any, **said: Any) -> Response:
    return Response(json.dumps({"jsonrpc": "2.0", "id": call_id, **said}), media_type="application/json")


def event(call_id: Any, result: Json) -> str:
    return f"data: {json.dumps({'jsonrpc': '2.0', 'id': call_id, 'result': result})}\n\n"


def sse(events: AsyncIterator[str]) -> Response:
    return StreamingResponse(events, media_type="text/event-stream")


async def is_500(call: Json) -> Response | None:
    return Response("Internal Server Error", status_code=500) if call["method"] in SENDS else None


async def first_skill_is_500(call: Json) -> Response | None:
    skill_id = call["params"].get("message", {}).get("metadata", {}).get("skillId")
    return await is_500(call) if skill_id == "do" else None


async def hangs(call: Json) -> Response | None:
    if call["method"] in SENDS:
        await asyncio.Event().wait()
    return None


async def hangs_where_it_is_waited_for(call: Json) -> Response | None:
    is_waited_for = not call["params"].get("configuration", {}).get("returnImmediately", False)
    return await hangs(call) if is_waited_for else None


async def is_html(_call: Json) -> Response | None:
    return HTMLResponse("<!doctype html><title>Welcome</title>")


async def needs_credentials(_call: Json) -> Response | None:
    return Response("who are you?", status_code=401, headers={"WWW-Authenticate": "Bearer"})


async def is_huge(call: Json) -> Response | None:
    async def body() -> AsyncIterator[bytes]:
        for _ in range(HUGE_BYTES // 2**20):
            yield b" " * 2**20

    is_send = call["method"] in SENDS
    return StreamingResponse(body(), media_type="application/json") if is_send else None


async def drips(_call: Json) -> Response | None:
    async def body() -> AsyncIterator[bytes]:
        while True:
            yield b" "
            await asyncio.sleep(0.02)

    return StreamingResponse(body(), media_type="application/json")


async def streams_one_answer(call: Json) -> Response | None:
    if call["method"] != STREAM:
        return None
    return envelope(call["id"], result={"task": task("COMPLETED")})


async def stream_hangs(call: Json) -> Response | None:
    async def events() -> AsyncIterator[str]:
        made = task("WORKING")
        yield event(call["id"], {"task": made})
        made["status"] = {"state": "TASK_STATE_COMPLETED"}
        await asyncio.Event().wait()

    return sse(events()) if call["method"] == STREAM else None


async def stream_breaks_off(call: Json) -> Response | None:
    async def events() -> AsyncIterator[str]:
        yield event(call["id"], {"task": task("WORKING")})

    return sse(events()) if call["method"] == STREAM else None


async def only_stream_works(call: Json) -> Response | None:
    async def events() -> AsyncIterator[str]:
        yield event(call["id"], {"task": task("COMPLETED")})

    return sse(events()) if call["method"] == STREAM else await hangs(call)


BROKEN_ANSWERS: dict[str, Callable[[Json], Awaitable[Response | None]]] = {
    "send_is_500": is_500,
    "first_skill_is_500": first_skill_is_500,
    "send_hangs": hangs,
    "hangs_where_it_is_waited_for": hangs_where_it_is_waited_for,
    "hangs_where_it_is_waited_for_and_fails": hangs_where_it_is_waited_for,
    "answers_html": is_html,
    "needs_credentials": needs_credentials,
    "writes_and_needs_credentials": needs_credentials,
    "answer_is_huge": is_huge,
    "answers_drip": drips,
    "stream_is_one_answer": streams_one_answer,
    "stream_hangs": stream_hangs,
    "stream_breaks_off": stream_breaks_off,
    "only_its_stream_works": only_stream_works,
}
