"""The API agent behind a real server, spoken to over A2A, with real HTTP services to fetch from."""

import asyncio
import io
import json
import socket
import threading
import time
from collections.abc import AsyncIterator, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pypdf
import pytest
import uvicorn
from fastapi import FastAPI
from pypdf.generic import DecodedStreamObject, DictionaryObject, NameObject

from a2a import Message, Part, TaskState
from a2a.client import A2AClient, fetch_card
from a2a.requests import SendMessageRequest
from a2a.settings import AgentSettings
from a2a.skill import best_skill
from a2a.types import Artifact, Role, StreamResponse
from agent_servers.api.agent import build_agent
from agent_servers.api.budget import Budget, run_bounded
from agent_servers.api.errors import WorkStopped
from agent_servers.api.settings import ApiAgentSettings
from examples.word_count_agent import agent as word_counter

CSV = "day,city,visits\n" + "".join(
    f"2024-{month:02}-{day:02},{city},{base + month * 10 + day}\n"
    for month in range(1, 13)
    for day in (1, 11, 21)
    for city, base in (("Oslo", 100), ("Rome", 300))
)
PROSE = (
    "Agents register with the coordinator when they start. [1]\n\n"
    "The coordinator keeps a lease for every agent that it knows. [2]\n\n"
    "A lease that is not renewed runs out after some seconds. [2]\n"
)
ANSWERS: dict[str, tuple[int, str, bytes]] = {
    "/items": (200, "application/json; charset=utf-8", b'{"items": [{"a": 1}, {"a": NaN}]}'),
    "/table": (200, "text/csv", b"a,b\n1,2\n"),
    "/rows": (
        200,
        "application/json",
        json.dumps([{"kind": "ab"[n % 2], "size": n * n % 13} for n in range(30)]).encode(),
    ),
    "/agents": (
        200,
        "application/json",
        b'{"agents": [{"name": "Ferry", "does": "Ferry tells when the next ferry leaves the harbour."}]}',
    ),
    "/page": (
        200,
        "text/html",
        (
            b"<html><body><nav>Menu of the pages here.</nav>"
            b"<p>The harbour opens at six in the morning.</p></body></html>"
        ),
    ),
    "/image": (200, "image/png", b"\x89PNG"),
    "/broken": (200, "application/json", b"<html>"),
    "/visits": (200, "text/csv", CSV.encode()),
    "/prose": (200, "text/markdown", PROSE.encode()),
    "/large": (200, "application/json", b'"' + b"x" * 5_000 + b'"'),
    "/gone": (404, "text/plain", b"no"),
    "/busy": (503, "text/plain", b"later"),
}


class _Service(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path == "/slow":
            self.server.released.wait(10)  # type: ignore[attr-defined]  # set by the fixture
        if self.path == "/inside":
            self.send_response(302)
            self.send_header("Location", "http://169.254.169.254/latest/meta-data/")
            self.end_headers()
            return
        status, kind, body = ANSWERS.get(self.path.partition("?")[0], (200, "text/plain", b"ok"))
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 as in the base class
        pass


@pytest.fixture
def service() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Service)
    server.released = threading.Event()  # type: ignore[attr-defined]  # read by the handler
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.released.set()  # type: ignore[attr-defined]  # see above
    server.shutdown()
    thread.join()
    server.server_close()


class Served:
    """An agent on a free port and a client for it."""

    def __init__(self, http: httpx.AsyncClient, url: str) -> None:
        self.http = http
        self.url = url

    async def ask(self, text: str, *parts: Part) -> tuple[TaskState, str, list[Artifact]]:
        """The final state, what was said with it, and the artifacts."""
        said = [Part.from_text(text), *parts]
        message = Message(message_id="message-1", role=Role.USER, parts=said)
        events: list[StreamResponse] = [
            event
            async for event in A2AClient(self.http, self.url).stream_message(
                SendMessageRequest(message=message), timeout_s=60
            )
        ]
        last = events[-1].status_update
        assert last is not None
        words = last.status.message.spoken_text() if last.status.message else ""
        found = [event.artifact_update.artifact for event in events if event.artifact_update]
        return last.status.state, words, found


