"""An agent whose skills do what a test needs, and the plainest client there can be for it."""

import json
from collections import defaultdict
from collections.abc import AsyncGenerator
from itertools import count
from typing import Any
from uuid import uuid4

import httpx
from fastapi import FastAPI
from pydantic import HttpUrl

from a2a import Agent, Artifact, AuthRequired, InputRequired, Part, Progress, Rejected, Request, SkillFailed
from a2a.settings import AgentSettings
from tests.support.waiting import Gate

SECRET = "/srv/private/key-4711"  # noqa: S105 what must not leak, whatever it is
MAX_BODY_BYTES = 12_000_000
PNG = b"\x89PNG\xff\x00"
OUTPUTS: dict[str, Any] = {
    "text": "plain",
    "nothing": None,
    "part": Part.from_bytes(PNG, "image/png", filename="a.png"),
    "artifact": Artifact(artifact_id="own", name="report", parts=[Part.from_text("# R")]),
    "dict": {"a": None, "b": [1, 2.5, "ü"]},
    "list": [Part.from_text("one"), Part.from_data([1])],
    "unsendable": {"a": object()},
    "no unicode": "\ud800",
    "number": [7],
}


class ScriptedAgent:
    """Skills: echo, ask, authorise, reject, fail, crash, output, report (a stream) and wait.

    `wait` opens `started[text]`, goes on when `go[text]` is opened, and then opens `finished[text]`.
    """

    def __init__(self) -> None:
        self.started: defaultdict[str, Gate] = defaultdict(Gate)
        self.go: defaultdict[str, Gate] = defaultdict(Gate)
        self.finished: defaultdict[str, Gate] = defaultdict(Gate)
        self.runs = 0
        self.agent = Agent(
            name="Scripted", description="Does what a test needs.", version="1.2.3", url="http://127.0.0.1:9"
        )
        for function in (
            self.echo, self.ask, self.authorise, self.reject, self.fail, self.crash,
            self.output, self.report, self.wait,
        ):  # fmt: skip
            name = function.__name__
            self.agent.skill(
                id=name,
                description=f"The skill {name}.",
                tags=[name],
                examples=[f"please {name}"],
                input_modes=["*/*"],
            )(function)

    def app(self, *, url: str = "http://127.0.0.1:9", max_running: int = 32, grace_s: float = 5.0) -> FastAPI:
        settings = AgentSettings(
            coordinator_url=None,
            agent_url=HttpUrl(url),
            agent_max_body_bytes=MAX_BODY_BYTES,
            agent_max_running=max_running,
            agent_grace_s=grace_s,
        )
        return self.agent.app(settings)

    async def echo(self, request: Request) -> str:
        self.runs += 1
        return request.text

    async def ask(self, request: Request) -> str:
        if not request.history:
            raise InputRequired("Which city?")
        said = [message.spoken_text() for message in request.history]
        return f"{said} {request.text}"

    async def authorise(self, request: Request) -> str:
        raise AuthRequired("Sign in first.")

    async def reject(self, request: Request) -> str:
        raise Rejected("Not on Sundays; try tomorrow.")

    async def fail(self, request: Request) -> str:
        raise SkillFailed("The source is down; try later.", retryable=True)

    async def crash(self, request: Request) -> str:
        raise RuntimeError(f"cannot open {SECRET}")

    async def output(self, request: Request) -> Any:
        return OUTPUTS[request.text]

    async def report(self, request: Request) -> AsyncGenerator[Any]:
        yield Progress("reading")
        yield "one "
        yield "two"
        yield Part.from_data({"rows": 2})
        yield Artifact(artifact_id="chart", name="chart", parts=[Part.from_text("<svg/>")])

    async def wait(self, request: Request) -> str:
        text = request.text
        self.started[text].open()
        await self.go[text].wait()
        self.finished[text].open()
        return "waited"


class Rpc:
    """JSON-RPC over HTTP, as anybody would write it from the specification."""

    def __init__(self, http: httpx.AsyncClient, url: str) -> None:
        self.http = http
        self.url = url
        self._numbers = count(1)

    async def post(self, body: bytes | dict[str, Any], **headers: str) -> httpx.Response:
        """`headers` by their names with underscores; an empty value leaves the usual one out."""
        sent = {"Content-Type": "application/json", "A2A-Version": "1.0"}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        return await self.http.post(
            self.url, content=content, headers={name: value for name, value in sent.items() if value}
        )

    def envelope(self, method: str, params: Any) -> dict[str, Any]:
        return {"jsonrpc": "2.0", "id": next(self._numbers), "method": method, "params": params}

    async def call(self, method: str, params: Any, **headers: str) -> dict[str, Any]:
        """The whole response, its envelope checked."""
        sent = self.envelope(method, params)
        answer = await self.post(sent, **headers)
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-type"] == "application/json"
        body: dict[str, Any] = answer.json()
        assert (body["jsonrpc"], body["id"]) == ("2.0", sent["id"])
        return body

    async def result(self, method: str, params: Any) -> dict[str, Any]:
        body = await self.call(method, params)
        assert "error" not in body, body
        result: dict[str, Any] = body["result"]
        return result

    async def error(self, method: str, params: Any) -> dict[str, Any]:
        body = await self.call(method, params)
        assert "result" not in body, body
        error: dict[str, Any] = body["error"]
        return error

    async def send(self, text: str, skill: str = "echo", **more: Any) -> dict[str, Any]:
        """The task of a SendMessage."""
        task: dict[str, Any] = (await self.result("SendMessage", self.message(text, skill, **more)))["task"]
        return task

    def message(
        self, text: str, skill: str | None = "echo", *, configuration: Any = None, **fields: Any
    ) -> dict[str, Any]:
        """The params of a send; `fields` are more of the message's own."""
        message = {
            "messageId": str(uuid4()),
            "role": "ROLE_USER",
            "parts": [{"text": text}],
            **({"metadata": {"skillId": skill}} if skill else {}),
            **fields,
        }
        return {"message": message, **({"configuration": configuration} if configuration else {})}

    async def stream(self, text: str, skill: str, **fields: Any) -> list[dict[str, Any]]:
        """The results of a stream, each envelope checked."""
        sent = self.envelope("SendStreamingMessage", self.message(text, skill, **fields))
        headers = {"A2A-Version": "1.0", "Accept": "text/event-stream"}
        async with self.http.stream("POST", self.url, json=sent, headers=headers) as answer:
            assert answer.headers["content-type"].startswith("text/event-stream")
            lines = [line async for line in answer.aiter_lines() if line]
        bodies = [json.loads(line.removeprefix("data: ")) for line in lines]
        assert {(body["jsonrpc"], body["id"]) for body in bodies} == {("2.0", sent["id"])}
        return [body["result"] for body in bodies]
