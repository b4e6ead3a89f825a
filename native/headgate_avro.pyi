from collections.abc import Sequence
from typing import Literal, TypeAlias, final

import pyarrow as pa

__version__: str

Cause: TypeAlias = Literal["tombstone", "bad_magic", "unknown_schema_id", "undecodable", "trailing_bytes"]

@final
class Decoder:
    def __new__(cls, reader_schema: str, target: pa.Schema, *, max_batch_bytes: int = ...) -> Decoder: ...
    def add_writer_schema(self, schema_id: int, schema_json: str) -> None: ...
    def decode(self, values: Sequence[bytes | None]) -> tuple[list[pa.RecordBatch], list[tuple[int, Cause, str]]]: ...
