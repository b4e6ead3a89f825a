"""Personal data on its way into a table: hashed or left out where the contract's policy says so."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
from headgate_runtime.errors import ConfigurationError
from headgate_schemas import treatments

from headgate_writer.errors import NotStorableError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from headgate_schemas import PiiPolicy, RecordSchema

    from headgate_writer.positions import Positions
    from headgate_writer.table import Head, Table, Written

LEAST_KEY_BYTES = 32
_BLOCK_BYTES = 64
_DIGEST_CHARACTERS = 64


def read_key(path: Path) -> bytes:
    """Read the key that personal data is hashed with; line ends at its end do not count.

    Raises:
        ConfigurationError: There is no such file, or the key is too short.
    """
    try:
        key = path.read_bytes().rstrip(b"\r\n")
    except OSError as error:
        raise ConfigurationError(f"pii_key_file: {path} cannot be read: {error.strerror}") from error
    if len(key) < LEAST_KEY_BYTES:
        raise ConfigurationError(
            f"pii_key_file: {path} holds {len(key)} bytes; write at least {LEAST_KEY_BYTES} random ones, "
            "for example with: openssl rand -hex 32"
        )
    return key


class Hasher:
    """HMAC-SHA-256 (RFC 2104) of many values under one key.

    Both halves of the key are hashed once and copied for each value, which takes half the time of the library's call.
    """

    def __init__(self, key: bytes) -> None:
        block = (key if len(key) <= _BLOCK_BYTES else hashlib.sha256(key).digest()).ljust(_BLOCK_BYTES, b"\0")
        self._inner = hashlib.sha256(bytes(byte ^ 0x36 for byte in block))
        self._outer = hashlib.sha256(bytes(byte ^ 0x5C for byte in block))

    def hashed(self, values: pa.Array) -> pa.Array:
        """Return the hashes as hexadecimal texts; the same value has the same one, a null stays null.

        Args:
            values: Texts, as UTF-8, or bytes. Each distinct one is hashed once.
        """
        encoded = pc.dictionary_encode(values)
        digests = b"".join(self._digests(encoded.dictionary.cast(pa.binary()).to_pylist()))
        text = pa.py_buffer(digests.hex().encode("ascii"))
        kind = pa.binary(_DIGEST_CHARACTERS)
        texts = pa.FixedSizeBinaryArray.from_buffers(kind, len(encoded.dictionary), [None, text])
        return texts.cast(pa.string()).take(encoded.indices)

    def _digests(self, values: Iterable[bytes]) -> Iterator[bytes]:
        for value in values:
            inner, outer = self._inner.copy(), self._outer.copy()
            inner.update(value)
            outer.update(inner.digest())
            yield outer.digest()


class Protection:
    """Does to columns what a contract's policy says; columns it does not name pass untouched.

    Attributes:
        hashed: Paths of the columns that hold hashes.
    """

    def __init__(self, by_path: Mapping[str, str], key: bytes | None) -> None:
        """Build the protection.

        Args:
            by_path: ``hash`` or ``drop`` by field path, as :class:`headgate_schemas.Treatments` has them.
            key: What values are hashed with.

        Raises:
            ConfigurationError: Something is to be hashed, and there is no key.
        """
        if key is None and "hash" in by_path.values():
            raise ConfigurationError(
                "the contract's table hashes personal data (table.pii), and there is no key: name the file that holds "
                "it in HEADGATE_WRITER_PII_KEY_FILE, or change the policy"
            )
        self._treatments = by_path
        self.hashed = frozenset(path for path, treatment in by_path.items() if treatment == "hash")
        self._touched = {re.split(r"[.\[{]", path, maxsplit=1)[0] for path in by_path}
        self._hasher = Hasher(key or b"")

    def schema(self, schema: pa.Schema) -> pa.Schema:
        """Return the columns the table has."""
        return pa.schema(self._fields(schema, ""))

    def rows(self, rows: pa.Table) -> pa.Table:
        """Return rows as the table has them."""
        if not self._treatments:
            return rows
        schema = self.schema(rows.schema)
        columns = [
            self._values(rows.column(name).combine_chunks(), name) if name in self._touched else rows.column(name)
            for name in schema.names
        ]
        return pa.Table.from_arrays(columns, schema=schema)

    def _fields(self, fields: Iterable[pa.Field], path: str) -> list[pa.Field]:
        places = [(field, f"{path}.{field.name}" if path else field.name) for field in fields]
        return [
            field.with_type(self._type(field.type, here))
            for field, here in places
            if self._treatments.get(here) != "drop"
        ]

    def _type(self, kind: pa.DataType, path: str) -> pa.DataType:
        if self._treatments.get(path) == "hash":
            return pa.string()
        if pa.types.is_struct(kind):
            return pa.struct(self._fields(kind, path))
        if pa.types.is_list(kind):
            return pa.list_(kind.value_field.with_type(self._type(kind.value_type, f"{path}[]")))
        if pa.types.is_map(kind):
            return pa.map_(kind.key_field, kind.item_field.with_type(self._type(kind.item_type, f"{path}{{}}")))
        return kind

    def _values(self, values: Any, path: str) -> pa.Array:
        kind = self._type(values.type, path)
        if self._treatments.get(path) == "hash":
            return self._hasher.hashed(values)
        if pa.types.is_struct(kind):
            # Without the parent's nulls, which a child that is required under it could not take.
            treated = [self._values(values.field(field.name), f"{path}.{field.name}") for field in kind]
            return pa.StructArray.from_arrays(treated, fields=list(kind), mask=values.is_null())
        if pa.types.is_list(kind):
            items = self._values(values.values, f"{path}[]")
            return pa.ListArray.from_arrays(_own(values.offsets), items, type=kind, mask=values.is_null())
        if pa.types.is_map(kind):
            items = self._values(values.items, f"{path}{{}}")
            return pa.MapArray.from_arrays(_own(values.offsets), values.keys, items, type=kind, mask=values.is_null())
        return values


def _own(offsets: pa.Array) -> pa.Array:
    """Return offsets that are no slice, which a mask cannot stand beside."""
    return pc.add(offsets, 0)


class Guard:
    """A table's policy applied to its record, as that grows.

    Attributes:
        protection: What it does to columns now.
    """

    def __init__(self, policy: PiiPolicy, key: bytes | None, record: RecordSchema) -> None:
        """Begin with a record; raises as :meth:`follow`, and as :class:`Protection`."""
        self._policy = policy
        self._key = key
        self.follow(record)

    def follow(self, record: RecordSchema) -> None:
        """Apply the policy to a record.

        Raises:
            NotStorableError: The policy cannot be followed for it.
        """
        found = treatments(record, self._policy)
        if found.problems:
            raise NotStorableError(f"table.pii cannot be followed: {found.problems[0]}")
        self.protection = Protection(found.by_path, self._key)


class ProtectedTable:
    """A table that takes rows with personal data and holds what the policy leaves of it."""

    def __init__(self, table: Table, guard: Guard) -> None:
        self._table = table
        self._guard = guard

    def refresh(self) -> Head:
        """Read the head; see the protocol for errors."""
        return self._table.refresh()

    def widen(self, schema: pa.Schema) -> None:
        """Give the table what the policy leaves of new columns; see the protocol for errors."""
        self._table.widen(self._guard.protection.schema(schema))

    def write(self, rows: pa.Table) -> Written:
        """Write protected rows; see the protocol for errors."""
        return self._table.write(self._guard.protection.rows(rows))

    def commit(self, head: Head, written: Written, positions: Positions) -> Head:
        """Append files and map; see the protocol for errors."""
        return self._table.commit(head, written, positions)
