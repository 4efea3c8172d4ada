"""The answer as it is handed out: citations, the page and the data part. Adds no statement of its own
beyond headings and what was not found."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from agent_servers.research.choose import Finding
from agent_servers.research.outline import layout
from agent_servers.research.passages import Passage, cells

_QUOTE_CHARS = 700


@dataclass(frozen=True, slots=True)
class Citation:
    """`passage` stands word for word at `locator` of `source`."""

    number: int
    source: str
    title: str
    locator: str
    passage: str


@dataclass(frozen=True, slots=True)
class Answer:
    question: str
    findings: tuple[Finding, ...]
    citations: tuple[Citation, ...]
    gaps: tuple[str, ...]
    rounds: int
    queries: tuple[str, ...]
    searched: int

    def data(self) -> dict[str, Any]:
        """The data part of the artifact."""
        return {
            "question": self.question,
            "citations": [asdict(citation) for citation in self.citations],
            "gaps": list(self.gaps),
            "rounds": self.rounds,
            "queries": list(self.queries),
        }


def cite(findings: Sequence[Finding], limit: int) -> tuple[list[Finding], list[Citation]]:
    """Number the findings. Neighbouring sentences of one passage share a citation; findings beyond
    the limit of citations are dropped."""
    numbered: list[Finding] = []
    spans: list[tuple[Passage, int, int]] = []
    for finding in findings:
        start, end = finding.sentence.start, finding.sentence.start + len(finding.sentence.text)
        if spans and spans[-1][0] is finding.passage and end - spans[-1][1] <= _QUOTE_CHARS:
            spans[-1] = (finding.passage, spans[-1][1], end)
        elif len(spans) < limit:
            spans.append((finding.passage, start, end))
        else:
            break
        numbered.append(replace(finding, number=len(spans)))
    return numbered, [_citation(number, *span) for number, span in enumerate(spans, start=1)]


def _citation(number: int, passage: Passage, start: int, end: int) -> Citation:
    document = passage.document
    return Citation(
        number,
        document.name,
        " > ".join(passage.headings) or document.title,
        document.locator(start, end, passage.headings),
        document.text[start:end],
    )


def markdown(answer: Answer, skipped: Sequence[str] = ()) -> str:
    """The answer as a page: findings with [n], what was not found, the sources, and a line for each
    file that could not be used."""
    lines = [f"# {_one_line(answer.question[:1].upper() + answer.question[1:])}", ""]
    if not answer.findings:
        lines += [_nothing_found(answer), ""]
        return "\n".join([*lines, *_skipped_table(skipped)])
    section = None
    for finding in answer.findings:
        if finding.section != section:
            section = finding.section
            lines += [f"## {_one_line(_heading(finding))}", ""]
        lines += [_quoted(finding), ""]
    if answer.gaps:
        lines += [
            "## Not found",
            "",
            f"No passage that fits the question covers: {', '.join(answer.gaps)}.",
            "",
        ]
    return "\n".join([*lines, *_source_table(answer.citations), "", *_skipped_table(skipped)])


def _heading(finding: Finding) -> str:
    headings = finding.passage.headings[-2:]
    return " > ".join(headings) or finding.passage.document.title


def _quoted(finding: Finding) -> str:
    if finding.passage.columns:
        return f"{_row_in_words(finding)} [{finding.number}]"
    if len(finding.rows) == 1:
        return f"{finding.sentence.flat} [{finding.number}]"
    return f"{layout(list(finding.rows), finding.shown)} [{finding.number}]"


def _row_in_words(finding: Finding) -> str:
    """A table row cell by cell, each named by its column where the table is regular."""
    columns, row = finding.passage.columns, cells(finding.sentence.flat)
    if len(columns) != len(row):
        return ", ".join(cell for cell in row if cell)
    named = [(column, cell) for column, cell in zip(columns, row, strict=True) if cell]
    return "; ".join(f"{column}: {cell}" if column else cell for column, cell in named)


def _nothing_found(answer: Answer) -> str:
    count = "1 document" if answer.searched == 1 else f"{answer.searched} documents"
    return (
        f"Nothing in the {count} searched supports an answer to this question. "
        f"Searched for: {'; '.join(answer.queries) or 'nothing'}. "
        "Attach a document that covers it, or add one to the library."
    )


def _source_table(citations: Sequence[Citation]) -> Iterator[str]:
    """A table, so that whoever summarises the page does not take the sources for statements."""
    yield "## Sources"
    yield ""
    yield "| no. | file | section | where |"
    yield "|---|---|---|---|"
    for citation in citations:
        cells: Mapping[str, str] = asdict(citation)
        file, title, where = (_cell(cells[key]) for key in ("source", "title", "locator"))
        yield f"| [{citation.number}] | {file} | {title} | {where} |"


def _skipped_table(skipped: Sequence[str]) -> Iterator[str]:
    if skipped:
        yield from ("## Files left out", "", "| file |", "|---|")
        yield from (f"| {_cell(line)} |" for line in skipped)
        yield ""


def _cell(text: str) -> str:
    return _one_line(text).replace("|", "/")


def _one_line(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 160 else line[:157] + "..."
