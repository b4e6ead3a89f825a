"""The tables, through the catalog of the settings."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from headgate_runtime.errors import ConfigurationError, RejectedError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyiceberg.table import Table


def require_catalog(properties: Mapping[str, str]) -> Mapping[str, str]:
    """Return the catalog's properties; ConfigurationError where there are none."""
    if not properties:
        raise ConfigurationError("Say where the tables are: HEADGATE_ADMIN_CATALOG, the catalog's properties as JSON.")
    return properties


def load_table(properties: Mapping[str, str], name: str) -> Table:
    """Load a table as it stands now.

    Args:
        properties: Of the catalog, as pyiceberg takes them.
        name: Name with namespace.

    Raises:
        ConfigurationError: The properties describe no catalog, or the name has no namespace.
        RejectedError: There is no such table.
        UnavailableError: The catalog does not answer.
    """
    from pyiceberg.catalog import load_catalog  # noqa: PLC0415 - takes a second to import
    from pyiceberg.exceptions import NoSuchTableError  # noqa: PLC0415 - see above

    own = dict(require_catalog(properties))
    if "." not in name:
        raise ConfigurationError(f"{name!r} has no namespace: write NAMESPACE.TABLE as the contract has it.")
    try:
        return load_catalog(own.pop("name", "headgate"), **own).load_table(name)
    except NoSuchTableError as error:
        raise RejectedError(f"No table {name} in this catalog.") from error
    except (ValueError, TypeError, ModuleNotFoundError) as error:
        raise ConfigurationError(f"HEADGATE_ADMIN_CATALOG describes no catalog: {error}") from error
    except Exception as error:  # each catalog client raises errors of its own
        raise UnavailableError(f"the catalog does not answer for {name}: {error!r}") from error


def find_row(
    properties: Mapping[str, str], name: str, *, id_field: str, event_id: str, time_field: str, since_ms: int
) -> dict[str, Any] | None:
    """Find a row of an event by its id, in the files with events since a time alone; None where there is none yet.

    Args:
        properties: Of the catalog, as pyiceberg takes them.
        name: The table's, with namespace.
        id_field: Column of the event's id.
        event_id: The id, without quotes in it.
        time_field: Column of the event's time.
        since_ms: Milliseconds since the epoch, not after the event's time.

    Raises:
        ConfigurationError: The properties describe no catalog.
        UnavailableError: The catalog or the store does not answer, or the table is not there yet.
    """
    since = datetime.fromtimestamp(since_ms / 1000, UTC).isoformat()
    wanted = f"{id_field} == '{event_id}' and {time_field} >= '{since}'"
    try:
        found = load_table(properties, name).scan(row_filter=wanted, limit=1).to_arrow().to_pylist()
    except RejectedError as error:
        raise UnavailableError(f"{error} The writer makes it when it starts, and `headgate setup` does.") from error
    except OSError as error:
        raise UnavailableError(f"the store does not give the files of {name}: {error}") from error
    return found[0] if found else None


def reload(table: Table) -> Table:
    """Load a table again, as it stands now, over the same connections.

    Raises:
        UnavailableError: The catalog does not answer, or does not have it any more.
    """
    try:
        return table.catalog.load_table(table.name())
    except Exception as error:  # each catalog client raises errors of its own
        raise UnavailableError(f"the catalog does not answer for {'.'.join(table.name())}: {error!r}") from error
