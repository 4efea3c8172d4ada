"""The errors of the API agent's insides; agent.py turns each into an outcome of the protocol.

ApiAgentError
├── TableRefused     the bytes are no table we can read; the text says what to send instead
├── WorkStopped      the caller left or the time is over
└── ChartFailed      the renderer refused the chart
"""


class ApiAgentError(Exception):
    """Base of the package's errors."""


class TableRefused(ApiAgentError):
    """`reason` is one sentence for the person who sent the file."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


class WorkStopped(ApiAgentError):
    """Raised inside the worker thread at the next check after the budget was stopped."""


class ChartFailed(ApiAgentError):
    """The chart could not be drawn; the findings stand without it."""
