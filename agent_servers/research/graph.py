"""The research graph: plan -> search -> read -> check, again while gaps and rounds remain, -> write.

LangGraph is imported when the first graph is built: it costs more memory than the rest of the agent.
"""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypedDict

from agent_servers.extract import words
from agent_servers.research.answer import Answer, cite
from agent_servers.research.choose import RELEVANT, choose
from agent_servers.research.question import (
    Query,
    Question,
    Term,
    first_queries,
    next_queries,
)
from agent_servers.research.search import Hit, Scale, Sources, company, judge

if TYPE_CHECKING:
    from langgraph.graph.state import CompiledStateGraph

_MAX_HITS = 60


class State(TypedDict, total=False):
    """What the nodes hand on. `pending` are the queries of the coming search."""

    question: Question
    scale: Scale
    pending: list[Query]
    asked: list[Query]
    found: list[Hit]
    hits: list[Hit]
    gaps: list[Term]
    rounds: int
    answer: Answer


@dataclass(frozen=True, slots=True)
class Context:
    """What stays the same during one run."""

    sources: Sources
    documents: int
    max_rounds: int
    max_citations: int


@dataclass(frozen=True, slots=True)
class Round:
    """A search round that has ended, and the words still without a passage."""

    number: int
    gaps: tuple[str, ...]


class Research:
    """Bind the nodes to one run's context."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def plan(self, state: State) -> State:
        question = state["question"]
        queries = first_queries(question)
        parts = [query.stems for query in queries[1:]]
        scale = self._context.sources.scale(question, parts)
        return {"scale": scale, "pending": queries, "asked": [], "hits": [], "rounds": 0}

    def search(self, state: State) -> State:
        found: dict[int, Hit] = {}
        for query in state["pending"]:
            for hit in self._context.sources.search(query, state["scale"]):
                found.setdefault(id(hit.passage), hit)
        return {
            "found": list(found.values()),
            "asked": state["asked"] + state["pending"],
            "rounds": state["rounds"] + 1,
        }

    def read(self, state: State) -> State:
        """Keep the passages worth quoting from; those of earlier rounds are judged again, because a
        new round may have accepted other forms of a word."""
        scale = state["scale"]
        for query in state["pending"]:
            if query.why and query.why not in query.stems:
                scale = scale.accepting(query.why, query.stems)
        passages = {id(hit.passage): hit.passage for hit in state["hits"] + state["found"]}
        hits = [judge(passage, scale) for passage in passages.values()]
        hits.sort(key=lambda hit: -hit.relevance)
        kept = [hit for hit in hits[:_MAX_HITS] if hit.relevance > 0]
        return {"scale": scale, "hits": kept}

    def check(self, state: State) -> State:
        """Which terms have no passage yet, and how to ask for them otherwise."""
        supported = {s for h in state["hits"] if h.relevance >= RELEVANT for s in h.covers}
        gaps = [term for term in state["question"].terms if term.stem not in supported]
        pending: list[Query] = []
        if gaps and state["rounds"] < self._context.max_rounds:
            sources = self._context.sources
            tried = {query.why for query in state["asked"] if query.why}
            related = {gap.stem: sources.related(gap.stem) for gap in gaps if gap.stem not in tried}
            known = frozenset(state["question"].stems)
            near = company([h for h in state["hits"] if h.relevance >= RELEVANT], known, 3)
            asked = {query.stems for query in state["asked"]}
            pending = next_queries(gaps, related, near, asked)
        return {"gaps": gaps, "pending": pending}

    def write(self, state: State) -> State:
        limit = self._context.max_citations
        findings = choose(state["hits"], state["scale"], limit)
        numbered, citations = cite(findings, limit)
        covered = state["scale"].covered(
            stem for f in numbered for stem in words(f"{f.sentence.text} {f.passage.context}")
        )
        gaps = [term.word for term in state["question"].terms if term.stem not in covered]
        answer = Answer(
            question=state["question"].topic,
            findings=tuple(numbered),
            citations=tuple(citations),
            gaps=tuple(dict.fromkeys(gaps)),
            rounds=state["rounds"],
            queries=tuple(query.text for query in state["asked"]),
            searched=self._context.documents,
        )
        return {"answer": answer}


async def run(question: Question, context: Context) -> AsyncIterator[Round | Answer]:
    """Research one question: a Round after each search, the Answer last."""
    graph = await asyncio.to_thread(_graph, Research(context))
    rounds = 0
    async for update in graph.astream({"question": question}, stream_mode="updates"):
        if check := update.get("check"):
            rounds += 1
            yield Round(rounds, tuple(term.word for term in check["gaps"]))
        if write := update.get("write"):
            yield write["answer"]


def _graph(research: Research) -> "CompiledStateGraph[State, None, State, State]":
    from langgraph.graph import END, START, StateGraph

    graph = StateGraph(State)
    # Plain functions: LangGraph runs them in threads, so that SQLite never blocks the event loop.
    graph.add_node("plan", research.plan)
    graph.add_node("search", research.search)
    graph.add_node("read", research.read)
    graph.add_node("check", research.check)
    graph.add_node("write", research.write)
    graph.add_edge(START, "plan")
    graph.add_edge("plan", "search")
    graph.add_edge("search", "read")
    graph.add_edge("read", "check")
    graph.add_conditional_edges("check", _after_check, ["search", "write"])
    graph.add_edge("write", END)
    return graph.compile()


def _after_check(state: State) -> str:
    return "search" if state["pending"] else "write"
