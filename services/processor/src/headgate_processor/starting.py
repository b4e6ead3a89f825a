"""The steps of the processor's start, for the process that takes them; each imports what it needs when it is taken."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from headgate_runtime.service import Service

    from headgate_processor.config import Settings


def transactional_id(settings: Settings) -> str:
    """The name of this replica's transactions."""
    return f"{settings.group_id}-{settings.instance}"


def settle(settings: Settings) -> None:
    """End what a killed predecessor left open; raises as :func:`headgate_runtime.kafka.transactions.settle`."""
    from headgate_runtime.kafka.transactions import settle  # noqa: PLC0415 - see the module

    settle(settings.kafka, transactional_id(settings))


def preload(_: Settings) -> None:
    """Import all that the service is made of, and open nothing."""
    import pyarrow.compute  # noqa: F401, PLC0415 - see the module
    from headgate_runtime.native import installed_decoder  # noqa: PLC0415

    from headgate_processor import app  # noqa: F401, PLC0415

    installed_decoder()


def build(settings: Settings) -> Service:
    """Build the service on real clients; raises as :func:`headgate_processor.app.build`."""
    from headgate_processor.app import build  # noqa: PLC0415 - see the module

    return build(settings)
