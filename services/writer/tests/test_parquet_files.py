"""Data files: what other writers and readers make of the same rows is the measure."""

from __future__ import annotations

import errno
import threading
from typing import TYPE_CHECKING, Any

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from headgate_runtime.errors import ConfigurationError
from headgate_writer.parquet import DataFileWriter
from pyiceberg.io.pyarrow import PyArrowFileIO, _dataframe_to_data_files

from .parquet_tables import INSTANT, SCHEMA, table_of

if TYPE_CHECKING:
    from pathlib import Path

    from pyiceberg.io import OutputFile
    from pyiceberg.manifest import DataFile
    from pyiceberg.table import Table

DAY_US = 86_400_000_000


def rows(count: int = 100, start: int = 0) -> pa.Table:
    numbers = range(start, start + count)
    columns: dict[str, list[Any]] = {
        "id": list(numbers),
        "at": [None if i % 7 == 0 else i * DAY_US // 10 for i in numbers],
        "number": [None if i % 5 == 0 else i % 3 for i in numbers],
        "text": [f"id-{i * 7919:08d}" for i in numbers],
        "raw": [bytes([i % 256]) for i in numbers],
        "day": [i % 4 for i in numbers],
        "inner": [None if i % 9 == 0 else {"user": f"u{i % 3}", "deep": {"at": i}} for i in numbers],
        "tags": [[{"name": "a"}] * (i % 3) if i % 4 else None for i in numbers],
        "map": [[("k", float(i))] for i in numbers],
        "flag": [i % 2 == 0 for i in numbers],
        "ratio": [i / 3 for i in numbers],
    }
    columns["day"] = pa.array(columns["day"], pa.int32()).cast(pa.date32())
    return pa.table(columns, schema=SCHEMA)


def path_of(file: DataFile) -> str:
    return file.file_path.removeprefix("file://")


def read(files: list[DataFile]) -> pa.Table:
    return pa.concat_tables([pq.ParquetFile(path_of(file)).read() for file in files])


def write_one(table: Table, data: pa.Table) -> DataFile:
    (file,) = DataFileWriter().write(table, data)
    return file


def test_a_file_has_the_schema_and_the_manifest_entry_that_pyiceberg_gives_it(tmp_path: Path) -> None:
    # pyiceberg writes a list that is null as an empty one.
    data = rows().filter(pc.is_valid(pc.field("tags")))
    table = table_of(tmp_path)
    ours = write_one(table, data)
    (theirs,) = _dataframe_to_data_files(table.metadata, data, table.io)
    files = [pq.ParquetFile(path_of(file)) for file in (ours, theirs)]
    assert files[0].schema.equals(files[1].schema)
    assert files[0].read().cast(SCHEMA) == files[1].read().cast(SCHEMA) == data
    same = ("record_count", "value_counts", "null_value_counts", "nan_value_counts", "lower_bounds", "upper_bounds")
    assert [getattr(ours, name) for name in same] == [getattr(theirs, name) for name in same]
    assert ours.spec_id == table.spec().spec_id
    assert ours.split_offsets == [4]
    assert ours.file_size_in_bytes == (tmp_path / path_of(ours)).stat().st_size


def test_another_engine_reads_types_nulls_and_nesting(tmp_path: Path) -> None:
    file = write_one(table_of(tmp_path), rows())
    with duckdb.connect() as engine:
        engine.execute("SET TimeZone = 'UTC'")
        found = engine.execute(f"SELECT * FROM read_parquet('{path_of(file)}')").to_arrow_table()  # noqa: S608 - a path of this test
        nullable = engine.execute(
            f"SELECT name, repetition_type FROM parquet_schema('{path_of(file)}') WHERE field_id IS NOT NULL"  # noqa: S608
        ).fetchall()
    assert found.drop_columns("map").cast(SCHEMA.remove(8)) == rows().drop_columns("map")
    assert [list(entry.items()) if isinstance(entry, dict) else entry for entry in found["map"].to_pylist()] == rows()[
        "map"
    ].to_pylist()
    assert {name for name, repetition in nullable if repetition == "REQUIRED"} == {"id", "name", "key"}


def test_nulls_at_any_depth_come_back_as_nulls(tmp_path: Path) -> None:
    assert read([write_one(table_of(tmp_path), rows())]).cast(SCHEMA) == rows()


def test_columns_the_rows_do_not_have_are_null_and_types_are_widened(tmp_path: Path) -> None:
    wide = pa.schema(
        [
            pa.field("number", pa.int64()),
            pa.field("inner", pa.struct([pa.field("late", pa.string()), pa.field("user", pa.string())])),
            pa.field("id", pa.int64(), nullable=False),
            pa.field("new", INSTANT),
        ]
    )
    narrow = pa.table({"id": [1], "number": pa.array([7], pa.int32()), "inner": [{"user": "u"}]})
    (found,) = read([write_one(table_of(tmp_path, wide), narrow)]).to_pylist()
    assert found == {"number": 7, "inner": {"late": None, "user": "u"}, "id": 1, "new": None}


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"id": [1], "unknown": [1]}, "no column unknown"),
        ({"id": [1], "inner": [{"user": "u", "extra": 1}]}, r"no column inner\.extra"),
        ({"id": [1], "tags": [[{"name": "a", "extra": 1}]]}, r"no column tags\.element\.extra"),
        ({"number": pa.array([1], pa.int32())}, "requires column id"),
        ({"id": pa.array([1, None])}, "requires column id"),
        ({"id": [1], "number": [2**40]}, "do not fit column number"),
    ],
)
def test_rows_that_do_not_fit_the_table_are_refused(tmp_path: Path, data: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        DataFileWriter().write(table_of(tmp_path), pa.table(data))
    assert not list(tmp_path.rglob("*.parquet"))


def test_ids_are_plain_and_what_repeats_has_a_dictionary(tmp_path: Path) -> None:
    group = pq.read_metadata(path_of(write_one(table_of(tmp_path), rows(5_000)))).row_group(0)
    columns = [group.column(place) for place in range(group.num_columns)]
    with_dictionary = {column.path_in_schema for column in columns if column.has_dictionary_page}
    assert with_dictionary == {
        "number",
        "raw",
        "day",
        "inner.user",
        "tags.list.element.name",
        "map.key_value.key",
    }
    assert all(column.has_offset_index and column.has_column_index for column in columns)


@pytest.mark.parametrize(
    ("properties", "codec"),
    [
        ({}, "ZSTD"),
        ({"write.parquet.compression-codec": "zstd", "write.parquet.compression-level": "3"}, "ZSTD"),
        ({"write.parquet.compression-codec": "snappy", "write.parquet.compression-level": "3"}, "SNAPPY"),
        ({"write.parquet.compression-codec": "GZIP"}, "GZIP"),
        ({"write.parquet.compression-codec": "uncompressed"}, "UNCOMPRESSED"),
    ],
)
def test_a_table_s_codec_is_honoured(tmp_path: Path, properties: dict[str, str], codec: str) -> None:
    file = write_one(table_of(tmp_path, properties=properties), rows())
    assert pq.read_metadata(path_of(file)).row_group(0).column(0).compression == codec


def test_row_groups_and_files_end_at_the_table_s_sizes(tmp_path: Path) -> None:
    properties = {"write.parquet.row-group-limit": "300", "write.target-file-size-bytes": "20000"}
    files = DataFileWriter().write(table_of(tmp_path, properties=properties), rows(3_000))
    assert len(files) > 2
    assert [row["id"] for row in read(files).to_pylist()] == list(range(3_000))
    for file in files[:-1]:
        assert 20_000 <= file.file_size_in_bytes < 40_000
        assert file.split_offsets is not None
        assert len(file.split_offsets) == -(-file.record_count // 300)
    small = {"write.parquet.row-group-size-bytes": str(rows(3_000).nbytes // 4)}
    (file,) = DataFileWriter().write(table_of(tmp_path, properties=small), rows(3_000))
    assert pq.read_metadata(path_of(file)).num_row_groups in {4, 5}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("write.parquet.compression-codec", "lzo"),
        ("write.parquet.compression-level", "many"),
        ("write.parquet.compression-level", "99"),
        ("write.parquet.row-group-limit", "0"),
        ("write.format.default", "orc"),
    ],
)
def test_a_property_no_file_can_be_written_with_is_named(tmp_path: Path, name: str, value: str) -> None:
    with pytest.raises(ConfigurationError, match=f"{name} is .*{value}"):
        DataFileWriter().write(table_of(tmp_path, properties={name: value}), rows())


def test_a_changed_property_holds_from_the_next_write_on(tmp_path: Path) -> None:
    writer, table = DataFileWriter(), table_of(tmp_path)
    writer.write(table, rows())
    changed = table_of(tmp_path, properties={"write.parquet.compression-codec": "snappy"})
    (file,) = writer.write(changed, rows())
    assert pq.read_metadata(path_of(file)).row_group(0).column(0).compression == "SNAPPY"


def test_no_rows_make_no_file(tmp_path: Path) -> None:
    assert DataFileWriter().write(table_of(tmp_path), SCHEMA.empty_table()) == []


class CountedIO(PyArrowFileIO):
    """Counts files that are open at once, and fails at the one it is told to."""

    def __init__(self, fails_at: int | None = None) -> None:
        super().__init__()
        self.open = self.most_open = self.begun = 0
        self._fails_at = fails_at
        self._lock = threading.Lock()

    def new_output(self, location: str) -> OutputFile:
        real, counted = super().new_output(location), self

        class Output:
            def create(self, *, overwrite: bool) -> Any:
                with counted._lock:
                    counted.begun += 1
                    counted.open += 1
                    counted.most_open = max(counted.most_open, counted.open)
                    if counted.begun == counted._fails_at:
                        raise OSError(errno.ENOSPC, "No space left on device")
                return _Counted(real.create(overwrite=overwrite), counted)

        return Output()  # type: ignore[return-value]  # all that is asked of it


class _Counted:
    """A stream that tells when it is closed."""

    def __init__(self, stream: Any, io: CountedIO) -> None:
        self._stream = stream
        self._io = io

    def __enter__(self) -> Any:
        return self._stream.__enter__()

    def __exit__(self, *error: object) -> None:
        self._stream.__exit__(*error)
        with self._io._lock:
            self._io.open -= 1


def test_a_backfill_of_three_thousand_days_holds_few_files_open(tmp_path: Path) -> None:
    days = 3_000
    schema = pa.schema([SCHEMA.field("id"), SCHEMA.field("at")])
    table = table_of(tmp_path, schema, [("at", "day")])
    table.io = io = CountedIO()
    # Neighbours are of different days, as the worst backfill has them.
    data = pa.table({"id": list(range(2 * days)), "at": [i % days * DAY_US for i in range(2 * days)]}).cast(schema)
    files = DataFileWriter().write(table, data)
    assert [file.partition[0] for file in files] == list(range(days))
    assert {file.record_count for file in files} == {2}
    assert io.most_open <= 2
    assert sorted(read(files[:10])["id"].to_pylist()) == [*range(10), *range(days, days + 10)]


def test_what_a_failed_write_left_is_removed(tmp_path: Path) -> None:
    table = table_of(tmp_path, partition_by=[("day", "identity")])
    table.io = CountedIO(fails_at=3)
    with pytest.raises(OSError, match="No space left"):
        DataFileWriter().write(table, rows())
    assert not list(tmp_path.rglob("*.parquet"))
