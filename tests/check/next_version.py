"""The shipped contracts with the next version of every record that carries an event: what a growing domain asks for."""

from __future__ import annotations

import copy
import json
import shutil
from typing import TYPE_CHECKING, Any, Final

from headgate_schemas import Contracts, check_contracts

if TYPE_CHECKING:
    from pathlib import Path

ATTRIBUTES: Final = "payload.attributes"
_LOCATION: Final = {
    "type": "record",
    "name": "location",
    "doc": "A place as a device told it.",
    "fields": [
        {"name": "latitude", "type": "double", "doc": "Degrees north."},
        {"name": "longitude", "type": "double", "doc": "Degrees east."},
        {"name": "accuracy_m", "type": ["null", "double"], "default": None, "doc": "Metres it may be off."},
    ],
}
FIELDS: Final[tuple[dict[str, Any], ...]] = (
    {"name": "payment_method", "type": ["null", "string"], "default": None, "doc": "card, wallet, transfer or cash."},
    {
        "name": "location",
        "type": ["null", _LOCATION],
        "default": None,
        "pii": "quasi",
        "doc": "Where the device was.",
    },
)
VALUES: Final = {
    "payment_method": "wallet",
    "location": {"latitude": 48.4, "longitude": 9.99, "accuracy_m": 12.0},
}


def release_next(folder: Path) -> Contracts:
    """Copy the shipped contracts and release the next version of each record with attributes of an event.

    Raises:
        RuntimeError: ``headgate schemas check`` would refuse it.
    """
    shipped = Contracts.load()
    for part in ("avro", "topics", "sets", "examples"):
        shutil.copytree(shipped.directory / part, folder / part)
    for name in shipped.records:
        record = shipped.record(name)
        if record.field_type(ATTRIBUTES) is not None:
            schema = copy.deepcopy(record.schema)
            _inner(schema, ATTRIBUTES)["fields"] += FIELDS
            (folder / "avro" / f"{name}.v{record.version + 1}.avsc").write_text(json.dumps(schema), "utf-8")
    contracts = Contracts.load(folder)
    if problems := check_contracts(contracts):
        raise RuntimeError(f"the next version may not be released: {problems}")
    return contracts


def grown(event: dict[str, Any]) -> dict[str, Any]:
    """The event with a value in every new field."""
    payload = event["payload"]
    return event | {"payload": payload | {"attributes": payload["attributes"] | VALUES}}


def _inner(schema: dict[str, Any], path: str) -> dict[str, Any]:
    """The record's type at a path, as the file has it."""
    for name in path.split("."):
        schema = next(field["type"] for field in schema["fields"] if field["name"] == name)
    return schema
