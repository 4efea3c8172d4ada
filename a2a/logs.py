"""Logs are events with fields, on standard error: lines for people, or one JSON object a line."""

import logging
import sys
from typing import Literal

import structlog

LogLevel = Literal["debug", "info", "warning", "error"]
LogFormat = Literal["text", "json"]


def configure_logging(level: LogLevel, format_: LogFormat) -> None:
    """For the process: structlog's events and the standard library's records, at `level` and above.

    structlog's own default prints the local variables of each frame of a traceback, which are what callers
    sent; a plain traceback does not.
    """
    number = logging.getLevelNamesMapping()[level.upper()]
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *(_json() if format_ == "json" else _text()),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
    logging.getLogger().setLevel(number)
    # One line per scheduled job and per request would drown everything else.
    for name in ("apscheduler", "httpx", "alembic"):
        logging.getLogger(name).setLevel(max(number, logging.WARNING))


def _json() -> list[structlog.typing.Processor]:
    return [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]


def _text() -> list[structlog.typing.Processor]:
    return [
        structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(),
            pad_event_to=0,
            exception_formatter=structlog.dev.plain_traceback,
        )
    ]
