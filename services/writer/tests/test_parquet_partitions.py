"""Rows by partition and in order; pyiceberg's own split of the same rows is the measure."""

from __future__ import annotations

import tempfile
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from headgate_writer.parquet import DataFileWriter
from hypothesis import given, settings
from hypothesis import strategies as st
from pyiceberg.io.pyarrow import _dataframe_to_data_files

from .parquet_tables import INSTANT, table_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pyiceberg.manifest import DataFile

SCHEMA = pa.schema(
    [
        pa.field("id", pa.int64(), nullable=False),
        pa.field("at", INSTANT),
        pa.field("number", pa.int32()),
        pa.field("long", pa.int64()),
        pa.field("text", pa.string()),
        pa.field("raw", pa.binary()),
        pa.field("day", pa.date32()),
        pa.field("flag", pa.bool_()),
        pa.field(
            "inner", pa.struct([pa.field("user", pa.string()), pa.field("deep", pa.struct([pa.field("at", INSTANT)]))])
        ),
    ]
)
TIMES = ("year", "month", "day", "hour")
TRANSFORMS = {
    "at": (*TIMES, "identity", "bucket[4]", "void"),
    "number": ("identity", "bucket[16]", "truncate[10]", "void"),
    "long": ("identity", "bucket[3]", "truncate[100]"),
    "text": ("identity", "bucket[16]", "truncate[1]", "void"),
    "raw": ("identity", "bucket[2]", "truncate[1]"),
    "day": ("identity", "year", "month", "day", "bucket[4]"),
    "flag": ("identity",),
    "inner.user": ("identity", "bucket[8]", "truncate[2]"),
    "inner.deep.at": TIMES,
}
# From year 1 to 9999, and close to each other: both many partitions and few.
INSTANTS = st.integers(-62_135_596_800_000_000, 253_402_300_799_999_999) | st.integers(-7_200_000_000, 7_200_000_000)


