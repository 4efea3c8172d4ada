"""The research agent: its skill, and the wiring of settings, library and graph."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from pathlib import PurePosixPath

import structlog

from a2a import Agent, Artifact, InputRequired, Part, Progress, Request, SkillFailed
from a2a.addresses import AddressPolicy
from a2a.attachments import AttachmentUnreadable, LinkLimits, fetch_links
from agent_servers.research.answer import Answer, markdown
from agent_servers.research.graph import Context, Round, run
from agent_servers.research.index import Index
from agent_servers.research.library import Library
from agent_servers.research.question import understand
from agent_servers.research.readers import Unreadable, read, safe_name
from agent_servers.research.search import Sources
from agent_servers.research.settings import ResearchSettings

_URL = "http://127.0.0.1:8001"
_MAX_ATTACHMENTS = 20
_MAX_ATTACHED_BYTES = 50 * 2**20
_INPUT_MODES = ("text/plain", "text/markdown", "text/html", "application/pdf")

log = structlog.get_logger(__name__)


def build_agent(settings: ResearchSettings) -> Agent:
    """The agent over the library that the settings name."""
    library = Library(settings.library.expanduser().resolve(), settings.max_file_bytes)

    @contextlib.asynccontextmanager
    async def lifespan() -> AsyncIterator[None]:
        if not await asyncio.to_thread(library.folder.is_dir):
            log.error(
                "research.library_missing",
                folder=str(library.folder),
                hint="There is no such folder, so only attached files can be searched. Create it, or set"
                " RESEARCH_LIBRARY to a folder of documents and restart the agent.",
            )
        await asyncio.to_thread(library.refresh)
        log.info("research.ready", documents=len(library.names()))
        try:
            yield
        finally:
            library.close()

    agent = Agent(
        name="Research Agent",
        description="Researches questions in a library of documents and in attached files, in several"
        " rounds, and answers in sentences quoted from them with numbered citations.",
        version="0.1.0",
        url=_URL,
        lifespan=lifespan,
    )
    _add_research(agent, library, settings)
    return agent


def _add_research(agent: Agent, library: Library, settings: ResearchSettings) -> None:
    policy = AddressPolicy(
        allow_loopback=settings.fetch_allow_loopback, allow_private=settings.fetch_allow_private
    )
    limits = LinkLimits(settings.max_file_bytes, _MAX_ATTACHED_BYTES, settings.fetch_timeout_s)

    @agent.skill(
        id="research",
        name="Research documents",
        description="Research a question: find out, look up and explain what documents say about a"
        " topic, with numbered citations that point at file and passage, and the gaps named.",
        tags=["research", "find", "look up", "documents", "search", "question", "citations", "sources"],
        examples=[
            "Research how agents register with the coordinator",
            "Find out how failed tasks are retried",
            "What do the documents say about health checks?",
            "Look up which port the research agent listens on",
            "What does the attached report say about revenue in 2023?",
            "Investigate why tasks get stuck and which sources explain it",
        ],
        input_modes=_INPUT_MODES,
        output_modes=("text/markdown", "application/json"),
    )
    async def research(request: Request) -> AsyncGenerator[Progress | Artifact]:
        question = understand(request.text)
        if not question.terms:
            raise InputRequired("What should I research? Name the topic in a few words.")
        await asyncio.to_thread(library.refresh)
        files, too_many = request.attachments[:_MAX_ATTACHMENTS], request.attachments[_MAX_ATTACHMENTS:]
        parts = [*await fetch_links(files, policy, limits), *too_many]
        attached, notes = await asyncio.to_thread(_attach, parts, settings.max_file_bytes)
        try:
            names = library.names()
            documents = len(names) + attached.documents
            if not documents:
                raise SkillFailed(_nothing_to_search([*notes, *library.skipped()]))
            yield Progress(f"Searching {_count(documents, 'document')}")
            context = Context(
                Sources(library, attached), documents, settings.max_rounds, settings.max_citations
            )
            async for step in run(question, context):
                yield _progress(step) if isinstance(step, Round) else _artifact(step, notes)
        finally:
            attached.close()


def _attach(parts: Sequence[Part | AttachmentUnreadable], max_file_bytes: int) -> tuple[Index, list[str]]:
    """Index the files of one message; the second value has one line per file left out."""
    index, notes = Index(), []
    room = _MAX_ATTACHED_BYTES
    names: set[str] = set()
    for number, item in enumerate(parts, start=1):
        part = item.part if isinstance(item, AttachmentUnreadable) else item
        name = _unique(_file_name(part, number), names)
        try:
            if number > _MAX_ATTACHMENTS:
                raise Unreadable(f"only {_MAX_ATTACHMENTS} files are read per request")
            if isinstance(item, AttachmentUnreadable):
                raise Unreadable(item.reason)
            raw = part.content()
            room -= len(raw)
            if len(raw) > max_file_bytes or room < 0:
                raise Unreadable("it is too large")
            index.add(read(name, raw, part.media_type))
        except Unreadable as error:
            log.info("research.attachment_skipped", reason=error.reason)
            notes.append(f"{name} was skipped: {error.reason}")
    return index, notes


def _file_name(part: Part, number: int) -> str:
    """The last component of the given name: what a stranger calls a file is never a path."""
    name = PurePosixPath((part.filename or "").replace("\\", "/")).name
    return safe_name(name) or f"attachment {number}"


def _unique(name: str, taken: set[str]) -> str:
    candidate, copy = name, 1
    while candidate in taken:
        copy += 1
        candidate = f"{name} ({copy})"
    taken.add(candidate)
    return candidate


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _progress(step: Round) -> Progress:
    if step.gaps:
        return Progress(f"Round {step.number}: nothing yet on {', '.join(step.gaps)}")
    return Progress(f"Round {step.number}: every key term is covered")


def _artifact(answer: Answer, notes: Sequence[str]) -> Artifact:
    return Artifact.of(
        Part.from_text(markdown(answer, notes), media_type="text/markdown", filename="research.md"),
        Part.from_data({**answer.data(), "skipped": list(notes)}),
        name="research",
        description=f"Findings with {_count(len(answer.citations), 'citation')}",
    )


def _nothing_to_search(reasons: Sequence[str]) -> str:
    why = f" ({'; '.join(reasons[:5])})" if reasons else ""
    return (
        f"There is no document to search{why}. Attach a text, HTML or PDF file, or put files into"
        " the folder that RESEARCH_LIBRARY names."
    )
