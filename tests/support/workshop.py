"""An agent whose skills do as they are told, and that keeps an account of what each task asked of it."""

import threading
from collections import Counter, defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from a2a import Agent, Artifact, AuthRequired, InputRequired, Part, Request, SkillFailed
from tests.support.waiting import Gate, eventually_now

Json = dict[str, Any]
EVERYTHING = ("*/*",)
TEXT_ONLY = ("text/plain",)


class Workshop:
    """Whoever asks is told apart by context, which is the session of the coordinator's task.

    Skills: say (repeats its text), read (the same, for text alone), give (returns its first data part), pack
    (an artifact for each key of it), fail, stumble (fails as often as its data says), hold (until the gate
    of its context opens), ask (twice), authorise; their ids end in `suffix`. `busiest` is the most that were
    held at once in all.
    """

    def __init__(self, name: str = "Workshop", *, suffix: str = "") -> None:
        self._name = name
        self._suffix = suffix
        self.requests: list[Request] = []
        self._running: Counter[str] = Counter()
        self._peaks: Counter[str] = Counter()
        # It may be served more than once, each time in a thread of its own.
        self._lock = threading.Lock()
        self.busiest = 0
        self.go: defaultdict[str, Gate] = defaultdict(Gate)

    def agent(self, url: str) -> Agent:
        agent = Agent(name=self._name, description="Does as it is told.", version="1.0.0", url=url)
        for function in (
            self.say, self.give, self.pack, self.note, self.fail, self.stumble, self.hold, self.ask,
            self.authorise,
        ):  # fmt: skip
            name = function.__name__
            agent.skill(id=name + self._suffix, description=name, tags=[name], input_modes=EVERYTHING)(
                function
            )
        agent.skill(id="read" + self._suffix, description="read", tags=["read"], input_modes=TEXT_ONLY)(
            self.say
        )
        return agent

    def heard(self, task: Json, skill_id: str | None = None) -> list[Request]:
        """What was asked for this task, in order."""
        own = [request for request in self.requests if request.context_id == task["session_id"]]
        return [request for request in own if skill_id in (None, request.skill_id)]

    def texts(self, task: Json, skill_id: str | None = None) -> list[str]:
        return [request.text for request in self.heard(task, skill_id)]

    def peak(self, task: Json) -> int:
        """The most that were held at once for this task."""
        return self._peaks[task["session_id"]]

    def holds(self, task: Json, count: int) -> None:
        """Wait until so many are held for this task."""
        eventually_now(lambda: self._running[task["session_id"]] == count, within_s=10)

    def release(self, task: Json) -> None:
        self.go[task["session_id"]].open()

    async def say(self, request: Request) -> str:
        self.requests.append(request)
        return f"heard: {request.text}"

    async def give(self, request: Request) -> Part:
        self.requests.append(request)
        return Part.from_data(request.data[0])

    async def pack(self, request: Request) -> list[Artifact]:
        self.requests.append(request)
        return [
            Artifact(artifact_id=name, name=name, parts=[_part(value)])
            for name, value in request.data[0].items()
        ]

    async def note(self, request: Request) -> list[Artifact]:
        self.requests.append(request)
        return [
            Artifact(artifact_id=name, name=name, parts=[Part.from_text(value, media_type="text/markdown")])
            for name, value in request.data[0].items()
        ]

    async def fail(self, request: Request) -> str:
        self.requests.append(request)
        raise SkillFailed("No luck today.", retryable=False)

    async def stumble(self, request: Request) -> str:
        self.requests.append(request)
        if len([known for known in self.requests if known.text == request.text]) <= request.data[0]:
            raise SkillFailed("It stumbled.", retryable=True)
        return "It went well."

    async def hold(self, request: Request) -> str:
        self.requests.append(request)
        async with self._counted(request.context_id):
            await self.go[request.context_id].wait(within_s=20)
        return f"held: {request.text}"

    async def ask(self, request: Request) -> str:
        self.requests.append(request)
        if not request.history:
            raise InputRequired("Which city?")
        if len([said for said in request.history if said.role == request.message.role]) < 2:
            raise InputRequired("Which country?")
        return f"at last: {request.text}"

    async def authorise(self, request: Request) -> str:
        self.requests.append(request)
        if not request.history:
            raise AuthRequired("Sign in at the desk.")
        return f"let in with {request.text}"

    @asynccontextmanager
    async def _counted(self, context_id: str) -> AsyncIterator[None]:
        with self._lock:
            self._running[context_id] += 1
            self.busiest = max(self.busiest, self._running.total())
            self._peaks[context_id] = max(self._peaks[context_id], self._running[context_id])
        try:
            yield
        finally:
            with self._lock:
                self._running[context_id] -= 1


def _part(value: Any) -> Part:
    return Part.from_text(value) if isinstance(value, str) else Part.from_data(value)
