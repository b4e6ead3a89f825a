"""Where data is, by the names that OpenLineage gives to Kafka topics and to Iceberg tables."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit, urlunsplit

if TYPE_CHECKING:
    from collections.abc import Mapping


class Place(NamedTuple):
    """A dataset's namespace and its name there."""

    namespace: str
    name: str


@dataclass(frozen=True, slots=True)
class TablePlace:
    """Where a table is.

    Attributes:
        physical: Its location in the store: what identifies it, whoever reads it through whichever catalog.
        logical: Its name in the catalog.
        catalog_name: As configured.
        catalog_type: ``rest``, ``sql``, ``glue``, ...
        warehouse: Where the catalog's tables are; None where it is not said here.
    """

    physical: Place
    logical: Place
    catalog_name: str
    catalog_type: str
    warehouse: str | None


def table_place(name: str, location: str, catalog: Mapping[str, str]) -> TablePlace:
    """Say where a table is.

    Args:
        name: Name with namespace.
        location: Its location, as its metadata has it.
        catalog: The catalog's properties.
    """
    kind, called = catalog.get("type", "rest"), catalog.get("name", "headgate")
    return TablePlace(
        physical=stored_place(location),
        logical=Place(_without_user(catalog.get("uri", f"{kind}://{called}")), name),
        catalog_name=called,
        catalog_type=kind,
        warehouse=catalog.get("warehouse"),
    )


def stored_place(location: str) -> Place:
    """A location in a store: ``s3://bucket/path`` is ``path`` in ``s3://bucket``, a local folder its path in ``file``."""
    parts = urlsplit(location)
    if parts.scheme in {"", "file"}:
        return Place("file", parts.path)
    return Place(f"{parts.scheme}://{parts.netloc}", parts.path.lstrip("/"))


def kafka_namespace(bootstrap_servers: str) -> str:
    """The namespace of a cluster's topics: its first broker stands for all."""
    return f"kafka://{bootstrap_servers.split(',', maxsplit=1)[0].strip().rpartition('://')[2]}"


def _without_user(uri: str) -> str:
    parts = urlsplit(uri)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2])) if "@" in parts.netloc else uri
