"""The API agent: its three skills, and the wiring of settings and work."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from functools import partial

from a2a import Agent, Artifact, Part, Progress, Rejected, Request, SkillFailed
from a2a.addresses import AddressPolicy
from a2a.attachments import AttachmentUnreadable, LinkLimits, fetch_links
from agent_servers.api.budget import Budget, run_bounded
from agent_servers.api.documents import documents
from agent_servers.api.errors import TableRefused
from agent_servers.api.fetch import Fetched, Limits, UrlRefused, fetch, find_urls
from agent_servers.api.inputs import MAX_FILES, NOTE, Attached, Tables, is_note, tables
from agent_servers.api.settings import ApiAgentSettings
from agent_servers.api.summaries import (
    Summary,
    read_citations,
    split_instruction,
    summarise_documents,
)
from agent_servers.api.tabulation import Outcome, examine
from agent_servers.api.wording import counted, value

_URL = "http://127.0.0.1:8002"
_WORKERS = 2
_MAX_URLS = 3
# Of files that come as links; what a message carries itself is bounded by AGENT_MAX_BODY_BYTES.
_MAX_LINKED_BYTES = 64 * 2**20
_EXTENSIONS = {
    "text/csv": "csv",
    "text/html": "html",
    "text/markdown": "md",
    "text/tab-separated-values": "tsv",
}


def build_agent(settings: ApiAgentSettings) -> Agent:
    """The agent with its limits from the settings."""
    agent = Agent(
        name="API Agent",
        description="Analyses tables (CSV, TSV, JSON, NDJSON) with figures, evidence and a chart, summarises"
        " texts in sentences of their own, and fetches JSON from HTTP APIs.",
        version="0.1.0",
        url=_URL,
    )
    # Tables take memory: so many at once, the rest waits.
    at_once = asyncio.Semaphore(_WORKERS)
    _add_analyse(agent, settings, at_once)
    _add_summarise(agent, settings, at_once)
    _add_fetch(agent, settings)
    return agent


def _add_analyse(agent: Agent, settings: ApiAgentSettings, at_once: asyncio.Semaphore) -> None:
    @agent.skill(
        id="analyse",
        name="Analyse data",
        description="Analyse, chart and plot tables of data: profile, missing values, outliers,"
        " correlations, comparison by group, trends over time and seasons, with the SQL as evidence.",
        tags=[
            "analyse",
            "analyze",
            "data",
            "csv",
            "json",
            "statistics",
            "chart",
            "plot",
            "trend",
            "correlation",
        ],
        examples=[
            "Analyse the attached weather data",
            "Chart sales by month",
            "Analyze data.csv and plot revenue over time",
            "Which columns of the table are correlated?",
            "Compare temperature by weather type and find outliers",
            "Show the trend of employment in manufacturing",
        ],
        input_modes=(
            "text/csv",
            "text/tab-separated-values",
            "application/json",
            "application/x-ndjson",
            "text/plain",
        ),
        output_modes=("text/markdown", "application/json", "application/sql", "image/svg+xml"),
    )
    async def analyse(request: Request) -> AsyncGenerator[Progress | Artifact]:
        attached = await _files([part for part in request.attachments if not is_note(part)], settings)
        found = await asyncio.to_thread(tables, attached, request.data, settings.max_file_bytes)
        if not found.found:
            raise _refused(_no_table(found), attached)
        failures: list[str] = []
        for number, (name, records) in enumerate(found.found, start=1):
            yield Progress(f"Analysing {name}")
            notes = [*found.notes, *failures] if number == len(found.found) else failures

            work = partial(examine, records=records, name=name, instruction=request.text, notes=tuple(notes))
            try:
                async with at_once:
                    outcome = await run_bounded(work, timeout_s=settings.work_timeout_s)
            except TableRefused as exc:
                failures.append(f"{value(name)} was not analysed: {exc.reason}.")
                continue
            except TimeoutError as exc:
                raise SkillFailed(_too_slow(name, settings)) from exc
            for artifact in _analysis_artifacts(outcome, name, number):
                yield artifact
        if len(failures) == len(found.found):
            raise _refused(_no_table(Tables(notes=[*failures, *found.notes])), attached)


def _policy(settings: ApiAgentSettings) -> AddressPolicy:
    return AddressPolicy(
        allow_loopback=settings.fetch_allow_loopback, allow_private=settings.fetch_allow_private
    )


async def _files(parts: Sequence[Part], settings: ApiAgentSettings) -> list[Attached]:
    """The files, those that came as links fetched."""
    limits = LinkLimits(settings.max_file_bytes, _MAX_LINKED_BYTES, settings.fetch_timeout_s)
    return await fetch_links(parts[:MAX_FILES], _policy(settings), limits)


def _refused(text: str, attached: Sequence[Attached]) -> Rejected | SkillFailed:
    """Another try makes sense where a link may give its file later."""
    lost = [item for item in attached if isinstance(item, AttachmentUnreadable)]
    return SkillFailed(text, retryable=True) if any(item.retryable for item in lost) else Rejected(text)


def _too_slow(name: str, settings: ApiAgentSettings) -> str:
    return f"{value(name)} took over {settings.work_timeout_s:g} s; send fewer rows or columns."


def _no_table(found: Tables) -> str:
    what_to_do = found.notes[:5] or ["Attach a CSV, TSV, JSON or NDJSON file."]
    return f"There is no table to analyse. {' '.join(what_to_do)}"


def _analysis_artifacts(outcome: Outcome, name: str, number: int) -> list[Artifact]:
    suffix = "" if number == 1 else f"-{number}"
    found = [
        Artifact.of(
            Part.from_text(outcome.markdown, media_type="text/markdown", filename=f"analysis{suffix}.md"),
            Part.from_data(outcome.data),
            *_evidence(outcome, f"evidence{suffix}.sql"),
            name="analysis",
            description=f"Findings in {name}: {outcome.headline}",
        )
    ]
    if outcome.chart and outcome.svg:
        found.append(
            Artifact.of(
                Part.from_bytes(outcome.svg, "image/svg+xml", filename=f"chart{suffix}.svg"),
                Part.from_data(outcome.chart.spec),
                name="chart",
                description=outcome.chart.title,
            )
        )
    return found


def _evidence(outcome: Outcome, filename: str) -> list[Part]:
    if not outcome.evidence:
        return []
    return [Part.from_bytes(outcome.evidence.encode(), "application/sql", filename=filename)]


def _add_summarise(agent: Agent, settings: ApiAgentSettings, at_once: asyncio.Semaphore) -> None:
    @agent.skill(
        id="summarise",
        name="Summarise text",
        description="Summarise texts, reports and pages in sentences quoted from them, in the length asked"
        " for: sentences, bullet points, words or paragraphs. Citations are kept.",
        tags=["summarise", "summarize", "summary", "condense", "shorten", "tldr", "key points"],
        examples=[
            "Summarise it in three sentences",
            "Summarize the attached report in five bullet points",
            "Give me a short summary of the findings",
            "Write a summary of the text in 100 words",
            "Condense the article into one paragraph",
        ],
        input_modes=("text/plain", "text/markdown", "text/html", "application/json", "application/pdf"),
        output_modes=("text/markdown", "application/json"),
    )
    async def summarise(request: Request) -> Artifact:
        parts = [part for part in request.message.parts if not is_note(part)]
        spoken = [part.text for part in parts if part.text is not None and not part.is_attachment]
        attached = await _files([part for part in parts if part.is_attachment], settings)
        instruction, own = split_instruction(spoken[0]) if spoken else ("", "")

        def work(_: Budget) -> tuple[Summary, list[str]]:
            said = [own, *spoken[1:]]
            found, notes = documents(attached, request.data, said, settings.max_file_bytes)
            return summarise_documents(found, instruction, read_citations(request.data)), notes

        try:
            async with at_once:
                summary, notes = await run_bounded(work, timeout_s=settings.work_timeout_s)
        except TimeoutError as exc:
            raise SkillFailed("The text is too long to summarise in time; send a part of it.") from exc
        if not summary.sentences and not summary.outline:
            raise _refused(_no_text(notes), attached)
        return Artifact.of(
            Part.from_text(summary.markdown(notes), media_type="text/markdown", filename="summary.md"),
            Part.from_data(summary.data()),
            name="summary",
            description=f"{counted(len(summary.sentences), 'sentence')} quoted from the text",
        )


def _no_text(notes: Sequence[str]) -> str:
    reasons = f" {' '.join(notes[:5])}" if notes else ""
    return (
        f"There is no text with whole sentences to summarise.{reasons} Attach a text, Markdown or HTML file,"
        " or put the text after the instruction."
    )


def _add_fetch(agent: Agent, settings: ApiAgentSettings) -> None:
    policy = _policy(settings)
    limits = Limits(settings.fetch_timeout_s, settings.fetch_max_bytes)

    @agent.skill(
        id="fetch",
        name="Fetch from an API",
        description="Fetch JSON or text from an HTTP API by its URL (GET http or https).",
        tags=["fetch", "get", "http", "https", "url", "api", "download", "request", "json"],
        examples=[
            "Fetch https://api.example.com/v1/items",
            "Get the JSON from https://example.com/data.json",
            "Call the API at https://api.example.com/status",
            "Download http://localhost:9000/metrics.json",
        ],
        input_modes=("text/plain",),
        output_modes=("application/json", "text/plain"),
    )
    async def fetch_urls(request: Request) -> AsyncGenerator[Progress | Artifact]:
        urls = find_urls(request.text)
        if not urls:
            raise Rejected("There is no URL to fetch. Name one that starts with https:// or http://.")
        if len(urls) > _MAX_URLS:
            raise Rejected(f"There are {len(urls)} URLs; at most {_MAX_URLS} are fetched at a time.")
        for url in urls:
            try:
                fetched = await fetch(url, policy, limits)
            except UrlRefused as exc:
                raise Rejected(f"The URL is not fetched: {exc.reason}.") from exc
            yield _response(fetched)


def _response(fetched: Fetched) -> Artifact:
    if fetched.is_json:
        content = Part.from_data(fetched.value)
    else:
        name = f"response.{_EXTENSIONS.get(fetched.media_type, 'txt')}"
        content = Part.from_text(fetched.value, media_type=fetched.media_type, filename=name)
    receipt = Part.from_text(fetched.line(), metadata={NOTE: True})
    return Artifact.of(content, receipt, name="response", description=fetched.line())