async def serving(settings: ApiAgentSettings) -> AsyncIterator[Served]:
    async for agent in serving_app(build_agent(settings).app(AgentSettings(coordinator_url=None))):
        yield agent


async def serving_app(app: FastAPI) -> AsyncIterator[Served]:
    listening = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="error"))
    running = asyncio.create_task(server.serve(sockets=[listening]), name="served agent")
    try:
        async with httpx.AsyncClient(timeout=60) as http:
            yield Served(http, f"http://127.0.0.1:{listening.getsockname()[1]}/")
    finally:
        server.should_exit = True
        await running
        listening.close()


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    settings = ApiAgentSettings(fetch_timeout_s=0.5, fetch_max_bytes=4_000, max_file_bytes=200_000)
    async for agent in serving(settings):
        yield agent


@pytest.fixture
async def strict() -> AsyncIterator[Served]:
    async for agent in serving(ApiAgentSettings(fetch_allow_loopback=False)):
        yield agent


def csv_part(text: str = CSV, name: str = "visits.csv") -> Part:
    return Part.from_bytes(text.encode(), "text/csv", filename=name)


def json_of(part: Part) -> dict[str, Any]:
    assert isinstance(part.data, dict)
    return part.data


async def test_analyse_gives_a_report_data_and_a_chart(served: Served) -> None:
    state, _, artifacts = await served.ask("Analyse the attached data", csv_part())
    assert state == TaskState.COMPLETED
    analysis, drawn = artifacts
    page, data, evidence = analysis.parts
    assert (analysis.name, page.filename, page.media_type) == ("analysis", "analysis.md", "text/markdown")
    assert page.text is not None
    assert "[E1]" in page.text
    assert evidence.content().startswith(
        b"-- In DuckDB: CREATE TABLE data AS SELECT * FROM read_csv('visits.csv');\n\n-- E1: "
    )
    assert json_of(data)["rows"] == 72
    svg, spec = drawn.parts
    assert (svg.filename, svg.media_type) == ("chart.svg", "image/svg+xml")
    assert svg.raw is not None
    assert svg.raw.startswith(b"<svg")
    assert json_of(spec)["data"]["values"]


async def test_every_attached_table_is_analysed_and_the_rest_is_named(served: Served) -> None:
    readme = Part.from_text("# About\n\nThese are visits.", media_type="text/markdown", filename="README.md")
    state, _, artifacts = await served.ask("Analyse the data", readme, csv_part(), csv_part(name="again.csv"))
    assert state == TaskState.COMPLETED
    pages = [a.parts[0] for a in artifacts if a.name == "analysis"]
    assert [page.filename for page in pages] == ["analysis.md", "analysis-2.md"]
    assert "README.md was not analysed" in (pages[-1].text or "")


async def test_rows_in_a_data_part_are_a_table(served: Served) -> None:
    rows = Part.from_data({"items": [{"kind": "ab"[n % 2], "size": n * n % 13} for n in range(30)]})
    state, _, artifacts = await served.ask("Analyse the data", rows)
    assert state == TaskState.COMPLETED
    assert json_of(artifacts[0].parts[1])["rows"] == 30


async def test_citations_are_no_table(served: Served) -> None:
    part = Part.from_data({"citations": [{"number": 1, "source": "a"}, {"number": 2, "source": "b"}]})
    state, said, _ = await served.ask("Analyse the data", part)
    assert state == TaskState.REJECTED
    assert said.startswith("There is no table to analyse.")


@pytest.mark.parametrize(
    ("part", "reason"),
    [
        (Part.from_bytes(b"", "text/csv", filename="none.csv"), "it is empty"),
        (
            Part(raw=b"PK\x03\x04", filename="b.xlsx"),
            "b.xlsx is an Excel file; save it as CSV and attach that.",
        ),
        (Part(raw=b"%PDF-1.4", filename="b.pdf"), "b.pdf is a PDF document"),
        (Part.from_bytes(b"a\n" * 150_000, "text/csv", filename="big.csv"), "it is over"),
        (Part(url="http://10.0.0.7/x.csv", filename="x.csv"), "x.csv was not analysed: its link leads to"),
    ],
)
async def test_files_that_are_no_tables_are_rejected_with_the_reason(
    served: Served, part: Part, reason: str
) -> None:
    state, said, artifacts = await served.ask("Analyse the data", part)
    assert state == TaskState.REJECTED
    assert reason in said
    assert artifacts == []


