"""Progress: a watermark over offsets with gaps, and what is done above it."""

from __future__ import annotations

import pytest
from headgate_enricher.progress import START, Mark, PartitionProgress, decode_done, encode_done
from hypothesis import given
from hypothesis import strategies as st


def offsets_of(mark: Mark) -> set[int]:
    bits = decode_done(mark.done)
    return {mark.watermark + index for index in range(bits.bit_length()) if bits >> index & 1}


def test_the_watermark_passes_gaps_that_no_record_fills() -> None:
    progress = PartitionProgress()
    for offset in (3, 5, 9):
        assert progress.admit(offset)
        progress.complete(offset)
    assert progress.mark() == Mark(10, b"")


def test_the_watermark_is_the_lowest_record_that_is_not_done() -> None:
    progress = PartitionProgress(Mark(100, b""))
    for offset in (100, 104, 107):
        progress.admit(offset)
    progress.complete(100)
    progress.complete(107)
    mark = progress.mark()
    assert mark.watermark == 104
    assert offsets_of(mark) == {107}
    assert progress.pending == 1


def test_a_new_owner_skips_what_is_done_and_takes_the_rest() -> None:
    first = PartitionProgress()
    for offset in (0, 1, 4, 5):
        first.admit(offset)
    first.complete(1)
    first.complete(5)
    second = PartitionProgress(first.mark())
    assert [offset for offset in (0, 1, 4, 5, 6) if second.admit(offset)] == [0, 4, 6]


def test_the_done_set_survives_an_owner_that_did_not_get_that_far() -> None:
    second = PartitionProgress(Mark(10, encode_done(0b1010)))
    second.admit(10)
    second.complete(10)
    mark = second.mark()
    assert mark.watermark == 11
    assert offsets_of(mark) == {11, 13}


def test_skipping_a_done_record_alone_is_progress() -> None:
    progress = PartitionProgress(Mark(10, encode_done(0b11)))
    assert not progress.admit(10)
    assert not progress.admit(11)
    assert progress.changed
    assert progress.mark() == Mark(12, b"")


def test_a_record_delivered_again_is_not_admitted_again() -> None:
    progress = PartitionProgress()
    assert progress.admit(7)
    assert not progress.admit(7)
    assert not progress.admit(6)


def test_a_jump_over_expired_records_does_not_grow_the_bitmap() -> None:
    progress = PartitionProgress(Mark(10, encode_done(0b110)))
    far = 10**12
    assert progress.admit(far)
    progress.complete(far)
    assert progress.mark() == Mark(far + 1, b"")


def test_a_done_set_of_many_offsets_stays_small() -> None:
    progress = PartitionProgress()
    for offset in range(20_000):
        progress.admit(offset)
    for offset in range(20_000):
        if offset % 50:
            progress.complete(offset)
    assert len(progress.mark().done) < 1000


def test_foreign_bytes_are_refused() -> None:
    with pytest.raises(ValueError, match="not a compressed bitmap"):
        decode_done(b"\x01\x02")


@st.composite
def histories(draw: st.DrawFn) -> tuple[list[int], list[int], int]:
    gaps = draw(st.lists(st.integers(1, 40), max_size=60))
    offsets = [sum(gaps[: index + 1]) for index in range(len(gaps))]
    return offsets, draw(st.permutations(offsets)), draw(st.integers(0, len(offsets)))


@given(histories())
def test_a_mark_names_exactly_what_is_done(history: tuple[list[int], list[int], int]) -> None:
    offsets, order, finished = history
    progress = PartitionProgress(START)
    for offset in offsets:
        assert progress.admit(offset)
    done: set[int] = set()
    for offset in order[:finished]:
        progress.complete(offset)
        done.add(offset)
        mark = progress.mark()
        left = set(offsets) - done
        assert all(below in done for below in offsets if below < mark.watermark)
        assert offsets_of(mark) == {above for above in done if above >= mark.watermark}
        assert mark.watermark == (min(left) if left else offsets[-1] + 1)
    resumed = PartitionProgress(progress.mark())
    watermark = progress.mark().watermark
    again = [offset for offset in offsets if offset >= watermark and resumed.admit(offset)]
    assert again == sorted(set(offsets) - done)
