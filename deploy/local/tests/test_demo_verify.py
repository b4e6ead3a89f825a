"""The demo's comparison finds every way a table can differ from its topic."""

from __future__ import annotations

from typing import Any

import pytest
from headgate_local.demo.verify import Comparison, Later, compare


def event(name: str) -> dict[str, Any]:
    return {"id": name, "body": {"value": len(name), "at": 1_700_000_000_000}}


def row(name: str, *, revision: int = 0, tier: str = "rules", **changes: Any) -> dict[str, Any]:
    usage = {"model_calls": 1, "input_tokens": 10, "output_tokens": 2, "cost_microdollars": 7}
    metadata = {"revision": revision, "tier": tier, "decision": "allow", **usage}
    return event(name) | {"agent_metadata": metadata} | changes


SOURCE = {name: event(name) for name in ("a", "bb", "ccc")}


def found(*rows: dict[str, Any]) -> Comparison:
    return compare(SOURCE, rows, "id")


def test_every_event_once_and_unchanged_is_exact() -> None:
    result = found(row("a"), row("bb", tier="model"), row("ccc", tier="fallback"))
    assert result.exact
    assert result.tiers == {"rules": 1, "model": 1, "fallback": 1}
    assert result.totals == {"model_calls": 3, "input_tokens": 30, "output_tokens": 6, "cost_microdollars": 21}


def test_later_rows_are_told_apart_from_doubled_ones() -> None:
    result = found(row("a"), row("bb"), row("ccc"), row("a", revision=1, tier="human"), row("a", revision=2))
    assert result.exact
    assert result.later == {"a": [Later(1, "human", "allow"), Later(2, "rules", "allow")]}
    assert not found(row("a"), row("bb"), row("ccc"), *[row("a", revision=1)] * 2).exact


@pytest.mark.parametrize(
    ("rows", "fault"),
    [
        ([row("a"), row("bb")], "missing"),
        ([row("a"), row("bb"), row("ccc"), row("ccc")], "duplicates"),
        ([row("a"), row("bb"), row("ccc"), row("dddd")], "foreign"),
        ([row("a"), row("bb"), row("ccc", body={"value": 4, "at": 1_700_000_000_000})], "changed"),
    ],
)
def test_a_difference_is_counted_where_it_belongs(rows: list[dict[str, Any]], fault: str) -> None:
    result = found(*rows)
    assert not result.exact
    assert {name: getattr(result, name) for name in ("missing", "duplicates", "foreign", "changed")} == {
        "missing": 0,
        "duplicates": 0,
        "foreign": 0,
        "changed": 0,
        fault: 1,
    }
