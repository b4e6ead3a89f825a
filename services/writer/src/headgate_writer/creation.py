"""Makes the tables that topics are stored in before any writer runs: the writer's part of ``headgate setup``."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Final

from headgate_writer.catalog import open_catalog
from headgate_writer.opening import open_for_topic
from headgate_writer.personal import Guard

if TYPE_CHECKING:
    from collections.abc import Mapping

    from headgate_schemas import Contracts

_ANY_KEY: Final = b""  # a column of hashes is the same under every key


def create_tables(contracts: Contracts, catalog: Mapping[str, str]) -> list[str]:
    """Create the tables that are missing, and widen those that lack columns; harmless when repeated and beside writers.

    Args:
        contracts: Whose topics are stored.
        catalog: Properties as pyiceberg takes them, ``name`` among them.

    Returns:
        The names of all tables that there are now.

    Raises:
        ConfigurationError: The properties describe no catalog, or a table cannot hold what its contract says.
        RejectedError: The catalog refuses the credentials.
        UnavailableError: The catalog does not answer.
    """
    stored = [(topic, topic.table) for topic in contracts.topics.values() if topic.table is not None]
    with closing(open_catalog(catalog)) as opened:
        for topic, table in stored:
            record = contracts.record(topic.record)
            open_for_topic(opened, topic, table, Guard(table.pii, _ANY_KEY, record), record)
    return sorted({table.name for _, table in stored})
