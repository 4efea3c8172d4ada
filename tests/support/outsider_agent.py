"""An agent as somebody who has never seen this project would write it: Starlette, httpx, and A2A 1.0 by hand.

It registers itself by `urn:parley:registration:v1` with plain HTTP: AGENT_URL says where it is,
COORDINATOR_URL where the coordinator is, COORDINATOR_JOIN_TOKEN what it shows there. Tests tell it at POST
/control how it does: {"fails": true} answers every send with HTTP 500, {"holds": true} keeps it at work.
"""

import asyncio
import contextlib
import os
import uuid
from collections.abc import AsyncIterator
from typing import Any

import httpx
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

EXTENSION = "urn:parley:registration:v1"
TASK_NOT_FOUND, METHOD_NOT_FOUND, INVALID_PARAMS = -32001, -32601, -32602

url = os.environ.get("AGENT_URL", "http://127.0.0.1:8010")
coordinator = os.environ.get("COORDINATOR_URL", "http://127.0.0.1:8000")
join_token = os.environ.get("COORDINATOR_JOIN_TOKEN")

tasks: dict[str, dict[str, Any]] = {}
how = {"fails": False, "holds": False}


async def card(_request: Request) -> Response:
    skill = {
        "id": "translate-pirate",
        "name": "Pirate translation",
        "description": "Translate a sentence into the language of pirates",
        "tags": ["translate", "pirate"],
        "examples": ["translate into pirate: good morning, my friend"],
    }
    return JSONResponse(
        {
            "name": "Pirate",
            "description": "Speaks as pirates do.",
            "version": "0.1.0",
            "supportedInterfaces": [{"url": url, "protocolBinding": "JSONRPC", "protocolVersion": "1.0"}],
            "capabilities": {},
            "defaultInputModes": ["text/plain"],
            "defaultOutputModes": ["text/plain"],
            "skills": [skill],
        }
    )


async def rpc(request: Request) -> Response:
    call = await request.json()
    method, params = call["method"], call["params"]
    if how["fails"] and method == "SendMessage":
        return Response("out of rum", status_code=500)
    if method == "SendMessage" and not params["message"].get("parts"):
        answer: dict[str, Any] = {"error": {"code": INVALID_PARAMS, "message": "a message needs parts"}}
    elif method == "SendMessage":
        answer = {"result": {"task": begin(params["message"])}}
    elif method not in ("GetTask", "CancelTask"):
        answer = {"error": {"code": METHOD_NOT_FOUND, "message": "no such method"}}
    elif params["id"] not in tasks:
        answer = {"error": {"code": TASK_NOT_FOUND, "message": "no such task"}}
    else:
        task = tasks[params["id"]]
        if method == "CancelTask" and "artifacts" not in task:
            task["status"] = {"state": "TASK_STATE_CANCELED"}
        answer = {"result": task}
    return JSONResponse({"jsonrpc": "2.0", "id": call["id"], **answer})


def begin(message: dict[str, Any]) -> dict[str, Any]:
    task: dict[str, Any] = {
        "id": str(uuid.uuid4()),
        "contextId": message.get("contextId") or str(uuid.uuid4()),
        "status": {"state": "TASK_STATE_WORKING"},
        "said": " ".join(part.get("text", "") for part in message["parts"]),
    }
    tasks[task["id"]] = task
    if not how["holds"]:
        finish(task)
    return task


def finish(task: dict[str, Any]) -> None:
    said = task["said"].rpartition(":")[2].strip()
    task["artifacts"] = [{"artifactId": "translation", "parts": [{"text": f"Arr! {said}, matey!"}]}]
    task["status"] = {"state": "TASK_STATE_COMPLETED"}


async def control(request: Request) -> Response:
    how.update(await request.json())
    if not how["holds"]:
        for task in tasks.values():
            if task["status"]["state"] == "TASK_STATE_WORKING":
                finish(task)
    return JSONResponse(how)


async def ask(http: httpx.AsyncClient, operation: dict[str, Any]) -> dict[str, Any]:
    """One operation of the extension; the coordinator's answer. Raises RuntimeError where it refuses."""
    data = operation | ({"joinToken": join_token} if join_token else {})
    message = {"messageId": str(uuid.uuid4()), "role": "ROLE_USER", "parts": [{"data": data}]}
    body = {"jsonrpc": "2.0", "id": 1, "method": "SendMessage", "params": {"message": message}}
    headers = {"A2A-Version": "1.0", "A2A-Extensions": EXTENSION}
    answer = (await http.post(coordinator, json=body, headers=headers)).json()
    if "message" not in answer.get("result", {}):
        raise RuntimeError(f"refused: {answer}")
    said: dict[str, Any] = answer["result"]["message"]["parts"][0]["data"]
    return said


async def stay_registered(http: httpx.AsyncClient) -> None:
    while True:
        try:
            me = await ask(http, {"operation": "register", "agentCardUrl": url})
            how["agent_id"] = me["agentId"]
            beat = {"operation": "heartbeat", "agentId": me["agentId"], "load": {"running": 0, "capacity": 4}}
            while (await ask(http, beat))["known"]:  # noqa: ASYNC110 a heartbeat, no waiting for a state
                await asyncio.sleep(me["heartbeatIntervalS"])
        except (httpx.HTTPError, RuntimeError):
            await asyncio.sleep(1)


@contextlib.asynccontextmanager
async def lifespan(_app: Starlette) -> AsyncIterator[None]:
    async with httpx.AsyncClient(trust_env=False, timeout=10) as http:
        staying = asyncio.create_task(stay_registered(http), name="stay registered")
        yield
        staying.cancel()
        if "agent_id" in how:
            await ask(http, {"operation": "deregister", "agentId": how["agent_id"]})


app = Starlette(
    lifespan=lifespan,
    routes=[
        Route("/.well-known/agent-card.json", card),
        Route("/", rpc, methods=["POST"]),
        Route("/control", control, methods=["POST"]),
    ],
)
