"""SQL catalogs: SQLite on one machine, PostgreSQL for several."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Any

from headgate_runtime.errors import ConfigurationError
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.exceptions import NamespaceAlreadyExistsError
from pyiceberg.typedef import EMPTY_DICT
from sqlalchemy import event
from sqlalchemy.exc import ArgumentError, DBAPIError, IntegrityError, NoSuchModuleError

from headgate_writer.catalog import timeout_s

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pyiceberg.typedef import Identifier, Properties
    from sqlalchemy.engine import ExceptionContext

CA_PROPERTY = "headgate.ca-file"


class TimedSqlCatalog(SqlCatalog):
    """pyiceberg's SQL catalog with bounded calls.

    ``headgate.request-timeout-s`` bounds each connect, each read and, at the server, each statement, so that nobody
    waits for the locks of a writer that has gone. With ``headgate.ca-file`` the server has to prove who it is.
    """

    def __init__(self, name: str, **properties: str) -> None:
        try:
            super().__init__(name, **properties)
        except (ArgumentError, NoSuchModuleError) as error:
            raise ConfigurationError(f"the catalog's 'uri' is no database's address: {error}") from error

    def _init_catalog(self) -> None:
        # The engine is there and has not connected yet.
        bounds = _bounds(self.engine.dialect.driver, self.properties)

        def bounded(_dialect: Any, _record: Any, _arguments: Any, named: dict[str, Any]) -> None:
            named |= bounds

        event.listen(self.engine, "do_connect", bounded)
        event.listen(self.engine, "handle_error", _given_up)
        super()._init_catalog()

    def create_tables(self) -> None:
        """Create the catalog's own tables where they are missing; several replicas may do so at once."""
        try:
            super().create_tables()
        except DBAPIError:
            super().create_tables()  # where another one has made them meanwhile, there is nothing to do

    def create_namespace(self, namespace: str | Identifier, properties: Properties = EMPTY_DICT) -> None:
        """Create a namespace; one that another replica makes at the same moment exists already."""
        try:
            super().create_namespace(namespace, properties)
        except IntegrityError as error:
            raise NamespaceAlreadyExistsError(f"namespace {namespace} was made meanwhile") from error


def _given_up(context: ExceptionContext) -> None:
    """Use no connection again whose answer was not waited for: it may come yet, as the answer to something else."""
    if isinstance(context.original_exception, OSError):
        context.is_disconnect = True


def _bounds(driver: str, properties: Mapping[str, str]) -> dict[str, Any]:
    """Return a driver's arguments that bound what it waits for.

    Raises:
        ConfigurationError: It has none.
    """
    bounds = _DRIVERS.get(driver)
    if bounds is None:
        raise ConfigurationError(
            f"the driver {driver} cannot bound how long it waits for an answer: use an address that begins with "
            "postgresql+pg8000:// or sqlite://",
        )
    return bounds(timeout_s(properties), properties.get(CA_PROPERTY))


def _sqlite(limit_s: float, _ca_file: str | None) -> dict[str, Any]:
    return {"timeout": limit_s}


def _pg8000(limit_s: float, ca_file: str | None) -> dict[str, Any]:
    limit_ms = str(round(limit_s * 1000))
    at_the_server = ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout")
    bounds: dict[str, Any] = {"timeout": limit_s, "startup_params": dict.fromkeys(at_the_server, limit_ms)}
    if ca_file is not None:
        bounds["ssl_context"] = ssl.create_default_context(cafile=ca_file)
    return bounds


_DRIVERS: Mapping[str, Callable[[float, str | None], dict[str, Any]]] = {"pysqlite": _sqlite, "pg8000": _pg8000}
