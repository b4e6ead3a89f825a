"""Logs as JSON lines: ts, level, service, instance, event and the fields given. Payload values never go in."""

from __future__ import annotations

import logging
import sys
import traceback
from typing import TYPE_CHECKING

import structlog

if TYPE_CHECKING:
    from structlog.typing import EventDict, Processor


def without_text(error: BaseException) -> dict[str, str]:
    """Give fields that say what was raised and where; its text is not among them, for it may quote a payload."""
    return {"error": type(error).__name__, "traceback": "".join(traceback.format_tb(error.__traceback__))}


def configure_logs(service: str, level: str, *, instance: str) -> None:
    """Send every log line of the process, those of libraries included, to standard output as JSON.

    Args:
        service: Name of the service, in every line.
        level: Least level that is written: DEBUG, INFO, WARNING, ERROR or CRITICAL.
        instance: Name of the replica, in every line.
    """

    def identify(_: object, __: str, event: EventDict) -> EventDict:
        return {**event, "service": service, "instance": instance}

    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="ts"),
        identify,
        structlog.processors.format_exc_info,  # a plain traceback: one with locals would show payloads
    ]
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(),
            ],
        )
    )
    logging.basicConfig(handlers=[handler], level=level.upper(), force=True)
    logging.getLogger("headgate.audit").setLevel(logging.INFO)  # whatever the level: who did what is always written
    for library in ("httpx", "uvicorn.access"):
        logging.getLogger(library).setLevel(logging.WARNING)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
