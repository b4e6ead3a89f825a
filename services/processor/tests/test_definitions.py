"""Definitions as files: what is wrong with one is said with file, field and what to write instead."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import yaml
from headgate_processor.catalog import SHIPPED, build_catalog, read_definitions
from headgate_processor.definition import Definition, parse_duration
from headgate_runtime.errors import ConfigurationError

from .cluster import CONTRACTS, definition, metric

if TYPE_CHECKING:
    from pathlib import Path

SUM = {"name": "amount", "kind": "sum", "of": "payload.attributes.amount"}
HISTOGRAM = {"name": "h", "kind": "histogram", "of": "agent_metadata.risk_score", "bounds": [0.5]}
DRIFT = {"name": "d", "kind": "drift", "histogram": "h", "against": "24h", "at_least": 1}


def read(tmp_path: Path, **changes: Any) -> str:
    """What is wrong with a definition that has changed."""
    path = tmp_path / "activity.yaml"
    plain = {
        "name": "activity",
        "description": "What an account did.",
        "source": "enriched-events",
        "output": "account-profiles",
        "key": ["payload.attributes.user_id"],
        "grace": "1m",
        "windows": [{"name": "1m", "kind": "tumbling", "size": "1m"}],
        "aggregates": [SUM],
    }
    path.write_text(yaml.safe_dump(plain | changes), "utf-8")
    with pytest.raises(ConfigurationError) as caught:
        read_definitions(tmp_path)
    return str(caught.value)


def built(*definitions: Definition) -> str:
    """What is wrong with definitions beside the contracts."""
    with pytest.raises(ConfigurationError) as caught:
        build_catalog(definitions, CONTRACTS, profiles_topic="account-profiles", metrics_topic="decision-metrics")
    return str(caught.value)


def test_the_shipped_definitions_fit_the_contracts() -> None:
    catalog = build_catalog(
        read_definitions(SHIPPED), CONTRACTS, profiles_topic="account-profiles", metrics_topic="decision-metrics"
    )
    assert [each.name for each in catalog.profiles] == ["account_activity"]
    assert {each.name for each in catalog.metrics} == {"agents", "decisions", "scores"}


@pytest.mark.parametrize(
    ("changes", "wrong"),
    [
        (
            {"windows": [{"name": "w", "kind": "hopping", "size": "10m", "step": "3m"}]},
            "size must be a multiple of step",
        ),
        ({"windows": [{"name": "w", "kind": "tumbling", "size": "ten"}]}, "size: Value error, not a duration; write"),
        ({"windows": [{"name": "w", "kind": "sliding", "size": "1m"}]}, "windows.0: Input tag 'sliding' found using"),
        ({"aggregates": [{**SUM, "kind": "median"}]}, "aggregates.0: Input tag 'median' found using 'kind'"),
        ({"aggregates": [{**SUM, "off": "x"}]}, "aggregates.0.sum.off: Extra inputs are not permitted"),
        ({"aggregates": [SUM, SUM]}, "aggregates: names are used twice: amount"),
        ({"aggregates": [DRIFT]}, "aggregates.d: there is no histogram 'h'"),
        ({"aggregates": [{**HISTOGRAM, "bounds": [1, 1]}]}, "bounds: Value error, must ascend"),
        ({"grace": 60}, "grace: Value error, not a duration"),
        ({"name": "other"}, "name: says 'other'; name the file after the definition"),
        ({"alerts": [{"name": "a", "description": "d", "aggregate": "amount"}]}, "give above or below, one of them"),
        (
            {"alerts": [{"name": "a", "description": "d", "aggregate": "x", "above": 1}]},
            "alerts.a: there is no figure 'x'",
        ),
    ],
)
def test_a_definition_that_is_wrong_is_refused_with_its_place(
    tmp_path: Path, changes: dict[str, Any], wrong: str
) -> None:
    told = read(tmp_path, **changes)
    assert told.startswith("activity.yaml: ")
    assert wrong in told


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (definition(key=["event_type"]), "activity: key: account-profiles is kept by the events' own key"),
        (definition(output="raw-events"), "activity: output: raw-events takes no windows; there are account-profiles"),
        (
            definition(aggregates=[{**SUM, "of": "payload.amount"}]),
            "aggregates.amount.of: agent_enriched_event.v1 has no",
        ),
        (definition(aggregates=[{**SUM, "of": "event_type"}]), "aggregates.amount.of: event_type is no number"),
        (metric(key=["payload.attributes"]), "decisions: key: payload.attributes is no plain value"),
        (
            metric(windows=[{"name": "s", "kind": "session", "gap": "1m"}]),
            "a session has no parts that could be merged",
        ),
        (definition(aggregates=[HISTOGRAM]), "activity: aggregates: account-profiles holds no histogram"),
        (
            metric(
                windows=[{"name": "w", "kind": "hopping", "size": "2m", "step": "1m"}], aggregates=[HISTOGRAM, DRIFT]
            ),
            "drift compares windows that do not overlap",
        ),
    ],
)
def test_a_definition_that_does_not_fit_the_contracts_is_refused(wrong: Definition, told: str) -> None:
    assert told in built(wrong)


def test_definitions_of_two_topics_are_not_for_one_processor() -> None:
    assert "definitions are over enriched-events, raw-events: one processor" in built(
        definition(), definition(name="other", source="raw-events")
    )


def test_what_people_read_does_not_make_another_definition() -> None:
    assert definition().hash == definition(description="Otherwise said.").hash
    assert definition().hash != definition(grace="2ms").hash


def test_durations_have_a_unit() -> None:
    assert [parse_duration(text) for text in ("5ms", "1s", "2m", "1h", "1d")] == [
        5,
        1_000,
        120_000,
        3_600_000,
        86_400_000,
    ]
