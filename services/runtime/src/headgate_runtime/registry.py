"""The schema registry as services see it, and its adapter for registries with the Confluent API."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar, cast

import httpx
from cachetools import TTLCache
from confluent_kafka.schema_registry import Schema, SchemaRegistryClient, SchemaRegistryError

from headgate_runtime.errors import ConfigurationError, RejectedError, UnavailableError, UnknownSchemaError

if TYPE_CHECKING:
    from collections.abc import Callable

    from headgate_runtime.config import RegistrySettings

_T = TypeVar("_T")

# How long an id the registry does not know is remembered, so that a flood of poison records asks it once.
_UNKNOWN_TTL_S: Final = 30.0
_UNKNOWN_MAX: Final = 4096


class SchemaRegistry(Protocol):
    """Schemas by id and by subject.

    Every method raises ``UnavailableError`` when the registry does not answer and ``RejectedError`` when it refuses.
    """

    def schema(self, schema_id: int) -> dict[str, Any]:
        """Return the Avro schema of an id, in JSON form.

        Raises:
            UnknownSchemaError: The registry has no Avro schema of that id.
        """

    def schema_id(self, subject: str, schema_text: str) -> int:
        """Return the id under which the subject has the schema.

        Raises:
            UnknownSchemaError: The subject does not have it.
        """

    def register(self, subject: str, schema_text: str) -> int:
        """Register the schema in the subject where it is not yet, and return its id."""

    def versions(self, subject: str) -> list[int]:
        """Return the versions of a subject; empty where it does not exist."""

    def compatibility(self, subject: str) -> str | None:
        """Return the compatibility level set on the subject itself; None where none is."""

    def set_compatibility(self, subject: str, level: str) -> None:
        """Set the compatibility level of the subject."""


class ConfluentRegistry:
    """A registry with the Confluent API (Confluent, Apicurio, Karapace). An id, once seen, is kept for ever."""

    def __init__(self, settings: RegistrySettings) -> None:
        self._url = httpx.URL(settings.url).copy_with(userinfo=b"")
        try:
            self._client = SchemaRegistryClient(
                {"url": settings.url, "timeout": settings.timeout_s, "max.retries": 1, "retries.wait.ms": 100}
            )
        except ValueError as error:
            raise ConfigurationError(f"set REGISTRY__URL right: {error}") from error
        self._schemas: dict[int, dict[str, Any]] = {}
        self._unknown: TTLCache[int, bool] = TTLCache(_UNKNOWN_MAX, _UNKNOWN_TTL_S)

    def schema(self, schema_id: int) -> dict[str, Any]:
        """Return the Avro schema of an id; see ``SchemaRegistry``."""
        if schema_id in self._schemas:
            return self._schemas[schema_id]
        if schema_id in self._unknown:
            raise UnknownSchemaError(f"the schema registry has no Avro schema {schema_id}")
        try:
            schema = self._call(lambda: _avro(self._client.get_schema(schema_id)))
        except UnknownSchemaError:
            self._unknown[schema_id] = True
            raise
        return self._schemas.setdefault(schema_id, schema)

    def schema_id(self, subject: str, schema_text: str) -> int:
        """Return the id under which the subject has the schema; see ``SchemaRegistry``."""
        found = self._call(lambda: self._client.lookup_schema(subject, Schema(schema_text, "AVRO")))
        return cast("int", found.schema_id)

    def register(self, subject: str, schema_text: str) -> int:
        """Register the schema in the subject; ``RejectedError`` where it is not compatible."""
        return int(self._call(lambda: self._client.register_schema(subject, Schema(schema_text, "AVRO"))))

    def versions(self, subject: str) -> list[int]:
        """Return the versions of a subject; empty where it does not exist."""
        try:
            return list(self._call(lambda: self._client.get_versions(subject)))
        except UnknownSchemaError:
            return []

    def compatibility(self, subject: str) -> str | None:
        """Return the compatibility level set on the subject itself; None where none is."""
        try:
            return str(self._call(lambda: self._client.get_compatibility(subject)))
        except UnknownSchemaError:
            return None

    def set_compatibility(self, subject: str, level: str) -> None:
        """Set the compatibility level of the subject."""
        self._call(lambda: self._client.set_compatibility(subject, level))

    def _call(self, call: Callable[[], _T]) -> _T:
        try:
            return call()
        except SchemaRegistryError as error:
            status = error.http_status_code
            if status == HTTPStatus.NOT_FOUND:
                raise UnknownSchemaError(f"the schema registry does not have it: {error}") from error
            if status >= HTTPStatus.INTERNAL_SERVER_ERROR or status in _LATER:
                raise UnavailableError(f"the schema registry at {self._url} is not able to answer: {error}") from error
            raise RejectedError(f"the schema registry at {self._url} refused: {error}") from error
        except (httpx.HTTPError, OSError, json.JSONDecodeError) as error:
            raise UnavailableError(f"the schema registry at {self._url} does not answer: {error}") from error


_LATER: Final = (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS)


def _avro(schema: Schema) -> dict[str, Any]:
    try:
        parsed = json.loads(schema.schema_str or "") if schema.schema_type in (None, "AVRO") else None
    except json.JSONDecodeError:
        parsed = None
    if not isinstance(parsed, dict):
        raise UnknownSchemaError("the schema of that id is not an Avro record")
    return parsed
