"""Iceberg REST catalogs: Glue's and S3 Tables' endpoints, SeaweedFS, Lakekeeper, Polaris and others."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from headgate_runtime.errors import ConfigurationError
from pyiceberg.catalog.rest import RestCatalog

from headgate_writer.catalog import timeout_s

if TYPE_CHECKING:
    import pyarrow as pa
    from pyiceberg.catalog.rest import TableResponse
    from pyiceberg.catalog.rest.auth import AuthManager
    from pyiceberg.schema import Schema
    from pyiceberg.typedef import Identifier
    from requests import Session

LOCATION_PROPERTY = "headgate.location"


class TimedRestCatalog(RestCatalog):
    """pyiceberg's REST catalog with bounded calls.

    ``headgate.request-timeout-s`` bounds each connect and each read. ``headgate.location`` is where new tables go, each
    in a folder of its name, for catalogs that choose no place themselves (Glue, unless its database has one).
    """

    def _create_legacy_oauth2_auth_manager(self, session: Session) -> AuthManager:
        # Here, because the manager fetches its token at once. Not an adapter: request signing mounts one of its own.
        session.request = partial(session.request, timeout=timeout_s(self.properties))  # type: ignore[method-assign]  # see above
        return super()._create_legacy_oauth2_auth_manager(session)

    def _init_sigv4(self, session: Session) -> None:
        super()._init_sigv4(session)
        signer = session.get_adapter(self.uri)
        if signer._boto_session.get_credentials() is None:  # type: ignore[attr-defined]  # noqa: SLF001 - else only a call tells
            raise ConfigurationError(
                "requests to the catalog are to be signed, and no AWS credentials were found: give the process a role, "
                "or set client.access-key-id and client.secret-access-key",
            )

    def _create_table(
        self,
        identifier: str | Identifier,
        schema: Schema | pa.Schema,
        location: str | None = None,
        *others: Any,
        **named: Any,
    ) -> TableResponse:
        root = self.properties.get(LOCATION_PROPERTY)
        if location is None and root is not None:
            location = "/".join([root.rstrip("/"), *self.identifier_to_tuple(identifier)])
        return super()._create_table(identifier, schema, location, *others, **named)
