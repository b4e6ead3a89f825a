"""Views over stored topics in standard SQL, which DuckDB, Trino and Athena take: rendered here, run by others.

Names stand in double quotes, for a field may be called like a word of SQL. Spark takes them in its ANSI mode with
``spark.sql.ansi.doubleQuotedIdentifiers``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from headgate_schemas.errors import ContractError
from headgate_schemas.pii import treatments

if TYPE_CHECKING:
    from collections.abc import Iterable

    from headgate_schemas.records import RecordSchema
    from headgate_schemas.topics import RowVersions, TopicContract

SUFFIX = "_latest"
_RANK = "headgate_rank"


def latest_view(topic: TopicContract, record: RecordSchema) -> str:
    """The statement that makes the view ``<table>_latest`` of a stored topic: of each key the row that holds now.

    Its columns are the record's that are stored, in the record's order: a new version of the record makes a new view.

    Raises:
        ContractError: The contract names no table, or no versions of its rows.
    """
    table = topic.table
    if table is None or table.versions is None:
        raise ContractError(
            f"{topic.topic}.yaml: table.versions: is not there; name the key of a row and what orders it"
        )
    found, names = treatments(record, table.pii), (field["name"] for field in record.raw["fields"])
    rows = latest_rows(table.name, table.versions, (name for name in names if found.of(name) != "drop"))
    return f"CREATE OR REPLACE VIEW {_quoted(table.name + SUFFIX)} AS\n{rows}"


def latest_rows(source: str, versions: RowVersions, columns: Iterable[str]) -> str:
    """The query for the row of each key that holds now; exactly one a key, whatever is in the table.

    Args:
        source: Name of the table.
        versions: What rows share, and what orders them.
        columns: Columns wanted.
    """
    key, by = _quoted(versions.key), _quoted(versions.by)
    return (
        f"SELECT {', '.join(map(_quoted, columns))}\n"  # noqa: S608 - every name is in quotes
        f"FROM (\n"
        f"  SELECT *, ROW_NUMBER() OVER (PARTITION BY {key} ORDER BY {by} DESC) AS {_RANK}\n"
        f"  FROM {_quoted(source)}\n"
        f") AS versions\n"
        f"WHERE {_RANK} = 1"
    )


def _quoted(path: str) -> str:
    """A dotted name with each of its parts in quotes."""
    return ".".join('"' + part.replace('"', '""') + '"' for part in path.split("."))
