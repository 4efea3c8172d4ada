"""The research agent behind a real server, spoken to over A2A."""

import asyncio
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn

from a2a import Message, Part, TaskState
from a2a.client import A2AClient, fetch_card
from a2a.requests import SendMessageRequest
from a2a.settings import AgentSettings
from a2a.types import Artifact, Role, StreamResponse
from agent_servers.research.agent import build_agent
from agent_servers.research.settings import ResearchSettings
from tests.support.raw_server import answering, response, says

GUIDE = """# Guide

## Registration

An agent registers with the coordinator when it starts. The coordinator keeps a lease for it.
"""


class Served:
    """An agent on a free port and a client for it."""

    def __init__(self, http: httpx.AsyncClient, url: str) -> None:
        self.http = http
        self.url = url
        self.numbers = count(1)

    async def events(self, *parts: Part) -> list[StreamResponse]:
        message = Message(message_id=f"message-{next(self.numbers)}", role=Role.USER, parts=list(parts))
        request = SendMessageRequest(message=message)
        client = A2AClient(self.http, self.url)
        return [event async for event in client.stream_message(request, timeout_s=60)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "library"
    made.mkdir()
    return made


@pytest.fixture
def guide(folder: Path) -> Path:
    """Asked for before `served`, so that it is there when the agent starts."""
    path = folder / "guide.md"
    path.write_text(GUIDE)
    return path


@pytest.fixture
async def served(folder: Path) -> AsyncIterator[Served]:
    app = build_agent(ResearchSettings(library=folder)).app(AgentSettings(coordinator_url=None))
    listening = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="error"))
    serving = asyncio.create_task(server.serve(sockets=[listening]), name="served agent")
    try:
        async with httpx.AsyncClient(timeout=60) as http:
            yield Served(http, f"http://127.0.0.1:{listening.getsockname()[1]}/")
    finally:
        server.should_exit = True
        await serving
        listening.close()


def only_artifact(events: list[StreamResponse]) -> Artifact:
    (update,) = [event.artifact_update for event in events if event.artifact_update]
    return update.artifact


def page_and_data(events: list[StreamResponse]) -> tuple[str, dict[str, Any]]:
    page, data = only_artifact(events).parts
    assert page.text is not None
    assert isinstance(data.data, dict)
    return page.text, data.data


def last_status(events: list[StreamResponse]) -> tuple[TaskState, str]:
    update = events[-1].status_update
    assert update is not None
    said = update.status.message.spoken_text() if update.status.message else ""
    return update.status.state, said


async def test_the_answer_is_streamed_with_progress_page_and_citations(guide: Path, served: Served) -> None:
    events = await served.events(Part.from_text("Research how agents register with the coordinator"))
    page, data = page_and_data(events)
    artifact = only_artifact(events)

    assert last_status(events)[0] is TaskState.COMPLETED
    assert artifact.name == "research"
    assert (artifact.parts[0].media_type, artifact.parts[0].filename) == ("text/markdown", "research.md")
    assert "An agent registers with the coordinator when it starts. [1]" in page
    assert data["citations"] == [
        {
            "number": 1,
            "source": "guide.md",
            "title": "Guide > Registration",
            "locator": "line 5",
            "passage": "An agent registers with the coordinator when it starts.",
        }
    ]
    assert (data["gaps"], data["rounds"]) == ([], 1)
    said = [
        event.status_update.status.message.spoken_text()
        for event in events
        if event.status_update and event.status_update.status.message
    ]
    assert said == ["Searching 1 document", "Round 1: every key term is covered"]


async def test_an_attached_file_is_cited_by_its_name_alone(served: Served) -> None:
    report = b"<h1>Report</h1><p>The turbine was inspected in March.</p><script>evil()</script>"
    events = await served.events(
        Part.from_text("When was the turbine inspected?"),
        Part.from_bytes(report, "text/html", filename="../../etc/report.html"),
    )
    page, data = page_and_data(events)

    assert data["citations"][0]["source"] == "report.html"
    assert data["citations"][0]["passage"] == "The turbine was inspected in March."
    assert "evil" not in page


