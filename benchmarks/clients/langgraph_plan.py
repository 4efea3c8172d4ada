# mypy: ignore-errors
"""Plan and execute on LangGraph, each state kept by its SQLite checkpointer. No model: the plan is given, as
it is to ours."""

import operator
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Annotated, TypedDict

from echo_calls import STEPS, calling, state_of
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph

FILE = "langgraph-plan.db"


class State(TypedDict):
    request: str
    plan: list[str]
    results: Annotated[list[str], operator.add]


def compiled(call: Callable[[str], Awaitable[str]], saver: AsyncSqliteSaver) -> CompiledStateGraph:
    async def plan(_state: State) -> dict:
        return {"plan": list(STEPS)}

    async def execute(state: State) -> dict:
        return {"results": [await call(state["plan"][len(state["results"])])]}

    def what_next(state: State) -> str:
        return "execute" if len(state["results"]) < len(state["plan"]) else END

    builder = StateGraph(State)
    builder.add_node("plan", plan)
    builder.add_node("execute", execute)
    builder.add_edge(START, "plan")
    builder.add_edge("plan", "execute")
    builder.add_conditional_edges("execute", what_next, ["execute", END])
    return builder.compile(checkpointer=saver)


@asynccontextmanager
async def connect(url: str) -> AsyncIterator[Callable[[], Awaitable[str]]]:
    async with calling(url) as call, AsyncSqliteSaver.from_conn_string(FILE) as saver:
        graph = compiled(call, saver)

        async def task() -> str:
            config = {"configurable": {"thread_id": str(uuid.uuid4())}}
            ended = await graph.ainvoke({"request": "echo three times"}, config)
            return state_of(ended["results"])

        yield task
