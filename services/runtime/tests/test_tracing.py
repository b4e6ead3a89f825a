from __future__ import annotations

import pytest
from headgate_runtime.tracing import new_traceparent, parse_traceparent
from hypothesis import given
from hypothesis import strategies as st

TRACE_ID, SPAN_ID = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


@pytest.mark.parametrize(
    ("value", "trace_id"),
    [
        (f"00-{TRACE_ID}-{SPAN_ID}-01", TRACE_ID),
        (f"01-{TRACE_ID}-{SPAN_ID}-01-later-versions-add", TRACE_ID),
        (f"00-{TRACE_ID}-{SPAN_ID}-01-extra", None),
        (f"ff-{TRACE_ID}-{SPAN_ID}-01", None),
        (f"00-{'0' * 32}-{SPAN_ID}-01", None),
        (f"00-{TRACE_ID}-{'0' * 16}-01", None),
        (f"00-{TRACE_ID.upper()}-{SPAN_ID}-01", None),
        (f"00-{TRACE_ID}-{SPAN_ID}", None),
        ("", None),
    ],
)
def test_a_traceparent_is_read_as_the_standard_says(value: str, trace_id: str | None) -> None:
    assert parse_traceparent((("other", b"x"), ("traceparent", value.encode()))) == trace_id


def test_a_missing_or_null_header_has_no_trace() -> None:
    assert parse_traceparent(()) is None
    assert parse_traceparent((("traceparent", None),)) is None


@given(st.binary())
def test_any_bytes_are_read_without_an_error(value: bytes) -> None:
    parse_traceparent((("traceparent", value),))


def test_a_new_traceparent_is_valid_and_new() -> None:
    first, second = (parse_traceparent((("traceparent", new_traceparent()),)) for _ in range(2))
    assert first is not None
    assert first != second
    assert parse_traceparent((("traceparent", new_traceparent(TRACE_ID)),)) == TRACE_ID
