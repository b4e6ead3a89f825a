"""How values become bytes: what the table's ``write.parquet.*`` properties ask for, and what its rows are like."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
from headgate_runtime.errors import ConfigurationError
from pyiceberg.table import TableProperties

from headgate_writer.parquet.columns import leaves

if TYPE_CHECKING:
    from collections.abc import Mapping

# The least level of zstd: each above it costs CPU and saves nothing on events (docs/adr/0017).
_ZSTD_LEVEL = 1
_CODECS = ("zstd", "gzip", "snappy", "lz4", "brotli", "uncompressed")
_SAMPLED_ROWS = 1_024
_SAMPLED_CHUNKS = 4
_GOLDEN = (5**0.5 - 1) / 2
# Most distinct values, as a share of all, with which a dictionary is smaller and cheaper than plain values.
_REPEATING = 0.25


@dataclass(frozen=True, slots=True)
class Encoding:
    """How files of a table are written.

    Attributes:
        options: Arguments of ``pyarrow.parquet.ParquetWriter``.
        group_rows: Most rows of a row group.
        group_bytes: Most bytes of a row group, as Arrow has them in memory.
        file_bytes: Bytes on disk at which a file is full.
    """

    options: Mapping[str, Any]
    group_rows: int
    group_bytes: int
    file_bytes: int

    def rows_per_group(self, rows: pa.Table) -> int:
        """Return how many of these rows make a row group."""
        fitting: int = self.group_bytes * rows.num_rows // max(1, rows.nbytes)
        return max(1, min(self.group_rows, fitting))


def encoding_of(properties: Mapping[str, str]) -> Encoding:
    """Read the table properties that Iceberg's own writers read; what is not there has Iceberg's default.

    Raises:
        ConfigurationError: A property has a value that no file can be written with.
    """
    kind = properties.get(TableProperties.WRITE_FILE_FORMAT, TableProperties.WRITE_FILE_FORMAT_DEFAULT)
    if kind.lower() != "parquet":
        raise ConfigurationError(f"{TableProperties.WRITE_FILE_FORMAT} is {kind}; the writer writes parquet alone")
    numbers = {name: _number(properties, name, default) for name, default in _DEFAULTS.items()}
    return Encoding(
        {
            **_compression(properties),
            "data_page_size": numbers[TableProperties.PARQUET_PAGE_SIZE_BYTES],
            "max_rows_per_page": numbers[TableProperties.PARQUET_PAGE_ROW_LIMIT],
            "dictionary_pagesize_limit": numbers[TableProperties.PARQUET_DICT_SIZE_BYTES],
            "write_page_index": True,
            "write_page_checksum": True,
            "store_schema": False,
            "store_decimal_as_integer": True,
        },
        group_rows=numbers[TableProperties.PARQUET_ROW_GROUP_LIMIT],
        group_bytes=numbers[TableProperties.PARQUET_ROW_GROUP_SIZE_BYTES],
        file_bytes=numbers[TableProperties.WRITE_TARGET_FILE_SIZE_BYTES],
    )


def repeating(rows: pa.Table) -> list[str]:
    """Return the Parquet paths of the columns whose values repeat so often that a dictionary pays.

    Judged from rows spread over the table: neighbours in an ordered column are too much alike.
    """
    chunks = [chunk for chunk in rows.to_batches() if chunk.num_rows]
    chunks = chunks[:: -(-len(chunks) // _SAMPLED_CHUNKS)]
    # Of each chunk for itself: a table's take joins all of them first, at many times the cost.
    picked = [chunk.take(_spread(chunk.num_rows, _SAMPLED_ROWS // len(chunks))) for chunk in chunks]
    sample = pa.Table.from_batches(picked, rows.schema).combine_chunks()
    share = sample.num_rows / rows.num_rows
    return [path for path, values in leaves(sample) if _repeats(values.drop_null(), share)]


def _spread(count: int, wanted: int) -> pa.Array:
    """Return about as many places as wanted, evenly spread by the golden ratio: in step with no period of the rows."""
    places = range(count) if count <= wanted else sorted({int(k * _GOLDEN % 1 * count) for k in range(wanted)})
    return pa.array(places, pa.int64())


def _compression(properties: Mapping[str, str]) -> dict[str, Any]:
    codec = properties.get(TableProperties.PARQUET_COMPRESSION, TableProperties.PARQUET_COMPRESSION_DEFAULT).lower()
    if codec not in _CODECS:
        raise ConfigurationError(f"{TableProperties.PARQUET_COMPRESSION} is {codec}; it is one of {', '.join(_CODECS)}")
    if codec == "uncompressed":
        return {"compression": "none"}
    options: dict[str, Any] = {"compression": codec}
    asked = codec == "zstd" or TableProperties.PARQUET_COMPRESSION_LEVEL in properties
    if asked and pa.Codec.supports_compression_level(codec):
        bounds = pa.Codec.minimum_compression_level(codec), pa.Codec.maximum_compression_level(codec)
        options["compression_level"] = _number(
            properties, TableProperties.PARQUET_COMPRESSION_LEVEL, _ZSTD_LEVEL, *bounds
        )
    return options


def _number(properties: Mapping[str, str], name: str, default: int, lowest: int = 1, highest: int = sys.maxsize) -> int:
    text = properties.get(name, default)
    try:
        number = int(text)
    except ValueError:
        number = lowest - 1
    if not lowest <= number <= highest:
        raise ConfigurationError(f"table property {name} is {text!r}; give a whole number from {lowest} to {highest}")
    return number


def _repeats(sample: pa.Array, share: float) -> bool:
    if not len(sample) or pa.types.is_boolean(sample.type):
        return False
    counts = pc.value_counts(sample).field("counts")
    return _distinct(counts) <= _REPEATING * len(sample) / share


def _distinct(counts: pa.Array) -> float:
    """Estimate how many distinct values there are from how often each was seen in a sample.

    The lower bound of Chao (1984), with the correction for no value that was seen twice.
    """
    once, twice = (pc.sum(pc.equal(counts, times)).as_py() for times in (1, 2))
    unseen: float = once * (once - 1) / (2 * (twice + 1))
    return len(counts) + unseen


_DEFAULTS: Mapping[str, int] = {
    TableProperties.PARQUET_PAGE_SIZE_BYTES: TableProperties.PARQUET_PAGE_SIZE_BYTES_DEFAULT,
    TableProperties.PARQUET_PAGE_ROW_LIMIT: TableProperties.PARQUET_PAGE_ROW_LIMIT_DEFAULT,
    TableProperties.PARQUET_DICT_SIZE_BYTES: TableProperties.PARQUET_DICT_SIZE_BYTES_DEFAULT,
    TableProperties.PARQUET_ROW_GROUP_LIMIT: TableProperties.PARQUET_ROW_GROUP_LIMIT_DEFAULT,
    TableProperties.PARQUET_ROW_GROUP_SIZE_BYTES: TableProperties.PARQUET_ROW_GROUP_SIZE_BYTES_DEFAULT,
    TableProperties.WRITE_TARGET_FILE_SIZE_BYTES: TableProperties.WRITE_TARGET_FILE_SIZE_BYTES_DEFAULT,
}
