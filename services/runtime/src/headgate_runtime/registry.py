"""The schema registry as services see it, and its adapter for registries with the Confluent API."""

from __future__ import annotations

import json
import ssl
from base64 import b64encode
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, Protocol
from urllib.parse import quote

import httpx
from cachetools import TTLCache

from headgate_runtime.errors import ConfigurationError, RejectedError, UnavailableError, UnknownSchemaError
from headgate_runtime.secret_files import read_secret, require_readable

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from headgate_runtime.config import RegistrySettings

_MEDIA_TYPE: Final = "application/vnd.schemaregistry.v1+json"
_CONNECT_RETRIES: Final = 1
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

    def latest(self, subject: str) -> dict[str, Any] | None:
        """Return the newest Avro schema of a subject, in JSON form; None where it has none."""

    def compatibility(self, subject: str) -> str | None:
        """Return the compatibility level set on the subject itself; None where none is."""

    def set_compatibility(self, subject: str, level: str) -> None:
        """Set the compatibility level of the subject."""


class ConfluentRegistry:
    """A registry with the Confluent API (Confluent, Apicurio, Karapace). An id, once seen, is kept for ever.

    The API's few calls are made here: the client library for them takes a second to import at every start.
    """

    def __init__(self, settings: RegistrySettings) -> None:
        try:
            url = httpx.URL(settings.url)
            self._client = httpx.Client(
                base_url=url,
                headers={"Accept": _MEDIA_TYPE, "Content-Type": _MEDIA_TYPE},
                timeout=settings.timeout_s,
                transport=httpx.HTTPTransport(retries=_CONNECT_RETRIES, verify=_trusted(settings.ca_file)),
                auth=_login(settings),
            )
        except httpx.InvalidURL as error:
            raise ConfigurationError(f"set REGISTRY__URL right: {error}") from error
        if url.scheme not in {"http", "https"} or not url.host:
            raise ConfigurationError("set REGISTRY__URL right: it has to be http://HOST:PORT or https://HOST:PORT")
        self._url = url.copy_with(userinfo=b"")
        self._schemas: dict[int, dict[str, Any]] = {}
        self._unknown: TTLCache[int, bool] = TTLCache(_UNKNOWN_MAX, _UNKNOWN_TTL_S)

    def schema(self, schema_id: int) -> dict[str, Any]:
        """Return the Avro schema of an id; see ``SchemaRegistry``."""
        if schema_id in self._schemas:
            return self._schemas[schema_id]
        if schema_id in self._unknown:
            raise UnknownSchemaError(f"the schema registry has no Avro schema {schema_id}")
        try:
            schema = _avro(self._call("GET", f"/schemas/ids/{schema_id}"))
        except UnknownSchemaError:
            self._unknown[schema_id] = True
            raise
        return self._schemas.setdefault(schema_id, schema)

    def schema_id(self, subject: str, schema_text: str) -> int:
        """Return the id under which the subject has the schema; see ``SchemaRegistry``."""
        return int(self._call("POST", _subject(subject), {"schema": schema_text}, wanted="id"))

    def register(self, subject: str, schema_text: str) -> int:
        """Register the schema in the subject; ``RejectedError`` where it is not compatible."""
        return int(self._call("POST", f"{_subject(subject)}/versions", {"schema": schema_text}, wanted="id"))

    def versions(self, subject: str) -> list[int]:
        """Return the versions of a subject; empty where it does not exist."""
        try:
            return [int(version) for version in self._call("GET", f"{_subject(subject)}/versions")]
        except UnknownSchemaError:
            return []

    def latest(self, subject: str) -> dict[str, Any] | None:
        """Return the newest Avro schema of a subject; see ``SchemaRegistry``."""
        try:
            return _avro(self._call("GET", f"{_subject(subject)}/versions/latest"))
        except UnknownSchemaError:
            return None

    def compatibility(self, subject: str) -> str | None:
        """Return the compatibility level set on the subject itself; None where none is."""
        try:
            return str(self._call("GET", _level(subject), wanted="compatibilityLevel"))
        except UnknownSchemaError:
            return None

    def set_compatibility(self, subject: str, level: str) -> None:
        """Set the compatibility level of the subject."""
        self._call("PUT", _level(subject), {"compatibility": level})

    def _call(self, method: str, path: str, body: dict[str, str] | None = None, wanted: str | None = None) -> Any:
        """Make a call; returns its answer, or the wanted field of it."""
        try:
            response = self._client.request(method, path, json=body)
            if response.is_success:
                return response.json() if wanted is None else response.json()[wanted]
        except (httpx.HTTPError, OSError, ValueError) as error:
            if "CERTIFICATE_VERIFY_FAILED" in str(error):
                raise RejectedError(f"{self._url} is not to be trusted: {error}; set REGISTRY__CA_FILE") from error
            raise UnavailableError(f"the schema registry at {self._url} does not answer: {error}") from error
        except (KeyError, TypeError) as error:
            raise UnavailableError(
                f"{self._url} answers {path} as no schema registry does; set REGISTRY__URL"
            ) from error
        status, complaint = response.status_code, _complaint(response)
        if status == HTTPStatus.NOT_FOUND:
            raise UnknownSchemaError(f"the schema registry does not have it: {complaint}")
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR or status in _LATER:
            raise UnavailableError(f"the schema registry at {self._url} is not able to answer: {complaint}")
        advice = _ADVICE.get(HTTPStatus(status), "")
        raise RejectedError(f"the schema registry at {self._url} refused: {complaint}{advice}")


