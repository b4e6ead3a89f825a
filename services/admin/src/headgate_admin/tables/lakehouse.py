"""The tables, through the catalog of the settings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from headgate_runtime.errors import ConfigurationError, RejectedError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyiceberg.table import Table


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

    if not properties:
        raise ConfigurationError("Say where the tables are: HEADGATE_ADMIN_CATALOG, the catalog's properties as JSON.")
    if "." not in name:
        raise ConfigurationError(f"{name!r} has no namespace: write NAMESPACE.TABLE as the contract has it.")
    own = dict(properties)
    try:
        return load_catalog(own.pop("name", "headgate"), **own).load_table(name)
    except NoSuchTableError as error:
        raise RejectedError(f"No table {name} in this catalog.") from error
    except (ValueError, TypeError, ModuleNotFoundError) as error:
        raise ConfigurationError(f"HEADGATE_ADMIN_CATALOG describes no catalog: {error}") from error
    except Exception as error:  # each catalog client raises errors of its own
        raise UnavailableError(f"the catalog does not answer for {name}: {error!r}") from error
