"""Shows what an ASGI app and its callers say to each other. Bodies pass through untouched; what is shown is
read from a copy of their beginning."""

from collections import OrderedDict
from collections.abc import Callable, Mapping
from datetime import datetime
from itertools import count
from time import monotonic
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from a2a.skill import Skill, best_skill
from coordinator.cli.exchanges import Called, Said, frame_data, read_answer, read_call
from coordinator.cli.plain import duration, one_line

# Say(line, style): one line on the terminal.
Say = Callable[[str, str], None]
KEPT_BYTES: Final = 256 * 1024
KEPT_SKILLS: Final = 1_000
STYLES: Final = {
    "completed": "green",
    "error": "red",
    "failed": "red",
    "rejected": "red",
    "canceled": "yellow",
    "input required": "yellow",
    "auth required": "yellow",
}
# A browser that looks at the docs says nothing about the agent.
QUIET: Final = ("/docs", "/static-offline-docs", "/openapi.json", "/health", "/favicon.ico")


class ShowsExchanges:
    """An ASGI app around another. `skills` are the agent's, to say which one a message goes to."""

    def __init__(self, app: ASGIApp, skills: Mapping[str, Skill], say: Say) -> None:
        self._app = app
        self._skills = skills
        self._say = say
        self._numbers = count(1)
        self._skill_of: OrderedDict[str, str] = OrderedDict()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        exchange = _Exchange(scope["method"], scope["path"], self)
        try:
            await self._app(scope, exchange.hearing(receive), exchange.answering(send))
        finally:
            exchange.end()

    def number(self) -> int:
        return next(self._numbers)

    def say(self, number: int, line: str, style: str = "") -> None:
        self._say(f"{datetime.now().astimezone():%H:%M:%S}  {number:>3}  {line}", style)

    def skill_of(self, called: Called) -> str:
        """The skill that the message goes to; empty where that is not known."""
        if called.skill_id:
            return called.skill_id if called.skill_id in self._skills or not self._skills else ""
        if called.task_id:
            return self._skill_of.get(called.task_id, "")
        skill = best_skill(self._skills, called.text) if called.words else None
        return skill.id if skill is not None else ""

    def remember(self, task_id: str, skill_id: str) -> None:
        """For the turns of the task that come later."""
        self._skill_of[task_id] = skill_id
        while len(self._skill_of) > KEPT_SKILLS:
            self._skill_of.popitem(last=False)


class _Exchange:
    """One request and its answer, as far as they have come."""

    def __init__(self, method: str, path: str, view: ShowsExchanges) -> None:
        self._method, self._path, self._view = method, path, view
        self._started_at = monotonic()
        self._asked, self._answered = bytearray(), bytearray()
        self._number = 0
        self._status = 0
        self._asked_bytes = 0
        self._events = 0
        self._chunks: dict[str, int] = {}
        self._skill = ""
        self._is_called = self._is_stream = self._has_ended = False

    def hearing(self, receive: Receive) -> Receive:
        async def hear() -> Message:
            message = await receive()
            if message["type"] == "http.request":
                self._asked_bytes += len(message.get("body", b""))
                _keep(self._asked, message.get("body", b""))
                if not message.get("more_body", False):
                    self._show_call()
            return message

        return hear

    def answering(self, send: Send) -> Send:
        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._show_call()
                self._status = message["status"]
                self._is_stream = any(
                    name.lower() == b"content-type" and value.startswith(b"text/event-stream")
                    for name, value in message.get("headers", ())
                )
            elif message["type"] == "http.response.body":
                self._take(message.get("body", b""))
                self._has_ended = not message.get("more_body", False)
            await send(message)

        return answer

    def end(self) -> None:
        took = _took(monotonic() - self._started_at)
        if not self._is_called:
            if self._status >= 400 or not self._path.startswith(QUIET):
                line = f"{self._method} {one_line(self._path, max_chars=200)} {self._status or ''}  {took}"
                self._view.say(self._view.number(), line, "red" if self._status >= 400 else "dim")
            return
        left = "" if self._has_ended else ", the caller left"
        if self._is_stream:
            self._show_chunks()
            self._view.say(self._number, f"{self._events} events in {took}{left}", "dim")
            return
        said = read_answer(bytes(self._answered))
        if said is not None:
            self._learn(said)
        line = said.line if said is not None else "answered" if self._has_ended else "no answer"
        status = f"HTTP {self._status}, " if self._status not in (0, 200) else ""
        self._view.say(self._number, f"{line}  ({status}{took}{left})", _style(said))

    def _show_call(self) -> None:
        if self._number:
            return
        called = read_call(self._method, self._path, bytes(self._asked))
        if called is None:
            return
        self._number, self._is_called = self._view.number(), True
        self._skill = self._view.skill_of(called)
        task = f"task {one_line(called.task_id[:8])}" if called.task_id else ""
        # What is read of a longer one is its beginning; the sizes of files in it are those of what is there.
        cut = f"(cut; {self._asked_bytes:,} bytes in all)" if self._asked_bytes > KEPT_BYTES else ""
        parts = [called.binding, called.operation, one_line(self._skill), task, called.words, cut]
        self._view.say(self._number, "  ".join(filter(None, parts)), "bold")

    def _take(self, body: bytes) -> None:
        _keep(self._answered, body)
        if not (self._is_stream and self._is_called):
            return
        # A frame longer than what is kept has lost its end, and the blank line with it.
        *frames, rest = bytes(self._answered).replace(b"\r\n", b"\n").split(b"\n\n")
        if body.endswith(b"\n\n") and rest:
            frames, rest = [*frames, rest], b""
        self._answered = bytearray(rest)
        for frame in frames:
            data = frame_data(frame)
            if data:
                self._show_event(read_answer(data))

    def _show_event(self, said: Said | None) -> None:
        self._events += 1
        if said is None:
            return
        self._learn(said)
        if said.chunk_of:
            self._chunks[said.chunk_of] = self._chunks.get(said.chunk_of, 0) + 1
            return
        self._show_chunks()
        self._view.say(self._number, said.line, _style(said))

    def _show_chunks(self) -> None:
        """Chunks come by the thousand; they are counted."""
        for name, chunks in self._chunks.items():
            more = "chunk" if chunks == 1 else "chunks"
            self._view.say(self._number, f"{one_line(name, max_chars=40)}: {chunks} more {more}", "")
        self._chunks.clear()

    def _learn(self, said: Said) -> None:
        if said.task_id and self._skill:
            self._view.remember(said.task_id, self._skill)


def _keep(kept: bytearray, body: bytes) -> None:
    kept.extend(body[: max(KEPT_BYTES - len(kept), 0)])


def _took(seconds: float) -> str:
    return duration(seconds) if seconds >= 1 else f"{seconds * 1000:.0f} ms"


def _style(said: Said | None) -> str:
    if said is None:
        return "dim"
    return STYLES.get(said.state, "")
