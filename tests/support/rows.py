"""Rows that satisfy every constraint, for tests that need one to start from."""

from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection, insert

from models.ids import new_id
from models.states import HealthState, StepStatus, TaskStatus
from models.tables import Agent, Session, Task, TaskStep

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def insert_session(connection: Connection) -> str:
    session_id = new_id("session")
    connection.execute(insert(Session).values(id=session_id, created_at=NOW, updated_at=NOW))
    return session_id


def insert_task(connection: Connection, **columns: object) -> str:
    """A pending task in a session of its own; `columns` replace what is usual."""
    values: dict[str, object] = {
        "id": new_id("task"),
        "description": "count the words",
        "strategy": "auto",
        "approval": "none",
        "status": TaskStatus.PENDING,
        "gaps": [],
        "last_event": 0,
        "deadline_at": NOW + timedelta(hours=1),
        "created_at": NOW,
        "updated_at": NOW,
        **columns,
    }
    values.setdefault("session_id", insert_session(connection))
    connection.execute(insert(Task).values(values))
    return str(values["id"])


def insert_step(connection: Connection, task_id: str, **columns: object) -> str:
    values: dict[str, object] = {
        "id": new_id("step"),
        "task_id": task_id,
        "number": 1,
        "instruction": "count the words",
        "skill_id": "count",
        "requirement": "required",
        "depends_on": [],
        "status": StepStatus.PENDING,
        "attempt": 0,
        "failed_agents": [],
        "may_have_run_twice": False,
        **columns,
    }
    connection.execute(insert(TaskStep).values(values))
    return str(values["id"])


def insert_agent(connection: Connection, **columns: object) -> str:
    agent_id = new_id("agent")
    values: dict[str, object] = {
        "id": agent_id,
        "card_url": f"http://127.0.0.1/{agent_id}.json",
        "url": "http://127.0.0.1/",
        "name": "Counter",
        "description": "Counts.",
        "version": "1.0.0",
        "card": {},
        "streaming": True,
        "health": HealthState.UP,
        "health_reason": "",
        "health_since": NOW,
        "failures": 0,
        "successes": 0,
        "registered_at": NOW,
        "updated_at": NOW,
        **columns,
    }
    connection.execute(insert(Agent).values(values))
    return agent_id
