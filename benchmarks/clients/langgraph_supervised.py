# mypy: ignore-errors
"""langgraph-supervisor with one agent, which makes the A2A call, and the SQLite checkpointer. In the place of
a model is a script that hands over three times and ends, so that only the framework is measured."""

import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from echo_calls import STEPS, calling, state_of
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph_supervisor import create_supervisor

FILE = "langgraph-supervised.db"
ECHO = "echo"


class Script(BaseChatModel):
    @property
    def _llm_type(self) -> str:
        return "script"

    def bind_tools(self, _tools: Any, **_options: Any) -> "Script":
        return self

    def _generate(self, messages: list[BaseMessage], *_: Any, **__: Any) -> ChatResult:
        if len(results(messages)) == len(STEPS):
            said = AIMessage("all said")
        else:
            handover = {"name": "transfer_to_echo", "args": {}, "id": str(uuid.uuid4())}
            said = AIMessage("", tool_calls=[handover])
        return ChatResult(generations=[ChatGeneration(message=said)])

    async def _agenerate(self, messages: list[BaseMessage], *_: Any, **__: Any) -> ChatResult:
        return self._generate(messages)  # the default takes a thread


def results(messages: list[BaseMessage]) -> list[str]:
    """What the agent said; the messages with which it hands back have a tool call."""
    return [m.content for m in messages if isinstance(m, AIMessage) and m.name == ECHO and not m.tool_calls]


def compiled(call: Callable[[str], Awaitable[str]], saver: AsyncSqliteSaver) -> CompiledStateGraph:
    async def echo(state: MessagesState) -> dict:
        said = await call(STEPS[len(results(state["messages"]))])
        return {"messages": [AIMessage(said, name=ECHO)]}

    agent = StateGraph(MessagesState)
    agent.add_node("call", echo)
    agent.add_edge(START, "call")
    agent.add_edge("call", END)
    supervisor = create_supervisor([agent.compile(name=ECHO)], model=Script())
    return supervisor.compile(checkpointer=saver)


@asynccontextmanager
async def connect(url: str) -> AsyncIterator[Callable[[], Awaitable[str]]]:
    async with calling(url) as call, AsyncSqliteSaver.from_conn_string(FILE) as saver:
        graph = compiled(call, saver)

        async def task() -> str:
            config = {"configurable": {"thread_id": str(uuid.uuid4())}}
            ended = await graph.ainvoke({"messages": [("user", "echo three times")]}, config)
            return state_of(results(ended["messages"]))

        yield task