async def test_a_linked_table_is_fetched_and_analysed(served: Served, service: str) -> None:
    link = Part(url=f"{service}/visits", filename="visits.csv", media_type="text/csv")
    state, _, artifacts = await served.ask("Analyse the data", link)
    assert state == TaskState.COMPLETED
    assert json_of(artifacts[0].parts[1])["rows"] == 72


async def test_a_linked_text_is_fetched_and_summarised(served: Served, service: str) -> None:
    link = Part(url=f"{service}/prose", filename="report.md")
    state, _, (summary,) = await served.ask("Summarise it in one sentence", link)
    assert state == TaskState.COMPLETED
    assert all(entry["text"] in PROSE for entry in json_of(summary.parts[1])["sentences"])


@pytest.mark.parametrize("skill", ["Analyse the table", "Summarise it"])
@pytest.mark.parametrize(
    ("path", "state", "reason"),
    [
        ("/gone", TaskState.REJECTED, "its link answered with status 404."),
        ("/inside", TaskState.REJECTED, "its link leads to an address that this agent may not connect to."),
        # Another try may find it, so that the task has failed and is not refused.
        ("/busy", TaskState.FAILED, "its link answered with status 503."),
        ("/slow", TaskState.FAILED, "its link gave no whole file within 0.5 s."),
    ],
)
async def test_a_link_that_gives_no_file_ends_the_task_with_the_reason(
    served: Served, service: str, skill: str, path: str, state: TaskState, reason: str
) -> None:
    ended, said, artifacts = await served.ask(skill, Part(url=service + path, filename="x.csv"))
    assert (ended, artifacts) == (state, [])
    assert reason in said


async def test_a_link_that_gives_no_file_does_not_keep_the_others(served: Served, service: str) -> None:
    gone = Part(url=f"{service}/gone", filename="x.csv")
    state, _, artifacts = await served.ask("Analyse the data", gone, csv_part())
    assert state == TaskState.COMPLETED
    assert "x.csv was not analysed: its link answered with status 404." in (artifacts[0].parts[0].text or "")


async def test_links_to_this_machine_are_refused_where_the_settings_say_so(
    strict: Served, service: str
) -> None:
    state, said, _ = await strict.ask("Analyse the data", Part(url=f"{service}/visits", filename="x.csv"))
    assert state == TaskState.REJECTED
    assert "may not connect to" in said


async def test_summarise_keeps_citations_that_are_used(served: Served) -> None:
    report = Part.from_text(PROSE, media_type="text/markdown", filename="report.md")
    known = Part.from_data({"citations": [{"number": n, "source": f"f{n}.md"} for n in (1, 2, 3)]})
    state, _, (summary,) = await served.ask("Summarise it in three sentences", report, known)
    assert state == TaskState.COMPLETED
    page, data = summary.parts
    assert page.filename == "summary.md"
    assert [entry["number"] for entry in json_of(data)["citations"]] == [1, 2]
    assert all(entry["text"] in PROSE for entry in json_of(data)["sentences"])


async def test_summarise_without_text_is_rejected(served: Served) -> None:
    state, said, _ = await served.ask("Summarise it in three sentences")
    assert state == TaskState.REJECTED
    assert "Attach a text" in said


async def test_fetch_gives_json_and_one_line(served: Served, service: str) -> None:
    state, _, (response,) = await served.ask(f"Fetch {service}/items?token=secret, please.")
    assert state == TaskState.COMPLETED
    data, line = response.parts
    assert data.data == {"items": [{"a": 1}, {"a": None}]}
    assert line.text is not None
    assert line.text.startswith(f"GET {service}/items?token=... answered 200: 33 bytes of application/json")
    assert "secret" not in line.text


async def test_fetched_text_is_a_file_part(served: Served, service: str) -> None:
    _, _, (response,) = await served.ask(f"Fetch {service}/table")
    part = response.parts[0]
    assert (part.text, part.filename, part.media_type) == ("a,b\n1,2\n", "response.csv", "text/csv")


