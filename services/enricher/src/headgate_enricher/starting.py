"""The steps of the enricher's start, for the process that takes them; each imports what it needs when it is taken."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from headgate_runtime.service import Service

    from headgate_enricher.config import Settings


def transactional_id(settings: Settings) -> str:
    """The name of this replica's transactions."""
    return f"{settings.group_id}-{settings.instance}"


def settle(settings: Settings) -> None:
    """End what a killed predecessor left open; raises as :func:`headgate_runtime.kafka.transactions.settle`."""
    from headgate_runtime.kafka.transactions import settle  # noqa: PLC0415 - see the module

    settle(settings.kafka, transactional_id(settings))


def preload(settings: Settings) -> None:
    """Import all that the service is made of; raises as :func:`headgate_enricher.preload.preload`."""
    from headgate_enricher import app  # noqa: F401, PLC0415 - see the module
    from headgate_enricher.preload import preload  # noqa: PLC0415

    preload(settings)


def build(settings: Settings) -> Service:
    """Build the service on real clients; raises as :func:`headgate_enricher.app.build`."""
    from headgate_enricher.app import build  # noqa: PLC0415 - see the module

    return build(settings)
