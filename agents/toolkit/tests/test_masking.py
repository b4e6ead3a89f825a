"""Personal data is what the contract tags, and is masked wherever it recurs."""

from __future__ import annotations

from typing import Any

import pytest
from headgate_agent_toolkit.masking import Masker, tagged_fields
from headgate_schemas import Contracts

masker = Masker(tagged_fields(), ("note",))


def event(**attributes: Any) -> dict[str, Any]:
    return {"event_id": "e-1", "payload": {"attributes": {"user_id": "customer-4711", **attributes}}}


def test_the_tags_are_those_of_the_events_contract() -> None:
    contracts = Contracts.load()
    assert tagged_fields() == contracts.record(contracts.topic("raw-events").record).pii
    assert tagged_fields()["payload.attributes.user_id"] == "direct"


def test_every_tagged_value_is_masked() -> None:
    about = event(device_id="device-0815", country="KP")
    text = masker("Is CUSTOMER-4711 in KP with device-0815, or in kpop?", about)
    assert text == "Is [id] in [id] with [id], or in kpop?"


def test_a_newly_tagged_field_is_masked_without_a_change_of_code() -> None:
    tags = {**tagged_fields(), "payload.attributes.channel": "quasi"}
    about = event(channel="telephone")
    assert masker("by telephone", about) == "by telephone"
    assert Masker(tags, ("note",))("by telephone", about) == "by [id]"


def test_a_countrys_code_is_masked_in_its_own_case_only() -> None:
    assert masker("put it on my IT card", event(country="IT")) == "put it on my [id] card"


def test_direct_identifiers_cannot_be_made_text_of_the_prompt() -> None:
    tags = {**tagged_fields(), "payload.attributes.note": "direct"}
    with pytest.raises(ValueError, match=r"payload\.attributes\.note is tagged as direct personal data"):
        Masker(tags, ("note",))
