"""The steps of the processor's start, for the process that takes them; each imports what it needs when it is taken."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from headgate_runtime.service import Service

    from headgate_processor.config import Settings

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
    from headgate_runtime.kafka.transactions import KafkaTransactionalProducer  # noqa: PLC0415 - see the module

    name = transactional_id(settings)
    KafkaTransactionalProducer(settings.kafka, transactional_id=name, timeout_s=_SETTLE_TIMEOUT_S).close()


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
