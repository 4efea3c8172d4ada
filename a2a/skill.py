"""What the author of an agent works with: the request, what a skill may yield or raise, the skill itself."""

import re
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from a2a.types import Artifact, Json, Message, Metadata, Part


@dataclass(frozen=True, slots=True)
class Request:
    """One turn of a task, as a skill sees it.

    `history` holds the earlier messages of the same task, oldest first; it is empty on the first turn.
    `accepted_output_modes` are the media types that the caller would like; empty where it said nothing.
    `caller` is who asks, as the agent's security schemes name them; empty where nobody is asked.
    """

    message: Message
    task_id: str
    context_id: str
    skill_id: str
    history: tuple[Message, ...] = ()
    accepted_output_modes: tuple[str, ...] = ()
    caller: str = ""

    @property
    def text(self) -> str:
        """The instruction: text parts that are not files, joined by newlines."""
        return self.message.spoken_text()

    @property
    def attachments(self) -> list[Part]:
        """Files that came along: raw and url parts, and text parts with a file name."""
        return [part for part in self.message.parts if part.is_attachment]

    @property
    def data(self) -> list[Json]:
        """The values of the data parts, in order."""
        return [part.data for part in self.message.parts if part.data is not None]

    @property
    def metadata(self) -> Metadata:
        return self.message.metadata or {}


@dataclass(frozen=True, slots=True)
class Progress:
    """Yielded by a skill to say what it is doing; becomes a working status with this text."""

    text: str


class Reply:
    """An answer that needs no task: returned, or yielded before anything else, by a skill with `replies`.

    The caller gets a message with these parts. Where it knows of a task already, because it did not wait for
    the answer or the skill had to wait for its turn, the parts are the task's result instead.
    """

    __slots__ = ("parts",)

    def __init__(self, *parts: Part) -> None:
        self.parts = parts


class SkillOutcome(Exception):
    """Base of what a skill raises to end its turn in another way than with a result."""

    def __init__(self, text: str) -> None:
        self.text = text
        super().__init__(text)


class InputRequired(SkillOutcome):
    """Ask the caller; the answer comes as the next turn of the same task."""


class AuthRequired(SkillOutcome):
    """The caller has to authorise something first; the text says what and where."""


class Rejected(SkillOutcome):
    """The agent will not do this task; the text says why and what to do."""


class SkillFailed(SkillOutcome):
    """The work failed; `retryable` says whether the same request may succeed later."""

    def __init__(self, text: str, *, retryable: bool = False) -> None:
        super().__init__(text)
        self.retryable = retryable


Produced = str | Part | Artifact | Progress | Reply | dict[str, Any]
Result = Produced | Sequence[Part | Artifact] | None
CancelHook = Callable[[str], Awaitable[None]]
SkillFunction = Callable[[Request], Awaitable[Result]] | Callable[[Request], AsyncGenerator[Produced]]


@dataclass(frozen=True, slots=True)
class Skill:
    """A function and what the card says of it. Empty modes mean the card's defaults.

    `replies` says that the function may give a Reply; `on_cancel` is called with the id of a task that is
    canceled while it waits for input, when the function does not run. `security` are requirements of its
    own; a private skill is on the extended card alone.
    """

    id: str
    name: str
    description: str
    tags: tuple[str, ...]
    examples: tuple[str, ...]
    input_modes: tuple[str, ...]
    output_modes: tuple[str, ...]
    function: SkillFunction
    replies: bool = False
    on_cancel: CancelHook | None = None
    security: tuple[Mapping[str, Sequence[str]], ...] = ()
    is_private: bool = False

    async def run(self, request: Request, take: Callable[[Produced], bool]) -> None:
        """Run the function; `take` gets each thing it returns or yields, and says whether to go on."""
        produced = self.function(request)
        if isinstance(produced, AsyncGenerator):
            try:
                async for item in produced:
                    if not take(item):
                        return
            finally:
                await produced.aclose()
            return
        result = await produced
        if isinstance(result, str | Part | Artifact | Progress | Reply | dict):
            take(result)
            return
        for item in result or ():
            if not take(item):
                return


_WORD = re.compile(r"[^\W\d_]{3,}")


def _words(texts: Iterable[str]) -> set[str]:
    return {word for text in texts for word in _WORD.findall(text.lower())}


def best_skill(skills: Mapping[str, Skill], text: str) -> Skill | None:
    """The skill that shares most words with `text`, or the only one there is; None where none shares any."""
    if len(skills) == 1:
        return next(iter(skills.values()))
    wanted = _words([text])
    scored = [
        (len(wanted & _words((skill.id, skill.name, *skill.tags, *skill.examples))), skill)
        for skill in skills.values()
    ]
    score, skill = max(scored, key=lambda pair: pair[0], default=(0, None))
    return skill if score else None