class _FileLogin(httpx.Auth):
    """HTTP basic authentication with the password that is in its file when a call is made."""

    def __init__(self, username: str, password_file: Path) -> None:
        self._username = username
        self._password_file = password_file

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        password = read_secret(self._password_file, "REGISTRY__PASSWORD_FILE")
        login = b64encode(f"{self._username}:{password}".encode()).decode()
        request.headers["Authorization"] = f"Basic {login}"
        yield request


_ADVICE: Final = {
    HTTPStatus.UNAUTHORIZED: "; check REGISTRY__USERNAME and what is in REGISTRY__PASSWORD_FILE",
    HTTPStatus.FORBIDDEN: "; its user REGISTRY__USERNAME has no right to do this: give it one, or name another",
}
_LATER: Final = (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS)
_COMPLAINT_CHARS: Final = 500


def _login(settings: RegistrySettings) -> httpx.Auth | None:
    if settings.username is None or settings.password_file is None:
        return None
    read_secret(settings.password_file, "REGISTRY__PASSWORD_FILE")  # a missing file is told at the start
    return _FileLogin(settings.username, settings.password_file)


def _trusted(ca_file: Path | None) -> ssl.SSLContext | bool:
    if ca_file is None:
        return True
    try:
        return ssl.create_default_context(cafile=require_readable(ca_file, "REGISTRY__CA_FILE"))
    except ssl.SSLError as error:
        raise ConfigurationError(f"REGISTRY__CA_FILE: {ca_file} holds no PEM certificates: {error}") from error


def _subject(subject: str) -> str:
    return f"/subjects/{quote(subject, safe='')}"


def _level(subject: str) -> str:
    return f"/config/{quote(subject, safe='')}"


def _complaint(response: httpx.Response) -> str:
    """What the registry said against a call, in words."""
    try:
        words = str(response.json()["message"])
    except (ValueError, KeyError, TypeError):
        words = response.text
    return f"HTTP {response.status_code}: {words[:_COMPLAINT_CHARS]}"


def _avro(answer: dict[str, Any]) -> dict[str, Any]:
    try:
        parsed = json.loads(answer["schema"]) if answer.get("schemaType", "AVRO") == "AVRO" else None
    except json.JSONDecodeError:
        parsed = None
    if not isinstance(parsed, dict):
        raise UnknownSchemaError("the schema of that id is not an Avro record")
    return parsed
