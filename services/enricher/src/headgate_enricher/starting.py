"""The steps of the enricher's start, for the process that takes them; each imports what it needs when it is taken."""

from __future__ import annotations

from typing import TYPE_CHECKING

from headgate_runtime.kafka.transactions import KafkaTransactionalProducer

if TYPE_CHECKING:
    from headgate_runtime.service import Service

    from headgate_enricher.config import Settings

_SETTLE_TIMEOUT_S = 5.0


def transactional_id(settings: Settings) -> str:
    """The name of this replica's transactions."""
    return f"{settings.group_id}-{settings.instance}"


def settle(settings: Settings) -> None:
    """End the transaction that a killed holder of the transactional id left open: readers wait for it, all of them.

    Raises:
        UnavailableError: The transaction coordinator does not answer.
        RejectedError: This client may not use the transactional id.
    """
    name = transactional_id(settings)
    KafkaTransactionalProducer(settings.kafka, transactional_id=name, timeout_s=_SETTLE_TIMEOUT_S).close()


def preload(settings: Settings) -> None:
    """Import all that the service is made of; raises as :func:`headgate_enricher.preload.preload`."""
    from headgate_enricher import app  # noqa: F401, PLC0415 - see the module
    from headgate_enricher.preload import preload  # noqa: PLC0415

    preload(settings)


def build(settings: Settings) -> Service:
    """Build the service on real clients; raises as :func:`headgate_enricher.app.build`."""
    from headgate_enricher.app import build  # noqa: PLC0415 - see the module

    return build(settings)
