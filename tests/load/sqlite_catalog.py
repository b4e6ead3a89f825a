"""Makes the local Iceberg catalog's own tables before several processes open it at once, where no setup has run."""

from __future__ import annotations

from pathlib import Path

from pyiceberg.catalog.sql import SqlCatalog


def create_tables(properties: dict[str, str]) -> None:
    """Create a SQLite catalog's tables where they are missing; two processes doing so at once would collide."""
    if properties["type"] != "sql":
        return
    Path(properties["uri"].removeprefix("sqlite:///")).parent.mkdir(parents=True, exist_ok=True)
    catalog = SqlCatalog(**properties)
    catalog.engine.dispose()