def carried(artifact: Artifact) -> list[Part]:
    """The parts as the coordinator hands them on: text becomes a named plain text, data stays data."""
    return [
        part
        if part.text is None
        else part.model_copy(
            update={"filename": part.filename or f"response-{number}.txt", "media_type": "text/plain"}
        )
        for number, part in enumerate(artifact.parts, start=1)
    ]


async def test_fetched_rows_are_analysed_and_not_the_receipt(served: Served, service: str) -> None:
    _, _, (response,) = await served.ask(f"Fetch {service}/rows")
    state, _, artifacts = await served.ask("Analyse it", *carried(response))
    assert state == TaskState.COMPLETED
    assert json_of(artifacts[0].parts[1])["rows"] == 30
    assert "not analysed" not in (artifacts[0].parts[0].text or "")


async def test_fetched_csv_is_analysed(served: Served, service: str) -> None:
    _, _, (response,) = await served.ask(f"Fetch {service}/table")
    state, _, artifacts = await served.ask("Analyse it", *carried(response))
    assert state == TaskState.COMPLETED
    assert json_of(artifacts[0].parts[1])["rows"] == 1


async def test_fetched_json_is_summarised_by_its_build_and_its_sentences(
    served: Served, service: str
) -> None:
    _, _, (response,) = await served.ask(f"Fetch {service}/agents")
    state, _, (summary,) = await served.ask("Summarise it", *carried(response))
    assert state == TaskState.COMPLETED
    assert summary.parts[0].text == (
        "The JSON is an object with agents.\nagents has 1 item with name and does.\n\n"
        "Ferry tells when the next ferry leaves the harbour.\n"
    )


async def test_fetched_html_is_summarised_by_its_paragraphs(served: Served, service: str) -> None:
    _, _, (response,) = await served.ask(f"Fetch {service}/page")
    _, _, (summary,) = await served.ask("Summarise it", *carried(response))
    assert summary.parts[0].text == "The harbour opens at six in the morning.\n"


async def test_fetched_json_without_a_table_is_refused_with_the_reason(served: Served) -> None:
    state, said, _ = await served.ask("Analyse it", Part.from_data({"status": {"version": "1"}}))
    assert state == TaskState.REJECTED
    assert said == "There is no table to analyse. The JSON holds no table; send an array of objects."


def pdf_of(text: str) -> bytes:
    writer = pypdf.PdfWriter()
    page = writer.add_blank_page(300, 300)
    kind = {"/Type": "/Font", "/Subtype": "/Type1", "/BaseFont": "/Helvetica"}
    font = DictionaryObject({NameObject(k): NameObject(v) for k, v in kind.items()})
    page[NameObject("/Resources")] = DictionaryObject(
        {NameObject("/Font"): DictionaryObject({NameObject("/F1"): font})}
    )
    stream = DecodedStreamObject()
    stream.set_data(f"BT /F1 9 Tf 10 200 Td ({text}) Tj ET".encode())
    page[NameObject("/Contents")] = stream
    written = io.BytesIO()
    writer.write(written)
    return written.getvalue()


async def test_an_attached_pdf_is_summarised(served: Served) -> None:
    report = pdf_of("The turbine was inspected in March of last year.")
    part = Part.from_bytes(report, "application/pdf", filename="report.pdf")
    state, _, (summary,) = await served.ask("Summarise it", part)
    assert state == TaskState.COMPLETED
    assert summary.parts[0].text == "The turbine was inspected in March of last year.\n"


async def test_a_file_that_is_no_table_is_named_once(served: Served) -> None:
    part = Part(raw=b"PK\x03\x04", filename="report.xlsx")
    _, said, _ = await served.ask("Analyse it", part)
    assert said == (
        "There is no table to analyse. report.xlsx is an Excel file; save it as CSV and attach that."
    )


