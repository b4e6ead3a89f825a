"""Figures within, at and beyond their bounds."""

from __future__ import annotations

import pytest

from tests.load.bounds import Bound


@pytest.mark.parametrize(
    ("bound", "value", "holds"),
    [
        (Bound("x", at_least=50), 50, True),
        (Bound("x", at_least=50), 49.9, False),
        (Bound("x", at_most=300), 300, True),
        (Bound("x", at_most=300), 300.1, False),
        (Bound("x", at_least=0, at_most=0), -1, False),
        (Bound("x", at_least=0, at_most=0), 0, True),
    ],
)
def test_a_bound_includes_its_own_value(bound: Bound, value: float, *, holds: bool) -> None:
    assert bound.holds(value) is holds
