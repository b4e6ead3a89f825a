"""Opening a topic's table: created where it is missing, widened where a newer contract has more columns."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import structlog
from headgate_runtime.errors import ConfigurationError, UnavailableError
from pyiceberg.exceptions import (
    CommitFailedException,
    NamespaceAlreadyExistsError,
    NoSuchTableError,
    TableAlreadyExistsError,
)
from pyiceberg.transforms import IdentityTransform, parse_transform

from headgate_writer.errors import NotStorableError
from headgate_writer.iceberg import IcebergTable
from headgate_writer.schema import decoded_schema, stored_schema
from headgate_writer.widening import widen

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pyarrow as pa
    from headgate_schemas import RecordSchema, TableContract, TopicContract
    from pyiceberg.catalog import Catalog
    from pyiceberg.table import Table as PyIcebergTable

    from headgate_writer.maintenance.retention import Retention
    from headgate_writer.personal import Guard

# Set when a table is created and left alone afterwards: they are the operator's from then on.
CREATION_PROPERTIES: Mapping[str, str] = {
    "write.parquet.compression-codec": "zstd",
    "write.metadata.delete-after-commit.enabled": "true",
    "write.metadata.previous-versions-max": "20",
    "commit.manifest-merge.enabled": "true",
    "commit.manifest.min-count-to-merge": "20",
}

# Two replicas that start at once create or widen the same table; the loser sees the winner's work the second time.
_ATTEMPTS = 5

_log = structlog.get_logger()


def open_for_topic(
    catalog: Catalog,
    topic: TopicContract,
    table: TableContract,
    guard: Guard,
    record: RecordSchema,
    *,
    retention: Retention | None = None,
) -> IcebergTable:
    """Open the table of a topic with the columns that its policy leaves of a record; raises as :func:`open_table`."""
    schema = guard.protection.schema(stored_schema(decoded_schema(record)))
    return open_table(catalog, table, schema, sort_by=topic.fields.event_time, retention=retention)


def open_table(
    catalog: Catalog,
    contract: TableContract,
    schema: pa.Schema,
    *,
    sort_by: str | None = None,
    retention: Retention | None = None,
) -> IcebergTable:
    """Open a topic's table: create it where it is missing, add the columns a newer contract has.

    Columns are added before the first row that has them; doing it again changes nothing.

    Args:
        catalog: The catalog.
        contract: Name and partitioning.
        schema: All columns, as :func:`headgate_writer.schema.stored_schema` gives them.
        sort_by: Path of the column a new table declares its rows to be sorted by, None where it declares none.
        retention: As in :class:`IcebergTable`.

    Raises:
        ConfigurationError: A column of the table cannot hold what the contract says, or may not be null and is not in it.
        UnavailableError: The catalog does not answer.
    """
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            return IcebergTable(_open_once(catalog, contract, schema, sort_by), retention)
        except (CommitFailedException, TableAlreadyExistsError) as error:
            if attempt == _ATTEMPTS:
                raise UnavailableError(f"{contract.name}: others keep changing the table: {error}") from error
        except (NotStorableError, ValueError) as error:
            raise ConfigurationError(
                f"{contract.name}: the table cannot hold the rows of the contract: {error}. A column's type cannot "
                "be narrowed and a column cannot be made required: change the contract, or give it another table",
            ) from error
        except Exception as error:
            raise UnavailableError(f"{contract.name}: the catalog does not answer: {error!r}") from error
    raise AssertionError("unreachable")


def _open_once(catalog: Catalog, contract: TableContract, schema: pa.Schema, sort_by: str | None) -> PyIcebergTable:
    try:
        table = catalog.load_table(contract.name)
    except NoSuchTableError:
        return _create(catalog, contract, schema, sort_by)
    widen(table, schema)
    return table


def _create(catalog: Catalog, contract: TableContract, schema: pa.Schema, sort_by: str | None) -> PyIcebergTable:
    """Create the table with its partitioning and its sort order in one commit: a table never exists half made."""
    with contextlib.suppress(NamespaceAlreadyExistsError):
        catalog.create_namespace(contract.name.rpartition(".")[0])
    transaction = catalog.create_table_transaction(contract.name, schema, properties=dict(CREATION_PROPERTIES))
    if transaction.table_metadata.spec().fields:  # SeaweedFS hands out what another replica has made meanwhile
        raise TableAlreadyExistsError(contract.name)
    with transaction:
        with transaction.update_spec() as spec:
            for part in contract.partition_by:
                spec.add_field(part.field, parse_transform(part.transform))
        if sort_by:
            with transaction.update_sort_order() as order:
                order.asc(sort_by, IdentityTransform())
    _log.info("table created", table=contract.name)
    return catalog.load_table(contract.name)