async def test_an_attached_file_is_forgotten_after_its_request(guide: Path, served: Served) -> None:
    question = Part.from_text("When was the turbine inspected?")
    secret = Part.from_text("The turbine was inspected in March.", filename="secret.txt")
    await served.events(question, secret)

    _, data = page_and_data(await served.events(question))

    assert data["citations"] == []
    assert "turbine" in data["gaps"]


async def test_a_file_that_changes_while_the_agent_runs_is_read_again(guide: Path, served: Served) -> None:
    question = Part.from_text("When do agents register?")
    before, _ = page_and_data(await served.events(question))
    await asyncio.to_thread(guide.write_text, GUIDE.replace("when it starts", "once a day at noon"))
    after = ""

    async with asyncio.timeout(20):
        while "once a day at noon" not in after:
            after, _ = page_and_data(await served.events(question))

    assert "when it starts" in before
    assert "when it starts" not in after


async def test_a_linked_file_is_fetched_and_cited(served: Served) -> None:
    report = response(b"The turbine was inspected in March.", content_type="text/plain")
    async with answering(says(report)) as url:
        events = await served.events(
            Part.from_text("When was the turbine inspected?"), Part(url=url, filename="report.md")
        )
    _, data = page_and_data(events)

    assert data["citations"][0]["source"] == "report.md"
    assert data["citations"][0]["passage"] == "The turbine was inspected in March."


async def test_a_link_into_a_private_network_is_named_with_the_reason(guide: Path, served: Served) -> None:
    link = Part(url="http://10.0.0.7/report.md", filename="report.md")
    _, data = page_and_data(await served.events(Part.from_text("How do agents register?"), link))

    assert data["skipped"] == [
        "report.md was skipped: its link leads to an address that this agent may not connect to"
    ]


async def test_unusable_attachments_are_named_with_the_reason(guide: Path, served: Served) -> None:
    events = await served.events(
        Part.from_text("How do agents register?"),
        Part.from_bytes(b"", "application/pdf", filename="empty.pdf"),
        Part.from_text("day,rain\n1,2\n", filename="weather.csv"),
        Part(url="http://127.0.0.1:1/a.txt", filename="link.txt"),
    )
    page, data = page_and_data(events)

    assert data["skipped"] == [
        "empty.pdf was skipped: it is empty",
        "weather.csv was skipped: it holds data, not prose",
        "link.txt was skipped: its link cannot be reached",
    ]
    assert all(line in page for line in data["skipped"])


async def test_without_any_document_the_task_fails_and_says_what_to_do(served: Served) -> None:
    state, said = last_status(await served.events(Part.from_text("How do agents register?")))

    assert state is TaskState.FAILED
    assert "RESEARCH_LIBRARY" in said


def test_a_library_that_is_not_there_is_reported_whole_and_the_agent_starts(tmp_path: Path) -> None:
    missing = tmp_path / "nowhere" / "folder"
    start = (
        "import asyncio\n"
        "from agent_servers.research import app\n"
        "async def main():\n"
        "    async with app.router.lifespan_context(app):\n"
        "        print('started')\n"
        "asyncio.run(main())\n"
    )
    root = str(Path(__file__).resolve().parents[2])
    settings = {"RESEARCH_LIBRARY": str(missing), "PYTHONPATH": root}
    done = subprocess.run(
        [sys.executable, "-c", start], env=settings, cwd=tmp_path, capture_output=True, text=True, check=True
    )

    told = [line for line in (done.stdout + done.stderr).splitlines() if str(missing) in line]
    assert "started" in done.stdout
    assert len(told) == 1
    assert "error" in told[0]
    assert "set RESEARCH_LIBRARY to a folder of documents" in told[0]


async def test_a_request_without_a_topic_is_asked_for_one(served: Served) -> None:
    state, said = last_status(await served.events(Part.from_text("please find out")))

    assert state is TaskState.INPUT_REQUIRED
    assert said == "What should I research? Name the topic in a few words."


async def test_the_card_offers_the_skill_with_examples(served: Served) -> None:
    card = await fetch_card(served.http, served.url, timeout_s=30)
    (skill,) = card.skills

    assert (card.name, skill.id) == ("Research Agent", "research")
    assert len(skill.examples or []) >= 4
    assert set(skill.output_modes or []) == {"text/markdown", "application/json"}
