"""The A2A protocol: types, errors, client and server. Knows nothing of Parley."""

import a2a.quick_start  # isort: skip  # noqa: F401 has to come first
from a2a.agent import Agent
from a2a.skill import (
    AuthRequired,
    InputRequired,
    Progress,
    Rejected,
    Reply,
    Request,
    SkillFailed,
)
from a2a.types import Artifact, Message, Part, Task, TaskState

__all__ = [
    "Agent",
    "Artifact",
    "AuthRequired",
    "InputRequired",
    "Message",
    "Part",
    "Progress",
    "Rejected",
    "Reply",
    "Request",
    "SkillFailed",
    "Task",
    "TaskState",
]
