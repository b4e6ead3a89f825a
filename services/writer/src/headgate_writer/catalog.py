"""The catalog that tables are looked up and committed in, opened from pyiceberg's own properties."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from headgate_runtime.errors import ConfigurationError, UnavailableError
from pyiceberg.catalog import Catalog, load_catalog
from pyiceberg.catalog.rest import RestCatalog
from pyiceberg.utils.properties import property_as_float

if TYPE_CHECKING:
    from collections.abc import Mapping

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


def open_catalog(properties: Mapping[str, str]) -> Catalog:
    """Open the catalog that pyiceberg properties describe (``type``, ``uri``, ``warehouse``, ...).

    Raises:
        ConfigurationError: The properties describe none.
        UnavailableError: It does not answer.
    """
    settings = dict(properties)
    name = settings.pop("name", "headgate")
    if settings.get("type") == "rest":
        settings["py-catalog-impl"] = f"{TimedRestCatalog.__module__}.{TimedRestCatalog.__name__}"
        del settings["type"]
    try:
        return load_catalog(name, **settings)
    except (ValueError, TypeError, ModuleNotFoundError) as error:
        raise ConfigurationError(f"the catalog properties describe no catalog: {error}") from error
    except Exception as error:  # each catalog client raises errors of its own
        raise UnavailableError(f"the catalog does not answer: {error!r}") from error
