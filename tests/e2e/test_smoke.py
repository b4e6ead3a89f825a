"""``headgate smoke`` on a platform that works, and ``headgate setup`` on one that has everything."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from headgate_local.platform import Platform, Replicas

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def platform(tmp_path: Path) -> Iterator[Platform]:
    with Platform(tmp_path, services=(Replicas("producer"), Replicas("enricher"), Replicas("writer"))) as running:
        yield running


def test_an_event_s_decision_is_found_and_nothing_is_left_to_set_up(platform: Platform) -> None:
    found = json.loads(platform.admin("smoke", "--json"))
    assert found["decision"]["agent_metadata"]["tier"] in {"rules", "model"}
    assert found["decision"]["processing_metadata"]["source_topic"] == "raw-events"
    again = json.loads(platform.admin("setup", "--json"))
    assert (again["topics"], again["schemas"]) == ([], [])
    assert "lakehouse.enriched_events" in again["tables"]
