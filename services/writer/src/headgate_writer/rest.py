"""The REST catalog with a time-out: without one, a server that hangs would hold the writer's loop for ever."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from pyiceberg.catalog.rest import RestCatalog
from pyiceberg.utils.properties import property_as_float

if TYPE_CHECKING:
    from requests import Session

TIMEOUT_PROPERTY = "headgate.request-timeout-s"
_TIMEOUT_DEFAULT_S = 30.0


class TimedRestCatalog(RestCatalog):
    """pyiceberg's REST catalog; property ``headgate.request-timeout-s`` bounds each connect and each read."""

    def _create_session(self) -> Session:
        session = super()._create_session()
        timeout_s = property_as_float(self.properties, TIMEOUT_PROPERTY, _TIMEOUT_DEFAULT_S)
        # Not an adapter: request signing mounts one of its own for the catalog's address.
        session.request = partial(session.request, timeout=timeout_s)  # type: ignore[method-assign]  # see above
        return session
