"""Fields that agents add to their decisions: only those the output's contract has for them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from headgate_enricher.work import AgentFaultError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from headgate_schemas import RecordSchema

Shape = Mapping[str, "Shape | None"]
"""Fields of a record by name, each with those of its own where it is a record itself."""


class OwnFields:
    """Adds an agent's fields to a record.

    Args:
        record: The output record.
        place: Its field that the agent's fields stand in.
    """

    def __init__(self, record: RecordSchema, place: str) -> None:
        self._label = record.label
        self._place = place
        self._shape = (_shape(record.raw) or {}).get(place) or {}

    def add(self, fields: Mapping[str, Any], metadata: dict[str, Any]) -> None:
        """Add fields to a record's metadata.

        Raises:
            AgentFaultError: The contract has no such field, or it is the platform's own.
        """
        strangers = [*(name for name in fields if name in metadata), *_strangers(fields, self._shape, "")]
        if strangers:
            raise AgentFaultError(
                f"The agent's decision has the fields {', '.join(strangers)}, which {self._place} of {self._label} has "
                "none of for an agent: add them to the contract as optional fields, or mend the agent.",
                f"{self._place}.{strangers[0]}",
            )
        metadata.update(fields)


def _strangers(fields: Mapping[str, Any], shape: Shape, path: str) -> Iterator[str]:
    # Avro's writer would leave out in silence what the schema does not name.
    for name, value in fields.items():
        if name not in shape:
            yield path + name
        elif (inner := shape[name]) is not None and isinstance(value, Mapping):
            yield from _strangers(value, inner, f"{path}{name}.")


def _shape(schema: Any) -> Shape | None:
    """The fields of a record, or of the one record in a union; None where the type is no record."""
    branches: Collection[Any] = schema if isinstance(schema, list) else [schema]
    for branch in branches:
        if isinstance(branch, dict) and branch.get("type") == "record":
            return {field["name"]: _shape(field["type"]) for field in branch["fields"]}
    return None
