"""Logs are events with fields: readable on a terminal, one JSON object a line elsewhere."""

import logging
import sys

import structlog


def configure_logging(level: str) -> None:
    """Both structlog's events and the standard library's records, at `level` and above."""
    number = logging.getLevelNamesMapping()[level.upper()]
    renderer: structlog.typing.Processor = (
        structlog.dev.ConsoleRenderer() if sys.stderr.isatty() else structlog.processors.JSONRenderer()
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
    logging.getLogger().setLevel(number)
    # One line per job and sweep would drown everything else.
    logging.getLogger("apscheduler").setLevel(max(number, logging.WARNING))