def optional(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | values


TEXTS = st.text("abé", max_size=3) | st.sampled_from(["", "日本", "a/b=c d", "\U0001f600x"])
ROW = st.fixed_dictionaries(
    {
        "at": optional(INSTANTS),
        "number": optional(st.integers(-20, 20)),
        "long": optional(st.integers(-(2**63) + 200, 2**63 - 1) | st.integers(-300, 300)),
        "text": optional(TEXTS),
        "raw": optional(st.binary(max_size=2)),
        "day": optional(st.integers(-719_162, 2_932_896) | st.integers(-40, 40)),
        "flag": optional(st.booleans()),
        "inner": optional(
            st.fixed_dictionaries(
                {"user": optional(TEXTS), "deep": optional(st.fixed_dictionaries({"at": optional(INSTANTS)}))}
            )
        ),
    }
)
FIELDS = st.lists(st.sampled_from(sorted(TRANSFORMS)), min_size=1, max_size=3, unique=True).flatmap(
    lambda names: st.tuples(*(st.tuples(st.just(name), st.sampled_from(TRANSFORMS[name])) for name in names))
)


def rows_of(values: list[dict[str, Any]]) -> pa.Table:
    raw = pa.schema(
        [
            field.with_type(pa.int64() if field.name == "at" else pa.int32()) if field.name in {"at", "day"} else field
            for field in SCHEMA
        ]
    )
    return pa.Table.from_pylist([{"id": place, **value} for place, value in enumerate(values)], raw).cast(SCHEMA)


def split(files: Iterable[DataFile]) -> Counter[tuple[Any, ...]]:
    """Count each row under its partition."""
    return Counter(
        (*file.partition, row)
        for file in files
        for row in pq.ParquetFile(file.file_path.removeprefix("file://")).read(["id"])["id"].to_pylist()
    )


@settings(max_examples=60)
@given(values=st.lists(ROW, min_size=1, max_size=12), fields=FIELDS, chunk=st.integers(1, 12))
def test_every_row_is_in_the_partition_pyiceberg_puts_it_in(
    values: list[dict[str, Any]], fields: tuple[tuple[str, str], ...], chunk: int
) -> None:
    rows = rows_of(values)
    rows = pa.concat_tables([rows.slice(start, chunk) for start in range(0, len(values), chunk)])
    with tempfile.TemporaryDirectory() as folder:
        table = table_of(Path(folder), SCHEMA, fields)
        ours = DataFileWriter().write(table, rows)
        theirs = list(_dataframe_to_data_files(table.metadata, rows, table.io))
        assert split(ours) == split(theirs)
        assert {Path(file.file_path).parent for file in ours} == {Path(file.file_path).parent for file in theirs}
        assert len(ours) == len({tuple(file.partition) for file in ours})


def test_several_partition_fields_may_come_from_one_column(tmp_path: Path) -> None:
    table = table_of(tmp_path, SCHEMA, [("text", "bucket[4]"), ("text", "truncate[1]")])
    files = DataFileWriter().write(table, rows_of([{"text": text} for text in ("ab", "ac", "b", None)]))
    assert {file.partition[1] for file in files} == {"a", "b", None}
    assert sum(file.record_count for file in files) == 4
    assert all("part0=" in file.file_path and "/part1=" in file.file_path for file in files)


def test_numbers_that_equal_nothing_are_stored_too(tmp_path: Path) -> None:
    schema = pa.schema([pa.field("id", pa.int64(), nullable=False), pa.field("ratio", pa.float64())])
    rows = pa.table({"id": [0, 1, 2, 3], "ratio": [float("nan"), 1.0, float("nan"), None]}).cast(schema)
    files = DataFileWriter().write(table_of(tmp_path, schema, [("ratio", "identity")]), rows)
    assert sorted(file.record_count for file in files) == [1, 1, 2]


TIME_ORDER = [("at", "asc", "last")]


def ids(files: Iterable[DataFile]) -> list[list[int]]:
    return [pq.ParquetFile(file.file_path.removeprefix("file://")).read(["id"])["id"].to_pylist() for file in files]


def times(*instants: int | None, days: int = 1) -> pa.Table:
    return rows_of([{"at": instant, "day": place % days} for place, instant in enumerate(instants)])


def test_rows_of_one_partition_stay_as_they_came_unless_order_is_asked_for(tmp_path: Path) -> None:
    table = table_of(tmp_path, SCHEMA, order_by=TIME_ORDER)
    (as_it_came,) = DataFileWriter().write(table, times(3, 1, None, 2))
    (in_order,) = DataFileWriter().write(table, times(3, 1, None, 2), ordered=True)
    assert ids([as_it_came, in_order]) == [[0, 1, 2, 3], [1, 3, 0, 2]]
    assert (as_it_came.sort_order_id, in_order.sort_order_id) == (None, 1)


def test_rows_that_came_in_order_are_said_to_be_in_order(tmp_path: Path) -> None:
    table = table_of(tmp_path, SCHEMA, order_by=TIME_ORDER)
    (file,) = DataFileWriter().write(table, times(1, 1, 2))
    assert file.sort_order_id == 1


def test_rows_of_several_partitions_are_ordered_in_each(tmp_path: Path) -> None:
    table = table_of(tmp_path, SCHEMA, [("day", "identity")], TIME_ORDER)
    files = DataFileWriter().write(table, times(5, 4, 3, 2, 1, 0, days=2))
    assert ids(files) == [[4, 2, 0], [5, 3, 1]]
    assert {file.sort_order_id for file in files} == {1}


def test_several_partitions_keep_the_order_of_arrival_where_the_table_declares_none(tmp_path: Path) -> None:
    files = DataFileWriter().write(table_of(tmp_path, SCHEMA, [("day", "identity")]), times(3, 1, 2, 0, days=2))
    assert ids(files) == [[0, 2], [1, 3]]
    assert {file.sort_order_id for file in files} == {None}


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        ([("number", "asc", "first"), ("inner.user", "desc", "last")], [2, 3, 0, 1]),
        ([("number", "desc", "last"), ("id", "desc", "last")], [1, 0, 3, 2]),
        ([("inner.user", "asc", "first")], [1, 2, 3, 0]),
    ],
)
def test_any_order_a_table_can_declare_is_kept(
    tmp_path: Path, order: list[tuple[str, str, str]], expected: list[int]
) -> None:
    users: list[tuple[int | None, str | None]] = [(1, "b"), (1, None), (None, "a"), (0, "a")]
    rows = rows_of([{"number": number, "inner": {"user": user}} for number, user in users])
    assert ids(DataFileWriter().write(table_of(tmp_path, SCHEMA, order_by=order), rows, ordered=True)) == [expected]
