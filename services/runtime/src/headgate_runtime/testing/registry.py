"""A schema registry in memory."""

from __future__ import annotations

import json
from typing import Any

from headgate_runtime.errors import UnavailableError, UnknownSchemaError


class MemoryRegistry:
    """A ``SchemaRegistry`` in memory; equal schemas share an id across subjects, as in a real one.

    Attributes:
        available: False makes every call raise ``UnavailableError``.
        calls: How many calls were answered or refused, for tests of what is cached.
    """

    def __init__(self) -> None:
        self.available = True
        self.calls = 0
        self._texts: list[str] = []
        self._subjects: dict[str, list[int]] = {}
        self._compatibility: dict[str, str] = {}

    def schema(self, schema_id: int) -> dict[str, Any]:
        """Return the schema of an id; see ``SchemaRegistry``."""
        self._answer()
        if not 0 < schema_id <= len(self._texts):
            raise UnknownSchemaError(f"the schema registry has no Avro schema {schema_id}")
        schema: dict[str, Any] = json.loads(self._texts[schema_id - 1])
        return schema

    def schema_id(self, subject: str, schema_text: str) -> int:
        """Return the id under which the subject has the schema; see ``SchemaRegistry``."""
        self._answer()
        text = _canonical(schema_text)
        for schema_id in self._subjects.get(subject, ()):
            if self._texts[schema_id - 1] == text:
                return schema_id
        raise UnknownSchemaError(f"subject {subject!r} does not have this schema")

    def register(self, subject: str, schema_text: str) -> int:
        """Register the schema in the subject; compatibility is not checked here."""
        self._answer()
        text = _canonical(schema_text)
        if text not in self._texts:
            self._texts.append(text)
        schema_id = self._texts.index(text) + 1
        versions = self._subjects.setdefault(subject, [])
        if schema_id not in versions:
            versions.append(schema_id)
        return schema_id

    def versions(self, subject: str) -> list[int]:
        """Return the versions of a subject; empty where it does not exist."""
        self._answer()
        return [number + 1 for number in range(len(self._subjects.get(subject, ())))]

    def latest(self, subject: str) -> dict[str, Any] | None:
        """Return the newest schema of a subject; None where it has none."""
        self._answer()
        ids = self._subjects.get(subject)
        schema: dict[str, Any] | None = json.loads(self._texts[ids[-1] - 1]) if ids else None
        return schema

    def compatibility(self, subject: str) -> str | None:
        """Return the compatibility level set on the subject itself; None where none is."""
        self._answer()
        return self._compatibility.get(subject)

    def set_compatibility(self, subject: str, level: str) -> None:
        """Set the compatibility level of the subject."""
        self._answer()
        self._compatibility[subject] = level

    def _answer(self) -> None:
        self.calls += 1
        if not self.available:
            raise UnavailableError("the schema registry does not answer")


def _canonical(schema_text: str) -> str:
    return json.dumps(json.loads(schema_text), sort_keys=True)
