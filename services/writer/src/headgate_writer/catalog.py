"""The catalog that tables are looked up and committed in, opened from pyiceberg's own properties.

Every call to a catalog or a store ends within a time-out, for the loop waits for it. And no client sends a commit again
by itself: what a second one would do, only the committer knows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from headgate_runtime.errors import ConfigurationError, RejectedError, UnavailableError
from pyiceberg.exceptions import ForbiddenError, OAuthError, UnauthorizedError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyiceberg.catalog import Catalog

TIMEOUT_PROPERTY = "headgate.request-timeout-s"
DEFAULTS: Mapping[str, str] = {
    TIMEOUT_PROPERTY: "10",
    # Of each of the store client's three attempts: it may repeat itself, for every file's name is its own.
    "s3.connect-timeout": "3",
    "s3.request-timeout": "5",
    # Else signed requests are sent up to eleven times, each with a time-out of its own.
    "rest.sigv4.max-retries": "0",
}


def open_catalog(properties: Mapping[str, str]) -> Catalog:
    """Open the catalog that pyiceberg properties describe (``type``, ``uri``, ``warehouse``, ...).

    Property ``headgate.request-timeout-s`` bounds each connect and each read; docs/catalogs.md has the others.

    Raises:
        ConfigurationError: The properties describe none.
        RejectedError: It refuses the credentials.
        UnavailableError: It does not answer.
    """
    settings = {**DEFAULTS, **properties}
    name = settings.pop("name", "headgate")
    if not settings.get("uri"):
        raise ConfigurationError("the catalog properties lack 'uri', the catalog's address: add it")
    try:
        return catalog_client(settings.get("type"))(name, **settings)
    except (ConfigurationError, UnavailableError):
        raise
    except (ValueError, TypeError, ModuleNotFoundError) as error:
        raise ConfigurationError(f"the catalog properties describe no catalog: {error}") from error
    except (ForbiddenError, OAuthError, UnauthorizedError) as error:
        raise RejectedError(f"the catalog refuses these credentials: {error}. Give it others, or allow them") from error
    except Exception as error:  # each catalog client raises errors of its own
        raise UnavailableError(f"the catalog does not answer: {error!r}") from error


def timeout_s(properties: Mapping[str, str]) -> float:
    """Return how long a call may take to connect, and how long each wait for an answer, seconds.

    Raises:
        ConfigurationError: It is not a number above 0.
    """
    text = properties[TIMEOUT_PROPERTY]
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if value <= 0:
        raise ConfigurationError(f"{TIMEOUT_PROPERTY} is {text!r}: it has to be a number of seconds above 0")
    return value


def catalog_client(kind: str | None) -> type[Catalog]:
    """Return the client of a kind of catalog; imported here, for each brings much that the other does without.

    Raises:
        ConfigurationError: There is no such kind.
    """
    if kind == "rest":
        from headgate_writer.rest_catalog import TimedRestCatalog  # noqa: PLC0415 - see above

        return TimedRestCatalog
    if kind == "sql":
        from headgate_writer.sql_catalog import TimedSqlCatalog  # noqa: PLC0415 - see above

        return TimedSqlCatalog
    raise ConfigurationError(f"a catalog of type {kind!r} cannot be used: set 'type' to rest (Glue too) or sql")
