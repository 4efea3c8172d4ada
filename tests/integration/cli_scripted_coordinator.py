"""A coordinator for tests of the command line: real HTTP on loopback, answers and event streams by script."""

import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

CREATED = "2026-01-02T03:04:05.000Z"
TASK_ID = "task_1"
TASK = f"/api/tasks/{TASK_ID}"
ACCEPTED = {
    "task_id": TASK_ID,
    "session_id": "session_1",
    "status": "pending",
    "plan": None,
    "created_at": CREATED,
}


@dataclass(frozen=True, slots=True)
class Seen:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Answer:
    body: bytes
    status: int = 200
    content_type: str = "application/json"
    # Set once the answer has gone out: what a stream waits for.
    releases: threading.Event | None = None


def event(number: int, kind: str, **data: Any) -> dict[str, Any]:
    return {
        "number": number,
        "kind": kind,
        "data": data,
        "created_at": f"2026-01-02T03:04:{5 + number:02}.000Z",
    }


def ended_task(status: str = "completed", **fields: Any) -> dict[str, Any]:
    """A TaskOut with nothing but what must be there, and `fields`."""
    task: dict[str, Any] = {
        "id": TASK_ID,
        "session_id": "session_1",
        "user_id": None,
        "description": "Say hello",
        "status": status,
        "waiting_for": None,
        "error": None,
        "created_at": CREATED,
        "updated_at": CREATED,
        "deadline_at": "2026-01-02T03:14:05.000Z",
        "completed_at": "2026-01-02T03:04:09.000Z",
        "priority": 0,
        "retry_of": None,
        "webhook": None,
        "plan": None,
        "steps": [],
        "inputs": [],
        "result": {"text": "Hello there.", "sources": [], "artifacts": []} if status == "completed" else None,
        "gaps": [],
    }
    return task | fields


@dataclass(slots=True)
class ScriptedCoordinator:
    """Answers by (method, path without query); each connection to a stream plays the next of its scripts: a
    dict is sent as an event, a threading.Event is waited for, and at its end the connection is cut."""

    url: str = ""
    answers: dict[tuple[str, str], Answer] = field(default_factory=dict)
    # Requests whose connection is cut instead of answered, once each.
    cut_once: set[tuple[str, str]] = field(default_factory=set)
    streams: list[Sequence[dict[str, Any] | threading.Event]] = field(default_factory=list)
    seen: list[Seen] = field(default_factory=list)
    queries: list[str] = field(default_factory=list)
    stopped: threading.Event = field(default_factory=threading.Event)

    def answer(
        self, method: str, path: str, body: Any, status: int = 200, *, releases: threading.Event | None = None
    ) -> None:
        self.answers[method, path] = Answer(json.dumps(body).encode(), status, releases=releases)

    def accept_task(self, task: dict[str, Any], *streams: Sequence[dict[str, Any] | threading.Event]) -> None:
        """A whole run: the task is taken, its events are streamed, and then it is `task`."""
        self.answer("POST", "/api/tasks", ACCEPTED, 202)
        self.answer("GET", TASK, task)
        self.streams = list(streams)

    def requests(self, method: str, path: str) -> list[Seen]:
        return [seen for seen in self.seen if (seen.method, seen.path) == (method, path)]


class _Handler(BaseHTTPRequestHandler):
    script: ScriptedCoordinator

    def do_GET(self) -> None:
        path = self._note()
        if path == f"{TASK}/events" and self.script.streams:
            self._stream(self.script.streams.pop(0))
        else:
            self._answer("GET", path)

    def do_POST(self) -> None:
        self._answer("POST", self._note())

    def do_PATCH(self) -> None:
        self._answer("PATCH", self._note())

    def _note(self) -> str:
        path, _, query = self.path.partition("?")
        self.script.queries += [query] if query else []
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.script.seen.append(Seen(self.command, path, headers, body))
        return path

    def _answer(self, method: str, path: str) -> None:
        if (method, path) in self.script.cut_once:
            self.script.cut_once.remove((method, path))
            return
        missing = {
            "title": "Not found",
            "status": 404,
            "detail": f"There is no {path}.",
            "code": "NOT_FOUND",
        }
        answer = self.script.answers.get((method, path), Answer(json.dumps(missing).encode(), 404))
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.content_type)
        self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        self.wfile.write(answer.body)
        if answer.releases is not None:
            answer.releases.set()

    def _stream(self, items: Sequence[dict[str, Any] | threading.Event]) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        for item in items:
            if isinstance(item, threading.Event):
                while not item.wait(0.02) and not self.script.stopped.is_set():
                    pass
            else:
                lines = f"id: {item['number']}\nevent: {item['kind']}\ndata: {json.dumps(item)}\n\n"
                self.wfile.write(lines.encode())
                self.wfile.flush()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 the base class's name
        return


@contextmanager
def scripted_coordinator() -> Iterator[ScriptedCoordinator]:
    script = ScriptedCoordinator()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"script": script}))
    script.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield script
    finally:
        script.stopped.set()
        server.shutdown()
        thread.join()
        server.server_close()
