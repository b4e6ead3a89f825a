"""Where a stack's tables are: files with a catalog in SQLite, or SeaweedFS."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


class Lake(StrEnum):
    """A kind of lake; what another kind stored before stays where it is and is not seen."""

    FILES = "files"
    SEAWEEDFS = "seaweedfs"


def files_catalog(data: Path) -> dict[str, str]:
    """Properties of the catalog in SQLite below a data folder."""
    return {
        "name": "headgate",
        "type": "sql",
        "uri": f"sqlite:///{data / 'iceberg' / 'catalog.db'}",
        "warehouse": f"file://{data / 'iceberg' / 'warehouse'}",
    }
