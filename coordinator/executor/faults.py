"""Named points at which a test may stop time or kill the process; they do nothing elsewhere.

`after_commit:<kind of event>` comes once the event is durable; `before_send` and `after_send` stand around
each message to an agent: nothing of it has gone out, or its answer has come and nothing is written of it.
"""

from collections.abc import Callable
from typing import TypeAlias

Fault: TypeAlias = Callable[[str], None]

BEFORE_SEND = "before_send"
AFTER_SEND = "after_send"
BEFORE_CANCEL = "before_cancel"
AFTER_CANCEL = "after_cancel"
AFTER_CLAIM = "after_claim"
BEFORE_COMMIT = "before_commit"
AFTER_CREATE = "after_commit:task.created"


def after_commit(kind: str) -> str:
    return f"after_commit:{kind}"


def no_fault(_point: str) -> None:
    pass
