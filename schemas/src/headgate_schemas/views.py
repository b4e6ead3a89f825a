"""Views over stored topics, as SQL that every engine over the table takes: rendered from the contracts, run by others."""

from __future__ import annotations

from typing import TYPE_CHECKING

from headgate_schemas.errors import ContractError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from headgate_schemas.records import RecordSchema
    from headgate_schemas.topics import RowVersions, TopicContract

SUFFIX = "_latest"
_RANK = "headgate_rank"


def latest_view(topic: TopicContract, record: RecordSchema) -> str:
    """The statement that makes the view ``<table>_latest`` of a stored topic: of each key the row that holds now.

    Its columns are the record's, in the record's order: a new version of the record makes a new view.

    Raises:
        ContractError: The contract names no table, or no versions of its rows.
    """
    table = topic.table
    if table is None or table.versions is None:
        raise ContractError(
            f"{topic.topic}.yaml: table.versions: is not there; name the key of a row and what orders it"
        )
    rows = latest_rows(table.name, table.versions, (field["name"] for field in record.raw["fields"]))
    return f"CREATE OR REPLACE VIEW {table.name}{SUFFIX} AS\n{rows}"


def latest_rows(source: str, versions: RowVersions, columns: Iterable[str]) -> str:
    """The query for the row of each key that holds now; exactly one a key, whatever is in the table.

    Args:
        source: Name of the table.
        versions: What rows share, and what orders them.
        columns: Columns wanted.
    """
    return (
        f"SELECT {', '.join(columns)}\n"  # noqa: S608 - every name is a contract's, and matches its pattern
        f"FROM (\n"
        f"  SELECT *, ROW_NUMBER() OVER (PARTITION BY {versions.key} ORDER BY {versions.by} DESC) AS {_RANK}\n"
        f"  FROM {source}\n"
        f") AS versions\n"
        f"WHERE {_RANK} = 1"
    )
