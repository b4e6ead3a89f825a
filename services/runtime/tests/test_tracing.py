from __future__ import annotations

import pytest
from headgate_runtime.tracing import identity, is_sampled, new_traceparent, parse_traceparent, with_traceparent
from headgate_runtime.tracing.spans import remote_context, traceparent_of
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.trace import get_current_span

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


def test_a_new_traceparent_is_valid_new_and_not_sampled() -> None:
    first, second = ((("traceparent", new_traceparent()),) for _ in range(2))
    assert parse_traceparent(first) is not None
    assert parse_traceparent(first) != parse_traceparent(second)
    assert not is_sampled(first)


@pytest.mark.parametrize(
    ("value", "sampled"),
    [
        (f"00-{TRACE_ID}-{SPAN_ID}-01".encode(), True),
        (f"00-{TRACE_ID}-{SPAN_ID}-03".encode(), True),
        (f"00-{TRACE_ID}-{SPAN_ID}-0f".encode(), True),
        (f"01-{TRACE_ID}-{SPAN_ID}-01-later-versions-add".encode(), True),
        (f"00-{TRACE_ID}-{SPAN_ID}-00".encode(), False),
        (f"00-{TRACE_ID}-{SPAN_ID}-02".encode(), False),
        (b"", False),
        (None, False),
    ],
)
def test_the_sampled_flag_is_the_lowest_bit_of_the_flags(value: bytes | None, *, sampled: bool) -> None:
    assert is_sampled((("other", b"x"), ("traceparent", value))) is sampled
    assert not is_sampled(())


def test_a_traceparent_takes_the_place_of_the_one_there_is() -> None:
    headers = (("traceparent", b"old"), ("event-id", b"e1"))
    assert with_traceparent(headers, b"new") == (("event-id", b"e1"), ("traceparent", b"new"))


def test_a_log_line_names_trace_and_event_as_far_as_they_are_known() -> None:
    traceparent = f"00-{TRACE_ID}-{SPAN_ID}-00".encode()
    assert identity((("traceparent", traceparent), ("event-id", b"e1"))) == {"trace_id": TRACE_ID, "event_id": "e1"}
    assert identity((("traceparent", b"nonsense"), ("event-id", b"\xff"))) == {"event_id": "\N{REPLACEMENT CHARACTER}"}
    assert identity(()) == {}


def test_a_header_and_a_span_name_each_other() -> None:
    given_ = f"00-{TRACE_ID}-{SPAN_ID}-01".encode()
    assert traceparent_of(get_current_span(remote_context(given_))) == given_
    later = f"01-{TRACE_ID}-{SPAN_ID}-01-more".encode()
    assert get_current_span(remote_context(later)).get_span_context().is_remote
    assert not get_current_span(remote_context(None)).get_span_context().is_valid
