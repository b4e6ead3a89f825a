"""The steps of the writer's start, for the process that takes them; each imports what it needs when it is taken."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from headgate_runtime.service import Service

    from headgate_writer.config import Settings


def preload(settings: Settings) -> None:
    """Import all that the service is made of, and open nothing: no store, no catalog, no broker, no thread that calls one.

    NumPy and Arrow's allocator start a thread each when they are imported, and make both anew in a fork.

    Raises:
        ConfigurationError: There is no such catalog.
    """
    from headgate_runtime.native import installed_decoder  # noqa: PLC0415

    from headgate_writer import app  # noqa: F401, PLC0415 - see the module
    from headgate_writer.catalog import catalog_client  # noqa: PLC0415

    import_module("pyiceberg_core.transform")  # pyiceberg's, for partition values
    catalog_client(settings.catalog.get("type"))
    installed_decoder()
    if settings.lineage.transport:
        from headgate_writer.lineage import assembly  # noqa: F401, PLC0415


def build(settings: Settings) -> Service:
    """Build the service on real clients; raises as :func:`headgate_writer.app.build`."""
    from headgate_writer.app import build  # noqa: PLC0415 - see the module

    return build(settings)
