from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest
from headgate_runtime.metrics import Metrics
from headgate_schemas import Expectation
from headgate_writer.metrics import WriterMetrics
from headgate_writer.quality import Quality

NOW_MS = 1_800_000_000_000.0
TABLE = "lakehouse.t"
ROWS = pa.table(
    {
        "at": pa.array([int(NOW_MS - 9_000) * 1000, int(NOW_MS - 5_000) * 1000, None, None], pa.timestamp("us", "UTC")),
        "decision": pa.array(
            [
                {"word": "flag", "score": 0.25, "known": True},
                {"word": "allow", "score": 0.75, "known": True},
                {"word": "allow", "score": None, "known": False},
                None,
            ]
        ),
    }
)


class Judged:
    """What becomes of one expectation over rows."""

    def __init__(self, rows: pa.Table, **said: Any) -> None:
        metrics = Metrics()
        expectation = Expectation.model_validate({"name": "e", "least_rows": 1, **said})
        Quality(TABLE, [expectation], WriterMetrics(metrics)).observe(rows, NOW_MS)
        labels = {"table": TABLE, "expectation": "e"}
        sample = metrics.registry.get_sample_value
        self.value = sample("headgate_writer_quality_value", labels)
        self.met = sample("headgate_writer_quality_windows_total", labels | {"outcome": "met"}) or 0
        self.missed = sample("headgate_writer_quality_windows_total", labels | {"outcome": "missed"}) or 0


@pytest.mark.parametrize(
    ("said", "value"),
    [
        ({"measure": "rows"}, 4),
        ({"measure": "freshness_s", "field": "at"}, 5.0),
        ({"measure": "null_share", "field": "decision.score"}, 0.5),
        ({"measure": "mean", "field": "decision.score"}, 0.5),
        ({"measure": "share", "field": "decision.word", "value": "flag"}, 0.25),
        ({"measure": "share", "field": "decision.known", "value": True}, 0.5),
    ],
)
def test_each_measure_meets_a_bound_at_its_value_and_misses_one_beyond(said: dict[str, Any], value: float) -> None:
    for bounds in ({"minimum": value}, {"maximum": value}):
        judged = Judged(ROWS, **said, **bounds)
        assert (judged.value, judged.met, judged.missed) == (value, 1, 0)
    for bounds in ({"minimum": value + 0.01}, {"maximum": value - 0.01}):
        assert Judged(ROWS, **said, **bounds).missed == 1


def test_a_share_of_few_rows_is_not_judged_and_their_number_is() -> None:
    few = Judged(ROWS, measure="null_share", field="decision.score", maximum=0, least_rows=5)
    assert (few.value, few.met, few.missed) == (None, 0, 0)
    assert Judged(ROWS, measure="rows", minimum=5, least_rows=5).missed == 1


def test_what_has_no_value_to_measure_is_not_judged_and_nan_misses() -> None:
    nothing = ROWS.slice(2)
    assert Judged(nothing, measure="mean", field="decision.score", maximum=0).value is None
    assert Judged(nothing, measure="freshness_s", field="at", maximum=0).value is None
    nan = pa.table({"x": [float("nan"), 1.0]})
    assert Judged(nan, measure="mean", field="x", minimum=0).missed == 1


def test_rows_in_chunks_are_measured_as_one() -> None:
    chunked = pa.concat_tables([ROWS, ROWS.slice(0, 2)])
    assert Judged(chunked, measure="share", field="decision.word", value="flag", maximum=1).value == pytest.approx(
        1 / 3
    )
