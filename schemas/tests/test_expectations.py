from __future__ import annotations

from typing import Any

import pytest
from headgate_schemas import Contracts, Expectation, TopicContract, check_contracts

CONTRACTS = Contracts.load()
OUTPUT = CONTRACTS.topic("enriched-events")


def with_expectations(*expectations: dict[str, Any]) -> TopicContract:
    """The shipped contract with other expectations."""
    document = OUTPUT.model_dump()
    document["rules"] = ()
    return TopicContract.model_validate(document | {"table": document["table"] | {"expectations": expectations}})


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"measure": "rows"}, "expects nothing"),
        ({"measure": "rows", "field": "a", "maximum": 1}, "rows are of no field"),
        ({"measure": "mean", "maximum": 1}, "all else is of one"),
        ({"measure": "share", "field": "a", "maximum": 1}, "a share is of a value"),
        ({"measure": "mean", "field": "a", "value": "x", "maximum": 1}, "a share is of a value"),
        ({"measure": "rows", "minimum": 2, "maximum": 1}, "nothing can be at least 2.0 and at most 1.0"),
    ],
)
def test_an_expectation_that_says_nothing_or_too_much_is_refused(said: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Expectation.model_validate({"name": "e", **said})


def test_names_are_unique() -> None:
    rows = {"name": "e", "measure": "rows", "minimum": 1}
    with pytest.raises(ValueError, match="expectation names are used twice: e"):
        with_expectations(rows, rows)


def test_an_expectation_of_what_cannot_be_measured_is_not_released() -> None:
    topic = with_expectations(
        {"name": "freshness_of_text", "measure": "freshness_s", "field": "event_id", "maximum": 1},
        {"name": "mean_of_text", "measure": "mean", "field": "event_type", "maximum": 1},
        {
            "name": "share_of_number",
            "measure": "share",
            "field": "agent_metadata.risk_score",
            "value": "x",
            "maximum": 1,
        },
    )
    contracts = Contracts(CONTRACTS.directory, {topic.topic: topic}, CONTRACTS._records)
    found = [problem.partition(".expectations.")[2] for problem in check_contracts(contracts)]
    assert [problem for problem in found if problem] == [
        "freshness_of_text: a freshness_s like this asks nothing of event_id, a string",
        "mean_of_text: a mean like this asks nothing of event_type, a string",
        "share_of_number: a share like this asks nothing of agent_metadata.risk_score, a double",
    ]