@pytest.mark.parametrize(
    "attached",
    [
        Part.from_bytes(b"# To be\n\nor not to be", "text/markdown", filename="play.md"),
        Part.from_text("# To be\n\nor not to be", media_type="text/plain", filename="play.md"),
    ],
)
async def test_the_example_agent_counts_the_words_of_an_attached_file(attached: Part) -> None:
    async for counter in serving_app(word_counter.app(AgentSettings(coordinator_url=None))):
        _, said, artifacts = await counter.ask("how many words are in the attached file", attached)
        card = await fetch_card(counter.http, counter.url, timeout_s=5)
        assert (said, [part.text for part in artifacts[0].parts]) == ("", ["7 words"])
        assert set(card.skills[0].input_modes or card.default_input_modes) == {"text/plain", "text/markdown"}


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/gone", "answered with status 404"),
        ("/busy", "answered with status 503"),
        ("/image", "answers with image/png"),
        ("/broken", "not valid JSON"),
        ("/large", "over 4,000 bytes"),
        ("/slow", "did not answer within 0.5 s"),
    ],
)
async def test_failing_fetches_say_why(served: Served, service: str, path: str, said: str) -> None:
    state, words, _ = await served.ask(f"Fetch {service}{path}")
    assert state == TaskState.FAILED
    assert said in words


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("http://user:pw@example.org/", "credentials"),
        ("http://10.0.0.7/items", "may not connect to"),
        ("http://169.254.169.254/latest", "may not connect to"),
        ("http://xn--/items", "it is not a valid URL"),
        ("ftp://example.org/file", "no URL to fetch"),
    ],
)
async def test_forbidden_urls_are_rejected(served: Served, url: str, said: str) -> None:
    state, words, _ = await served.ask(f"Fetch {url}")
    assert state == TaskState.REJECTED
    assert said in words


async def test_a_redirect_to_a_forbidden_address_is_not_followed(served: Served, service: str) -> None:
    state, words, _ = await served.ask(f"Fetch {service}/inside")
    assert state == TaskState.REJECTED
    assert "may not connect to" in words


async def test_loopback_is_refused_where_the_settings_say_so(strict: Served, service: str) -> None:
    state, words, _ = await strict.ask(f"Fetch {service}/items")
    assert state == TaskState.REJECTED
    assert "may not connect to" in words


@pytest.mark.parametrize(
    ("text", "skill"),
    [
        ("analyse the attached weather data", "analyse"),
        ("chart sales by month", "analyse"),
        ("summarise it in three sentences", "summarise"),
        ("fetch https://example.org/data.json", "fetch"),
    ],
)
def test_the_card_leads_to_the_right_skill(text: str, skill: str) -> None:
    found = best_skill(build_agent(ApiAgentSettings()).skills, text)
    assert found is not None
    assert found.id == skill


async def test_the_card_shows_every_skill_with_its_examples(served: Served) -> None:
    card = await fetch_card(served.http, served.url, timeout_s=5)
    assert [skill.id for skill in card.skills] == ["analyse", "summarise", "fetch"]
    assert all(len(skill.examples or []) >= 4 for skill in card.skills)


async def test_work_over_its_time_is_stopped_in_its_thread() -> None:
    stopped = threading.Event()

    def work(budget: Budget) -> None:
        try:
            until = time.monotonic() + 30
            while time.monotonic() < until:
                budget.check()
        except WorkStopped:
            stopped.set()
            raise

    with pytest.raises(TimeoutError):
        await run_bounded(work, timeout_s=0.05)
    assert await asyncio.to_thread(stopped.wait, 5)


class Blocked:
    """Work that ends only when it is interrupted."""

    def __init__(self) -> None:
        self.started, self.interrupted = threading.Event(), threading.Event()

    def interrupt(self) -> None:
        self.interrupted.set()

    def run(self, budget: Budget) -> None:
        with budget.interrupting(self):
            self.started.set()
            self.interrupted.wait(30)


async def test_work_in_a_library_is_interrupted_when_its_caller_cancels() -> None:
    blocked = Blocked()
    running = asyncio.create_task(run_bounded(blocked.run, timeout_s=60))
    await asyncio.to_thread(blocked.started.wait, 5)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert blocked.interrupted.is_set()


async def test_an_analysis_over_its_time_fails_and_says_so() -> None:
    async for agent in serving(ApiAgentSettings(work_timeout_s=0.001)):
        state, said, _ = await agent.ask("Analyse the data", csv_part())
        assert state == TaskState.FAILED
        assert "took over 0.001 s" in said
