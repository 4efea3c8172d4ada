"""However a stream is cut, what the consumer folds is what an uncut one gives, and nothing comes twice."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st

from a2a.client.binding import Heard
from a2a.client.resume import ResumedStream, Seen
from a2a.client.retries import Retries
from a2a.errors import AgentBusy, AgentUnreachable, UnsupportedOperation
from a2a.fold import TaskFold
from a2a.types import (
    Artifact,
    Message,
    Part,
    StreamResponse,
    Task,
    TaskArtifactUpdateEvent,
    TaskState,
    TaskStatus,
    TaskStatusUpdateEvent,
)

AT_ONCE = Retries(first_pause_s=0, last_pause_s=0, resume_within_s=60)
ENDS = (TaskState.COMPLETED, TaskState.FAILED, TaskState.INPUT_REQUIRED)


def status(number: int, state: TaskState = TaskState.WORKING) -> StreamResponse:
    said = Message(message_id=f"m{number}", role="ROLE_AGENT", parts=[Part.from_text(f"said {number}")])
    update = TaskStatusUpdateEvent(task_id="t", context_id="c", status=TaskStatus(state=state, message=said))
    return StreamResponse(status_update=update)


def chunk(number: int, artifact_id: str, kind: str) -> StreamResponse:
    """`kind` is text, two texts, data or replace: each has the number in it, so that none is like another."""
    match kind:
        case "data":
            parts = [Part.from_data({"number": number})]
        case "two texts":
            parts = [Part.from_text(f"<{number}a>"), Part.from_text(f"<{number}b>")]
        case _:
            parts = [Part.from_text(f"<{number}>")]
    artifact = Artifact(artifact_id=artifact_id, parts=parts)
    append = None if kind == "replace" else True
    update = TaskArtifactUpdateEvent(task_id="t", context_id="c", artifact=artifact, append=append)
    return StreamResponse(artifact_update=update)


CHANGES: st.SearchStrategy[Callable[[int], StreamResponse]] = st.one_of(
    st.just(status),
    st.builds(
        lambda artifact_id, kind: lambda number: chunk(number, artifact_id, kind),
        st.sampled_from("ab"),
        st.sampled_from(["text", "text", "two texts", "data", "replace"]),
    ),
)
STORIES = st.builds(
    lambda changes, end: [
        *(change(number) for number, change in enumerate(changes)),
        status(len(changes), end),
    ],
    st.lists(CHANGES, max_size=15),
    st.sampled_from(ENDS),
)


@dataclass(frozen=True, slots=True)
class Cut:
    """A connection that gives `heard` events, then breaks (or ends as if all were well); `missed` more happen
    before the next one, which is refused `refusals` times."""

    heard: int
    missed: int
    refusals: int
    is_clean: bool


CUTS = st.lists(
    st.builds(Cut, st.integers(0, 6), st.integers(0, 4), st.integers(0, 2), st.booleans()), max_size=4
)


@dataclass
class Agent:
    """Lives through `story`; each of `cuts` ends one connection, the connections after them hold."""

    story: list[StreamResponse]
    cuts: list[Cut]
    is_v03: bool
    happened: int = 0
    refusals: int = 0

    def task(self) -> Task:
        return folded(self.story[: self.happened])

    @property
    def has_ended(self) -> bool:
        return self.task().status.state.is_terminal

    async def send(self) -> AsyncGenerator[Heard]:
        async with aclosing(self._connection(begins_with_task=True)) as events:
            async for heard in events:
                yield heard

    async def subscribe(self, _task_id: str) -> AsyncGenerator[Heard]:
        if self.refusals:
            self.refusals -= 1
            raise AgentBusy("u", status=503, retry_after_s=None)
        if self.has_ended:
            raise UnsupportedOperation
        async with aclosing(self._connection(begins_with_task=not self.is_v03)) as events:
            async for heard in events:
                yield heard

    async def _connection(self, *, begins_with_task: bool) -> AsyncGenerator[Heard]:
        cut = self.cuts.pop(0) if self.cuts else None
        given = 0
        if begins_with_task:
            yield StreamResponse(task=self.task()), False
            given += 1
        while cut is None or given < cut.heard:
            if self.happened == len(self.story):
                return
            event = self.story[self.happened]
            self.happened += 1
            await asyncio.sleep(0)
            yield event, False
            given += 1
        self.happened = min(self.happened + cut.missed, len(self.story))
        self.refusals = cut.refusals
        if not cut.is_clean:
            raise AgentUnreachable("u", "cut")

    async def get_task(self, _task_id: str) -> Task:
        """Time goes on between two polls."""
        task = self.task()
        self.happened = min(self.happened + 2, len(self.story))
        return task


def new_task() -> Task:
    return Task(id="t", context_id="c", status=TaskStatus(state=TaskState.SUBMITTED))


def folded(events: list[StreamResponse]) -> Task:
    fold = TaskFold(new_task())
    for event in events:
        if event.task is not None:
            fold = TaskFold(event.task.model_copy(deep=True))
        elif event.status_update is not None:
            fold.apply_status(event.status_update)
        elif event.artifact_update is not None:
            fold.apply_artifact(event.artifact_update)
    return fold.task.model_copy(deep=True)


def contents(task: Task) -> dict[str, str]:
    """Each artifact as one text: how its texts are cut into parts is no part of what it says."""
    return {
        item.artifact_id: "".join(
            part.text if part.text is not None else f"{part.data}" for part in item.parts
        )
        for item in task.artifacts or []
    }


async def follow(agent: Agent) -> list[StreamResponse]:
    stream = ResumedStream(
        agent.subscribe, agent.get_task, seen=Seen(), retries=AT_ONCE, sends_task_first=not agent.is_v03
    )
    async with asyncio.timeout(10):
        return [event async for event in stream.follow(agent.send(), "u")]


@settings(deadline=None, max_examples=300)
@given(story=STORIES, cuts=CUTS, is_v03=st.booleans())
def test_a_stream_that_is_cut_gives_what_an_uncut_one_gives(
    story: list[StreamResponse], cuts: list[Cut], is_v03: bool
) -> None:
    if cuts and cuts[0].heard == 0:
        cuts[0] = Cut(1, cuts[0].missed, cuts[0].refusals, cuts[0].is_clean)
    events = asyncio.run(follow(Agent(story, list(cuts), is_v03)))

    got, whole = folded(events), folded(story)
    assert contents(got) == contents(whole)
    assert got.status == whole.status
    assert got.id == "t"


@settings(deadline=None, max_examples=300)
@given(story=STORIES, cuts=CUTS, is_v03=st.booleans())
def test_no_event_comes_twice(story: list[StreamResponse], cuts: list[Cut], is_v03: bool) -> None:
    if cuts and cuts[0].heard == 0:
        cuts[0] = Cut(1, cuts[0].missed, cuts[0].refusals, cuts[0].is_clean)
    events = asyncio.run(follow(Agent(story, list(cuts), is_v03)))

    assert sum(event.task is not None for event in events) == 1
    said = [
        event.status_update.status.message.message_id
        for event in events
        if event.status_update is not None and event.status_update.status.message is not None
    ]
    assert len(said) == len(set(said))
    texts = [
        part.text
        for event in events
        if event.artifact_update is not None and event.artifact_update.append
        for part in event.artifact_update.artifact.parts
        if part.text is not None
    ]
    assert len(texts) == len(set(texts))


@settings(deadline=None)
@given(story=STORIES)
def test_an_uncut_stream_is_passed_on_as_it_is(story: list[StreamResponse]) -> None:
    events = asyncio.run(follow(Agent(story, [], is_v03=False)))

    assert [event.task is not None for event in events[:1]] == [True]
    assert events[1:] == story
